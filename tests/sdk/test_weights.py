"""Model packages: found, read once, and refused unless every byte is what the manifest names."""

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from aidetect import ConfigurationError, ModelIntegrityError, ModelNotFoundError
from aidetect import _weights as weights
from aidetect._weights import Manifest, list_models, load_package, models_folder

from .model_files import GOOD, GRAPH, WEIGHTS, write


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
