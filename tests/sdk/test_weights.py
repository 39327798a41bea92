"""Model packages: found, read once, and refused unless every byte is what the manifest names."""

import base64
import json
import os
import stat
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from aidetect import ConfigurationError, ModelIntegrityError, ModelNotFoundError
from aidetect import _weights as weights
from aidetect._signatures import generate_key, sign, trusted_keys, verify
from aidetect._weights import Manifest, list_models, load_package, models_folder

WEIGHTS, GRAPH = b"weights" * 100, b"graph" * 50
GOOD: dict[str, Any] = {
    "name": "mine",
    "version": "1.0",
    "contract": 1,
    "view_size": 112,
    "architecture": {"front_end": "rgb"},
    "weights_sha256": sha256(WEIGHTS).hexdigest(),
    "graph_sha256": sha256(GRAPH).hexdigest(),
    "calibration": {"floor": 0.01},
    "trained_on": "a list of tests",
    "created": "2025-01-01T00:00:00+00:00",
}


def write(folder: Path, name: str = "mine", **changes: Any) -> Path:
    """A whole package in `folder`, its manifest changed; returns the manifest's path."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(WEIGHTS)
    (folder / f"{name}.onnx").write_bytes(GRAPH)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**GOOD, "name": name, **changes}), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where models are looked up by name."""
    path = tmp_path / "models"
    path.mkdir()
    monkeypatch.setenv("AIDETECT_MODELS", str(path))
    return path


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A private key; its public one is beside it."""
    generate_key(tmp_path / "key.pem")
    return tmp_path / "key.pem"


def public(key: Path) -> bytes:
    return Path(f"{key}.pub").read_bytes()


@pytest.mark.parametrize("which", ["mine.json", "mine.safetensors", "mine.onnx", "mine", ""])
def test_a_path_to_any_part_of_it(tmp_path: Path, which: str) -> None:
    path = write(tmp_path)
    for given in (tmp_path / which, str(tmp_path / which)):
        package = load_package(given)
        assert (package.weights, package.graph) == (WEIGHTS, GRAPH)
        assert package.manifest == Manifest(**GOOD)
        assert (package.path, package.weights_name) == (path, "mine.safetensors")
        assert package.manifest_sha256 == sha256(path.read_bytes()).hexdigest()
        assert not package.signed


def test_a_name_is_looked_up_in_the_folder(folder: Path) -> None:
    write(folder, "se-resnet50_v1.2")
    assert load_package("se-resnet50_v1.2").manifest.name == "se-resnet50_v1.2"
    with pytest.raises(ModelNotFoundError, match=r"'other'.*known: .*se-resnet50_v1.2"):
        load_package("other")


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "a\x1b[31m", "x" * 200, "größe"])
def test_a_name_of_other_characters_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no model name") as caught:
        load_package(name)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("path", ["../models/mine", "./gone.json", "gone.onnx", "..", "sub/"])
def test_a_string_that_looks_like_a_path_is_one(
    path: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    with pytest.raises(ModelNotFoundError, match=r"no file|should hold one model"):
        load_package(path)


def test_a_folder_of_two_asks_which(tmp_path: Path) -> None:
    write(tmp_path, "one")
    write(tmp_path, "two")
    with pytest.raises(ModelNotFoundError, match=r"holds one\.json, two\.json"):
        load_package(tmp_path)
    assert load_package(tmp_path / "two").manifest.name == "two"


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
@pytest.mark.parametrize("damage", ["tampered", "truncated", "longer", "empty", "missing"])
def test_a_file_that_is_not_what_the_manifest_names(tmp_path: Path, suffix: str, damage: str) -> None:
    path = write(tmp_path).with_suffix(suffix)
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
        with pytest.raises(ModelNotFoundError, match=f"no file .*mine{suffix}"):
            load_package(tmp_path)
        return
    changed = {
        "tampered": data[:9] + bytes([data[9] ^ 1]) + data[10:],
        "truncated": data[:-1],
        "longer": data + b"\0",
        "empty": b"",
    }
    path.write_bytes(changed[damage])
    with pytest.raises(ModelIntegrityError, match=rf"mine\{suffix} \(.*fetch the model again"):
        load_package(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contract": 2}, "needs preprocessing contract 2.*update aidetect"),
        ({"contract": 0}, "contract is at least 1"),
        ({"contract": True}, "contract has to be of type int"),
        ({"view_size": 31}, "view_size 32 to 1024"),
        ({"view_size": "112"}, "view_size has to be of type int"),
        ({"architecture": []}, "architecture has to be of type dict"),
        ({"calibration": None}, "calibration has to be of type dict"),
        ({"weights_sha256": "ABC"}, "64 hexadecimal"),
        ({"graph_sha256": 64 * "g"}, "64 hexadecimal"),
        ({"name": "../mine"}, "is no name"),
        ({"name": "a\x1b"}, r"'a\\x1b' is no name"),
        ({"name": "other"}, r"describes model other: .* called other\.\*"),
    ],
)
def test_a_manifest_that_cannot_be(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path)
    path.write_text(json.dumps({**GOOD, **changes}))
    with pytest.raises(ModelIntegrityError, match=message) as caught:
        load_package(path)
    assert "mine.json" in caught.value.message


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_manifest_with_a_key_missing(tmp_path: Path, missing: str) -> None:
    path = write(tmp_path)
    path.write_text(json.dumps({key: value for key, value in GOOD.items() if key != missing}))
    with pytest.raises(ModelIntegrityError, match=f"{missing} missing"):
        load_package(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\xff\xfe", "NaN"])
def test_a_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    path = write(tmp_path)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelIntegrityError, match=r"not JSON|not a JSON object"):
        load_package(path)


def test_a_manifest_round_trips_and_may_hold_more() -> None:
    manifest = Manifest(**GOOD, about="für alle")
    assert Manifest.from_json(manifest.to_json()) == manifest
    more = {**json.loads(manifest.to_json()), "of_a_later_version": 1}
    assert Manifest.from_json(json.dumps(more).encode()) == manifest


def test_a_huge_manifest_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    with open(path, "r+b") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(ModelIntegrityError, match="more than 1,000,000 bytes"):
        load_package(path)


def test_what_is_used_is_what_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    opened: list[str] = []

    def counting(name: Any, mode: str) -> Any:
        opened.append(Path(name).name)
        return open(name, mode)

    monkeypatch.setattr(weights, "open", counting, raising=False)
    load_package(path)
    assert sorted(opened) == ["mine.json", "mine.onnx", "mine.safetensors"]


def test_the_shipped_model_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    monkeypatch.setattr(weights, "SHIPPED_FOLDER", tmp_path)
    monkeypatch.setattr("aidetect._pins.MODEL", "mine")
    monkeypatch.setattr("aidetect._pins.MANIFEST_SHA256", sha256(path.read_bytes()).hexdigest())
    assert load_package().manifest.name == "mine"
    write(tmp_path, calibration={"floor": 0.4})
    with pytest.raises(ModelIntegrityError, match="install aidetect again"):
        load_package()
    path.unlink()
    with pytest.raises(ModelNotFoundError, match="holds no model: install aidetect again"):
        load_package()


def test_list_shows_the_whole_ones(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "SHIPPED_FOLDER", tmp_path / "none")
    write(folder, "b")
    write(folder, "a")
    write(folder, "newer", contract=9)
    (folder / "c.json").write_text("{")
    assert [manifest.name for manifest in list_models()] == ["a", "b"]


def test_the_folder_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for platform, parent in (
        ("linux", ".local/share"),
        ("darwin", "Library/Application Support"),
        ("win32", "local"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        assert models_folder() == tmp_path / parent / "aidetect" / "models"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert models_folder() == tmp_path / "data" / "aidetect" / "models"
    monkeypatch.setenv("AIDETECT_MODELS", "~/mine")
    assert models_folder() == tmp_path / "mine"


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


@pytest.mark.parametrize("path", ["a\0.json", "./" + "x" * 300, "./" + "x" * 300 + "/y.json"])
def test_a_path_that_cannot_be_is_a_typed_error(path: str) -> None:
    with pytest.raises(ModelNotFoundError, match="cannot read"):
        load_package(path)


def test_the_home_of_nobody_is_a_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIDETECT_MODELS", "~no-such-user/models")
    with pytest.raises(ModelNotFoundError, match="no model 'mine'"):
        load_package("mine")
    monkeypatch.setenv("AIDETECT_MODEL_KEYS", "~no-such-user/keys.pem")
    with pytest.raises(ConfigurationError, match="AIDETECT_MODEL_KEYS"):
        load_package("mine")


def test_the_shipped_model_has_the_name_that_the_list_shows() -> None:
    [listed] = list_models()
    assert load_package(listed.name).manifest == load_package().manifest
