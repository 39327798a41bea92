"""Content Credentials (C2PA): are they whole, who signed them, and what do they say?

The check is c2pa-python's (extra `credentials`), told to send nothing: no manifest that lies elsewhere,
no OCSP, no host allowed for anything else. The signature binds the statement to these very pixels, and
to whoever holds the key; whether what it says is true rests on the signer alone, which is why only a
trusted one counts as signed. Trusted are the anchors of the C2PA Trust List, which lies beside this
file with its source and date, or those of the file that AIDETECT_TRUST_ANCHORS names in its stead.

c2pa-python is native code that reads a stranger's bytes. Measured with 0.38 on hostile stores (cyclic
and nested ones, bombs, thousands of parts) its time grows with the store's size, about 0.8 s a
megabyte at worst: so the size is bounded, and so is how often the file may be read over.
"""

import functools
import hashlib
import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from .._errors import ConfigurationError
from .._settings import Settings, setting
from .._text import printable
from ._finding import Finding, shown
from ._signals import SIGNALS
from ._statement import NOT_TRUSTED, statement_of

TRUST_ANCHORS = "AIDETECT_TRUST_ANCHORS"


@dataclass(frozen=True)
class CredentialSettings(Settings):
    """Whose signatures under Content Credentials count."""

    trust_anchors: str = setting(
        "",
        TRUST_ANCHORS,
        "PEM file of the certificates whose signers of Content Credentials are trusted, instead of the"
        " C2PA Trust List that comes with aidetect",
    )


STORE_LIMIT = 4_000_000
"""Bytes of a file's manifest store; a larger one is not checked."""

_READ_LIMIT = 64
"""How many times its own size may be read of a file."""

_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
    "GIF": "image/gif",
}
_WHOLE = {"assertion.dataHash.match", "assertion.boxesHash.match", "assertion.bmffHash.match"}
"""That the hash of the pixels is the signed one."""

_TRUST_LIST = Path(__file__).with_name("c2pa_trust_list.pem")


class _BoundedFile(BytesIO):
    """The file, up to a number of bytes handed out: no structure in it makes for endless reading."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = _READ_LIMIT * len(data)

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._left -= count
        if self._left < 0:
            raise OSError("the file is read over and over")
        return count


def check_credentials(data: bytes, form: str, size: int) -> Finding:
    """What the Content Credentials in `data` are worth and say; `size`: bytes of their store.

    Raises ConfigurationError where AIDETECT_TRUST_ANCHORS cannot be used, and nothing else.
    """
    if size > STORE_LIMIT:
        return _unchecked("they are larger than what is read")
    c2pa = _library()
    if c2pa is None:
        return _unchecked("the extra 'credentials' is not installed")
    context = _context(CredentialSettings.from_environment().trust_anchors, os.getpid())
    try:
        with c2pa.Reader(_TYPES[form], _BoundedFile(data), context=context) as reader:
            return _finding(json.loads(reader.json()))
    except Exception as error:
        # What cannot be read proves nothing; the library's words may hold those of the file.
        return Finding(SIGNALS["credentials_invalid"], None, shown(state="invalid", failures=error))


def trust_fingerprint() -> str:
    """Names what findings depend on besides the file: the trust anchors, and that they are checked.

    Raises ConfigurationError.
    """
    if _library() is None:
        return "unchecked"
    anchors = _anchors(CredentialSettings.from_environment().trust_anchors)
    return hashlib.sha256(anchors.encode()).hexdigest()[:8]


def _library() -> Any:
    """c2pa-python, None where it is not installed or its native part does not fit the machine."""
    try:
        return importlib.import_module("c2pa")
    except (ImportError, OSError, RuntimeError):
        return None


@functools.lru_cache(maxsize=4)
def _context(path: str, _process: int) -> Any:
    """The library's settings; made anew in a forked process, whose parent's it may not use."""
    settings: dict[str, Any] = {
        # The library also takes anchors for timestamps alone, but 0.38 lets them sign statements too. It
        # needs none: the authorities of C2PA's list of those hold certificates of this list's ones.
        "trust": {"trust_anchors": _anchors(path)},
        "verify": {
            "verify_after_reading": True,
            "verify_trust": True,
            "verify_timestamp_trust": True,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
        "core": {"allowed_network_hosts": [], "decode_identity_assertions": False},
    }
    try:
        return _library().Context.from_dict(settings)
    except Exception as error:
        raise ConfigurationError(
            f"{TRUST_ANCHORS}: {printable(path)} cannot be used ({printable(str(error), 100)});"
            " name a file of certificates in PEM form, and install c2pa-python 0.38 or later"
        ) from None


def _anchors(path: str) -> str:
    """The certificates of the file, or of the list that comes with aidetect."""
    from cryptography import x509  # takes a while to import, and most files have no credentials

    try:
        text = Path(path or _TRUST_LIST).read_text(encoding="utf-8")
        x509.load_pem_x509_certificates(text.encode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it holds no certificates, or broken ones"
        raise ConfigurationError(
            f"{TRUST_ANCHORS}: {printable(path)} cannot be read ({reason}); name a file of certificates"
            " in PEM form"
        ) from None
    return text


def _unchecked(why: str) -> Finding:
    return Finding(SIGNALS["credentials"], None, {"state": "not checked", "why": why})


def _finding(report: Mapping[str, Any]) -> Finding:
    """The finding of the library's report, whose strings are the file's."""
    state, flaws = _state(report)
    failures = ", ".join(flaws[:5])
    if state == "invalid":
        return Finding(SIGNALS["credentials_invalid"], None, shown(state=state, failures=failures))
    manifest = report["manifests"][report["active_manifest"]]
    statement = statement_of(report, trusted=state == "valid")
    signature = manifest.get("signature_info") or {}
    details = shown(
        state=state,
        signer=signature.get("issuer") or signature.get("common_name"),
        signed_at=signature.get("time"),
        source_type=statement.source_type,
        made_with=_claim_generator(manifest),
        ingredients=len(manifest.get("ingredients") or ()) or None,
        failures=failures,
    )
    kind = {"ai": "_ai", "edited": "_edited", "camera": "_camera"}.get(statement.says, "")
    if state == "valid":
        key = "credentials_signed" + kind
    else:
        key = "credentials_untrusted" + (kind if kind != "_camera" else "")
    agent = statement.agent or details.get("made_with")
    return Finding(SIGNALS[key], shown(name=agent).get("name") if kind else None, details)


def _state(report: Mapping[str, Any]) -> tuple[str, list[str]]:
    """`valid`, `untrusted signer` or `invalid`, and the codes of what is wrong (C2PA specification
    2.2, "Validation status codes")."""
    results = report.get("validation_results") or {}
    active = results.get("activeManifest") or {}
    deltas = [one.get("validationDeltas") or {} for one in results.get("ingredientDeltas") or ()]
    good = {str(item.get("code")) for item in active.get("success") or ()}
    failures = [item for one in (active, *deltas) for item in one.get("failure") or ()]
    flaws = list(dict.fromkeys(str(item.get("code")) for item in failures))
    if report.get("validation_state") == "Trusted":
        return "valid", flaws
    whole = "claimSignature.validated" in good and not good.isdisjoint(_WHOLE)
    return ("untrusted signer" if whole and NOT_TRUSTED.issuperset(flaws) else "invalid"), flaws


def _claim_generator(manifest: Mapping[str, Any]) -> str | None:
    for info in manifest.get("claim_generator_info") or ():
        if isinstance(info, dict) and info.get("name"):
            return " ".join(str(info[key]) for key in ("name", "version") if info.get(key))
    return manifest.get("claim_generator")
