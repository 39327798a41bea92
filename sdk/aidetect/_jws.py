"""Signed verdicts: a compact JWS (RFC 7515) of the verdict itself, by Ed25519 (RFC 8037, RFC 9864).

The payload is `{"aidetect": 1, "verdict": {…}}`, the verdict's wire form less `UNSIGNED`, so that every
field is covered and nothing has to be put into a canonical form before it is compared. The algorithm
is fixed and the type is named in the header: a token made for anything else, with another algorithm,
or with none, never fits. A key is found by its id among those that the caller trusts, and nowhere else.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._errors import ConfigurationError, SignatureError
from ._text import printable
from ._verdict import Verdict

if TYPE_CHECKING:
    from joserfc.jwk import OKPKey

ALGORITHM = "Ed25519"
TYPE = "aidetect-verdict+jws"
VERSION = 1
UNSIGNED = frozenset(("cached", "elapsed_ms", "source"))
"""Fields that say how a verdict was got, and by what name; they differ from answer to answer."""
MAX_TOKEN = 200_000
"""Characters of a token that is looked at."""


class Keys:
    """Public keys by their ids (the thumbprints of RFC 7638)."""

    def __init__(self, keys: "Mapping[str, OKPKey]") -> None:
        self._keys = dict(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, kid: object) -> bool:
        return kid in self._keys

    @classmethod
    def read(cls, data: bytes, name: str = "the keys") -> "Keys":
        """From a JWK Set, such as a server's /.well-known/jwks.json, or public keys in PEM.

        Keys of other kinds are left out. Raises ConfigurationError where none is left.
        """
        found = _from_pem(data) if b"-----BEGIN" in data else _from_jwks(data)
        if not found:
            raise ConfigurationError(
                f"{printable(name)}: holds no Ed25519 public key. Give a server's "
                "/.well-known/jwks.json, or public keys in PEM."
            )
        return cls(found)

    def claims(self, token: str) -> dict[str, Any]:
        """The verdict that `token` signs, less `UNSIGNED`.

        Raises SignatureError where no key of these has signed it, or it is no verdict.
        """
        from joserfc import jws
        from joserfc.errors import JoseError

        if len(token) > MAX_TOKEN:
            raise SignatureError("the signature is too long to be one of a verdict. Get it again.")
        try:
            header = jws.extract_compact(token.encode("ascii")).headers()
            key = self._keys.get(header.get("kid", ""))
            if header.get("alg") != ALGORITHM or header.get("typ") != TYPE:
                raise SignatureError("the signature is not one that aidetect makes. Get it again.")
            if key is None:
                raise SignatureError(
                    "none of the trusted keys made this signature. Get the server's keys again, over a "
                    "connection that you trust: it may have changed them."
                )
            payload = jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload
            claims = json.loads(payload or b"")
            verdict = claims["verdict"] if claims["aidetect"] == VERSION else None
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            raise SignatureError(
                "the signature does not hold: it was changed or cut, or made by another key. Get the "
                "verdict again from its server."
            ) from None
        if not isinstance(verdict, dict):
            raise SignatureError("the signature is of a newer form. Update aidetect.")
        return verdict

    def verify(self, verdict: Mapping[str, Any] | Verdict, token: str) -> None:
        """Raises SignatureError unless `token` signs exactly this verdict."""
        wire = verdict.to_dict() if isinstance(verdict, Verdict) else verdict
        claims = self.claims(token)
        stated = {name: value for name, value in wire.items() if name not in UNSIGNED}
        for name in sorted(claims.keys() | stated.keys()):
            if name not in stated or name not in claims or not _same(stated[name], claims[name]):
                raise SignatureError(
                    f"{printable(name, 60)} is not what was signed: the verdict was changed. Get it "
                    "again from its server."
                )


def sign(verdict: Verdict, key: "OKPKey") -> str:
    """The token of a verdict, by an Ed25519 private key."""
    from joserfc import jws

    wire = verdict.to_dict()
    payload = {"aidetect": VERSION, "verdict": {k: v for k, v in wire.items() if k not in UNSIGNED}}
    key.ensure_kid()
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}
    return jws.serialize_compact(header, json.dumps(payload).encode(), key, algorithms=[ALGORITHM])


def _from_jwks(data: bytes) -> "dict[str, OKPKey]":
    from joserfc.errors import JoseError
    from joserfc.jwk import OKPKey

    try:
        listed = json.loads(data)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    found = {}
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("kty") == "OKP" and each.get("crv") == ALGORITHM:
            try:
                key = OKPKey.import_key({"kty": "OKP", "crv": ALGORITHM, "x": str(each.get("x"))})
            except (JoseError, ValueError, TypeError):
                continue
            found[key.thumbprint()] = key
    return found


def _from_pem(data: bytes) -> "dict[str, OKPKey]":
    from cryptography.hazmat.primitives import serialization as form
    from joserfc.jwk import OKPKey

    from ._signatures import trusted_keys

    der = form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
    keys = [OKPKey.import_key(key.public_bytes(*der)) for key in trusted_keys([data])]
    return {key.thumbprint(): key for key in keys}


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; unlike Python's ==, true is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
