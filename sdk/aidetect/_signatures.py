"""Ed25519 signatures (RFC 8032) over the manifests of models that travel on their own.

The manifest holds the SHA-256 of weights and graph, so that one signature covers all three files.
What is signed is a prefix and the manifest's bytes: a signature made for anything else never fits.
`NAME.sig` holds it as one line of base64. Private keys are unencrypted PKCS#8 PEM files that only
their owner can read; public ones PEM, any number of them in one file.
"""

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ._errors import ConfigurationError, ModelNotFoundError
from ._text import printable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PublicKey: TypeAlias = "Ed25519PublicKey"

LARGEST = 1000
"""Bytes that a file with a signature has at most."""

_PREFIX = b"aidetect model manifest, version 1\0"
_BEGIN, _END = b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----"


def generate_key(path: str | os.PathLike[str]) -> Path:
    """Makes a key pair: the private key in a new file `path` (mode 0600), the public one in
    `path`.pub, which is returned. Never replaces a file: ConfigurationError."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    public_path = Path(f"{os.fspath(path)}.pub")
    if public_path.exists():
        raise ConfigurationError(f"{printable(str(public_path))} is there already: choose another name")
    _create(Path(path), private, 0o600)
    _create(public_path, public, 0o644)
    return public_path


def sign(manifest: str | os.PathLike[str], private_key_pem: bytes) -> Path:
    """Writes the signature of the manifest NAME.json to NAME.sig, and returns that path.

    Whether the manifest is true is not looked at: load the package first. Raises
    ConfigurationError if the key is not an unencrypted Ed25519 private key, ModelNotFoundError if
    there is no manifest, OSError if the folder cannot be written.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            "not an unencrypted Ed25519 private key in PEM; make one with generate_key"
        )
    path = Path(manifest)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelNotFoundError(f"cannot read {printable(str(path))}: {error.strerror}") from None
    signature = key.sign(_PREFIX + data)
    target = path.with_suffix(".sig")
    target.write_bytes(base64.b64encode(signature) + b"\n")
    return target


def verify(manifest: bytes, signature: bytes, keys: Sequence[PublicKey]) -> bool:
    """Whether `signature` (the bytes of NAME.sig) is one of `manifest` by one of `keys`."""
    from cryptography.exceptions import InvalidSignature

    try:
        raw = base64.b64decode(signature.strip(), validate=True)
    except binascii.Error:
        return False
    for key in keys:
        try:
            key.verify(raw, _PREFIX + manifest)
        except InvalidSignature:
            continue
        return True
    return False


def trusted_keys(pems: Sequence[bytes] | None = None) -> tuple[PublicKey, ...]:
    """The Ed25519 public keys in `pems`; for None, in the file that AIDETECT_MODEL_KEYS names.

    Raises ConfigurationError if that cannot be read, holds anything else or no key at all: a
    mistyped setting must not switch the check off.
    """
    if pems is not None:
        return tuple(key for pem in pems for key in _parse(pem, "trusted_keys"))
    named = os.environ.get("AIDETECT_MODEL_KEYS")
    if not named:
        return ()
    try:
        data = Path(os.path.expanduser(named)).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"AIDETECT_MODEL_KEYS: {printable(named)}: {error.strerror}") from None
    return _parse(data, f"AIDETECT_MODEL_KEYS ({printable(named)})")


def _parse(pem: bytes, where: str) -> tuple[PublicKey, ...]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    blocks = [_BEGIN + part.partition(_END)[0] + _END for part in pem.split(_BEGIN)[1:]]
    keys: list[PublicKey] = []
    for block in blocks:
        try:
            key = load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigurationError(f"{where}: key {len(keys) + 1} is not an Ed25519 public key in PEM")
        keys.append(key)
    if not keys:
        raise ConfigurationError(f"{where}: holds no public key in PEM ({_BEGIN.decode()} …)")
    return tuple(keys)


def _create(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ConfigurationError(
            f"{printable(str(path))} is there already: choose another name"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {printable(str(path))}: {error.strerror}") from None
    with open(descriptor, "wb") as file:
        file.write(data)
