"""Who signed a model: trusted keys, what a signature covers, and the files that keys lie in."""

import base64
import os
import stat
from pathlib import Path

import pytest

from aidetect import ConfigurationError, ModelIntegrityError, ModelNotFoundError
from aidetect._signatures import generate_key, sign, trusted_keys, verify
from aidetect._weights import load_package

from .model_files import write


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A private key; its public one is beside it."""
    generate_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


def public(key: Path) -> bytes:
    return Path(f"{key}.pub").read_bytes()


def test_by_name_a_trusted_signature_is_needed_where_there_are_keys(
    folder: Path, tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder)
    assert not load_package("mine").signed
    monkeypatch.setenv("AIDETECT_MODEL_KEYS", f"{private}.pub")
    with pytest.raises(ModelIntegrityError, match=r"has no signature mine\.sig"):
        load_package("mine")
    assert not load_package(path).signed
    sign(path, private.read_bytes())
    assert load_package("mine").signed and load_package(path).signed
    assert not load_package("mine", trusted_keys=[]).signed


def test_a_signature_that_is_not_a_trusted_keys_is_refused(
    folder: Path, tmp_path: Path, private: Path
) -> None:
    path = write(folder)
    generate_key(tmp_path / "other.pem")
    signature = sign(path, (tmp_path / "other.pem").read_bytes())
    keys = [public(private)]
    for model in ("mine", path):
        with pytest.raises(ModelIntegrityError, match=r"mine\.sig is not a trusted key's"):
            load_package(model, trusted_keys=keys)
        assert load_package(model, trusted_keys=[*keys, public(tmp_path / "other.pem")]).signed
    sign(path, private.read_bytes())
    path.write_bytes(path.read_bytes().replace(b"1.0", b"1.1"))
    for damaged in (signature.read_bytes(), b"", b"?", b"AAAA", b"\xff" * 64, b"A" * 2000):
        signature.write_bytes(damaged)
        with pytest.raises(ModelIntegrityError, match=r"mine\.sig"):
            load_package(path, trusted_keys=keys)


def test_signatures_cover_the_purpose_and_every_byte(tmp_path: Path, private: Path) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = write(tmp_path)
    data = path.read_bytes()
    signature = sign(path, private.read_bytes()).read_bytes()
    keys = trusted_keys([public(private)])
    assert verify(data, signature, keys)
    assert not verify(data + b" ", signature, keys)
    assert not verify(data, signature, ())
    bare = load_pem_private_key(private.read_bytes(), None).sign(data)  # type: ignore[union-attr, call-arg]
    assert not verify(data, base64.b64encode(bare), keys)


def test_a_key_file_is_for_its_owner_and_never_replaced(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        made = generate_key(tmp_path / "key")
    finally:
        os.umask(old)
    assert made == tmp_path / "key.pub"
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    before = (tmp_path / "key").read_bytes()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="is there already"):
            generate_key(tmp_path / "key")
        made.unlink(missing_ok=True)
    assert (tmp_path / "key").read_bytes() == before
    with pytest.raises(ConfigurationError, match="cannot write"):
        generate_key(tmp_path / "gone" / "key")


def test_keys_that_cannot_be_read_are_an_error_not_no_keys(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trusted_keys() == ()
    file = tmp_path / "keys.pem"
    monkeypatch.setenv("AIDETECT_MODEL_KEYS", str(file))
    with pytest.raises(ConfigurationError, match=r"AIDETECT_MODEL_KEYS.*No such file"):
        trusted_keys()
    for content in (b"", b"ssh-ed25519 AAAA", private.read_bytes()):
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match="holds no public key"):
            load_package("mine")
    file.write_bytes(public(private) + b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(ConfigurationError, match="key 2 is not an Ed25519"):
        trusted_keys()
    file.write_bytes(public(private) * 2)
    assert len(trusted_keys()) == 2


def test_only_an_ed25519_private_key_signs(tmp_path: Path, private: Path) -> None:
    path = write(tmp_path)
    for key in (b"", b"nonsense", public(private)):
        with pytest.raises(ConfigurationError, match="not an unencrypted Ed25519 private key"):
            sign(path, key)
    with pytest.raises(ModelNotFoundError, match=r"gone\.json"):
        sign(tmp_path / "gone.json", private.read_bytes())
    assert not path.with_suffix(".sig").exists()
