"""The key that signs verdicts, and the public keys that clients verify them with.

A folder holds `signing.pem`, the private key, which only its owner can read, and `retired.json`, a JWK
Set of the public keys before it. A rotation is seen by running servers at the next verdict; where they
cannot read the new key, they go on with the one that they have. Old public keys stay published:
verdicts that they signed stay verifiable.
"""

import json
import logging
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import BaseModel

from aidetect import ConfigurationError, Verdict
from aidetect._jws import ALGORITHM, sign
from aidetect._text import printable

from ._home import default_folder
from ._openapi import answers, operation_id
from ._settings import ServerSettings

_log = logging.getLogger(__name__)

KEY, RETIRED = "signing.pem", "retired.json"
JWKS_SECONDS = 300


@dataclass(frozen=True)
class _Loaded:
    stamp: tuple[int, int, int]
    key: OKPKey
    jwks: dict[str, Any]


class Signer:
    """Signs with the key in `folder`, which is made, with the folder, where it is missing.

    Safe to share between threads; processes that start together end up with one key. Raises
    ConfigurationError where the folder or what lies in it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        if not (folder / KEY).exists():
            self._publish(_new_key(), os.link)
        self._current()

    def sign(self, verdict: Verdict) -> str:
        """The verdict as a compact JWS."""
        return sign(verdict, self._current().key)

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK Set, that in use first."""
        return self._current().jwks

    @property
    def kid(self) -> str:
        return self._current().key.thumbprint()

    def rotate(self) -> str:
        """Makes a new key, which signs from now on, and returns its id."""
        old = _public(self._current().key)
        retired = [old, *(key for key in self._retired() if key["kid"] != old["kid"])]
        # In this order a kill in between leaves the old key in use, listed twice at worst.
        _write(self.folder / RETIRED, json.dumps({"keys": retired}, indent=1).encode(), os.replace)
        self._publish(_new_key(), os.replace)
        return self.kid

    def _current(self) -> _Loaded:
        loaded = self._loaded
        try:
            stamp = _stamp(self.folder / KEY)
            if loaded is None or loaded.stamp != stamp:
                with self._lock:
                    self._loaded = loaded = self._load(stamp)
        except ConfigurationError as error:
            if loaded is None:
                raise
            _log.error("%s", error.message)
        return loaded

    def _load(self, stamp: tuple[int, int, int]) -> _Loaded:
        path = self.folder / KEY
        try:
            key = OKPKey.import_key(path.read_bytes())
            if key.curve_name != ALGORITHM or not key.is_private:
                raise ValueError("it is no private key for Ed25519")
        except OSError as error:
            raise _unusable(path, error.strerror or "no access") from None
        except (JoseError, ValueError, TypeError) as error:
            raise _unusable(path, str(error)) from None
        known = [_public(key)]
        known += [each for each in self._retired() if each["kid"] != known[0]["kid"]]
        return _Loaded(stamp, key, {"keys": known})

    def _retired(self) -> list[dict[str, Any]]:
        path = self.folder / RETIRED
        try:
            listed = json.loads(path.read_bytes())["keys"]
            return [_public(OKPKey.import_key(key)) for key in listed]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unusable(path, error.strerror or "no access") from None
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _unusable(path, f"{type(error).__name__}") from None

    def _publish(self, key: OKPKey, place: Callable[[Path, Path], None]) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self.folder / KEY, key.as_pem(private=True), place)
        except FileExistsError:
            pass  # another process was first: its key is used
        except OSError as error:
            raise _unusable(self.folder, error.strerror or "no access") from None


def signing_folder(settings: ServerSettings) -> Path:
    """Where a server with these settings keeps its key."""
    if settings.signing_folder:
        return Path(settings.signing_folder).expanduser()
    return default_folder() / "signing"


def _stamp(path: Path) -> tuple[int, int, int]:
    """What differs once a file was replaced."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unusable(path, error.strerror or "no access") from None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _new_key() -> OKPKey:
    return OKPKey.generate_key("Ed25519")


def _public(key: OKPKey) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": key.thumbprint(), "alg": ALGORITHM, "use": "sig"}


def _write(path: Path, data: bytes, place: Callable[[Path, Path], None]) -> None:
    """Writes a file whole, with mode 0600 and for its folder's owner, whoever runs this: `place`
    (os.link or os.replace) puts the draft there."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            owner = path.parent.stat()
            if owner.st_uid != os.geteuid():
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        place(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{printable(str(path))} cannot be used to sign verdicts ({printable(why, 120)}). Correct it, "
        "or name another folder in AIDETECT_SIGNING_FOLDER."
    )


class PublicKey(BaseModel):
    """An Ed25519 public key (RFC 8037); `kid` is its thumbprint (RFC 7638)."""

    kty: str
    crv: str
    x: str
    kid: str
    alg: str
    use: str


class PublicKeys(BaseModel):
    keys: list[PublicKey]


def jwks_blueprint(signer: Signer) -> APIBlueprint:
    """/.well-known/jwks.json of the signer's keys."""
    jwks = APIBlueprint(
        "jwks", __name__, abp_tags=[Tag(name="server")], operation_id_callback=operation_id
    )

    @jwks.get("/.well-known/jwks.json", responses=answers(_200=PublicKeys))
    def public_keys() -> Response:
        """The keys that verdicts are signed with: that in use, then those before it."""
        response = Response(json.dumps(signer.jwks()), content_type="application/json")
        response.headers["Cache-Control"] = f"public, max-age={JWKS_SECONDS}"
        return response

    return jwks
