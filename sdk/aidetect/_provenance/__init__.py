"""What a file says of its own origin: claims of generators, editors and cameras, without a model.

But for Content Credentials of a trusted signer, all of it can be forged in both directions: it is told
as a claim (`_fusion` has the rules), and that nothing is found never means anything.
`docs/evidence.md` has the table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import _generators, _standards
from ._credentials import check_credentials, trust_fingerprint
from ._finding import Finding
from ._metadata import Metadata, read_metadata
from ._signals import SIGNALS

__all__ = ["Finding", "claims_from_dicts", "claims_identity", "find_claims"]

CLAIMS_VERSION = 2
"""Raised whenever the same file could give other findings by the same trust anchors."""


def claims_identity() -> str:
    """Names all that findings depend on besides the file: their readers, and whether and by which
    anchors credentials are checked. Findings that are kept, are kept under it. Raises
    ConfigurationError for anchors that cannot be read."""
    return f"{CLAIMS_VERSION}-{trust_fingerprint()}"


_LOOKED_FOR: tuple[Callable[[Metadata], Iterator[Finding]], ...] = (
    _standards.credentials_elsewhere,
    _standards.iptc,
    _standards.china,
    _standards.google,
    _generators.webui,
    _generators.comfyui,
    _generators.invokeai,
    _generators.novelai,
    _generators.stealth,
    _generators.fooocus,
    _generators.swarmui,
    _generators.midjourney,
    _generators.grok,
    _generators.others,
    _standards.camera,
)


def find_claims(
    data: bytes, form: str, notes: tuple[str, ...] = (), *, prompts: bool = False
) -> tuple[Finding, ...]:
    """All that the file claims, in a fixed order; `form` is its format by `_image_format`, `notes` are
    those of the decoded image, which tell of a mark in its pixels. `prompts`: also what its maker
    typed, which is private more often than not.

    Whatever the bytes, it raises nothing and its work is bounded: no address is asked, and pixels
    are read only to check the signature of Content Credentials. Formats without metadata (BMP) give
    nothing. Raises ConfigurationError where AIDETECT_TRUST_ANCHORS is needed and cannot be used.
    """
    metadata = read_metadata(data, form)
    metadata.notes = notes
    found: list[Finding] = []
    if metadata.credentials:
        found.append(check_credentials(data, form, metadata.credentials))
    for look in _LOOKED_FOR:
        try:
            found.extend(look(metadata))
        except Exception:  # a stranger's strings; no check fails on account of them
            continue
    return tuple(found if prompts else (finding.without_prompt() for finding in found))


def claims_from_dicts(wire: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Inverse of `Finding.to_dict` for each; a signal that this version does not know is left out."""
    return tuple(
        Finding(SIGNALS[one["signal"]], one["generator"], dict(one["details"]))
        for one in wire
        if one["signal"] in SIGNALS
    )
