"""`aidetect models`: list, verify, sign, keygen, on packages of the tests' own making."""

import json
import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from aidetect._cli import main
from aidetect._pins import MODEL
from aidetect._weights import SHIPPED_FOLDER, Manifest


def make_package(folder: Path, name: str = "mine", about: str = "") -> Path:
    """A package whose files are whole; they need not make a network for what is tested here."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, graph = b"weights " * 100, b"graph"
    (folder / f"{name}.safetensors").write_bytes(weights)
    (folder / f"{name}.onnx").write_bytes(graph)
    manifest = Manifest(
        name=name,
        version="3.1",
        contract=1,
        view_size=224,
        architecture={},
        weights_sha256=sha256(weights).hexdigest(),
        graph_sha256=sha256(graph).hexdigest(),
        calibration={},
        trained_on="nothing",
        created="2025-01-02T03:04:05+00:00",
        about=about,
    )
    path = folder / f"{name}.json"
    path.write_bytes(manifest.to_json())
    return path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "model")


@pytest.fixture
def key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A private key made by the command; the public one beside it ends in .pub."""
    path = tmp_path / "key.pem"
    assert main(["models", "keygen", str(path)]) == 0
    capsys.readouterr()
    return path


def one_line_of_error(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("aidetect: ") and shown.err.count("\n") == 1
    return shown.err


@pytest.mark.parametrize("command", [["models"], ["models", "list"]])
def test_list_names_the_models_of_the_folder_and_the_folder(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_package(tmp_path, "beta", about="for\x1b[31m tests")
    make_package(tmp_path, "alpha")
    monkeypatch.setenv("AIDETECT_MODELS", str(tmp_path))
    assert main(command) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["alpha  3.1", "beta  3.1  for\\x1b[31m tests"]
    assert str(tmp_path) in last


def test_list_keeps_a_model_on_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIDETECT_MODELS", str(tmp_path))
    make_package(tmp_path, about="of two\nlines")
    assert main(["models"]) == 0
    assert "mine  3.1  of two lines\n" in capsys.readouterr().out


def test_list_as_json_is_one_manifest_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_package(tmp_path, "alpha", about="für")
    monkeypatch.setenv("AIDETECT_MODELS", str(tmp_path))
    assert main(["models", "list", "--json"]) == 0
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown.splitlines()[-1]) == json.loads(path.read_bytes())


def test_keygen_sign_verify(package: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.name == "posix":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert main(["models", "sign", str(package), "--key", str(key)]) == 0
    assert "mine.sig" in capsys.readouterr().out
    assert main(["models", "verify", str(package), "--key", f"{key}.pub"]) == 0
    assert capsys.readouterr().out == "mine 3.1: whole, and signed with a trusted key\n"


@pytest.mark.parametrize("which", ["", "mine.safetensors", "mine.onnx"])
def test_a_model_is_signed_by_its_folder_or_any_of_its_files(
    package: Path, key: Path, which: str
) -> None:
    assert main(["models", "sign", str(package.parent / which), "--key", str(key)]) == 0
    assert main(["models", "verify", str(package), "--key", f"{key}.pub"]) == 0


def test_a_signed_model_can_be_signed_again_with_another_key(
    package: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pem"
    assert main(["models", "keygen", str(other)]) == 0
    assert main(["models", "sign", str(package), "--key", str(key)]) == 0
    monkeypatch.setenv("AIDETECT_MODEL_KEYS", f"{other}.pub")
    assert main(["models", "sign", str(package), "--key", str(other)]) == 0
    assert main(["models", "verify", str(package)]) == 0


def test_a_model_signed_by_somebody_else_is_refused(
    package: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["models", "keygen", str(tmp_path / "other.pem")])
    main(["models", "sign", str(package), "--key", str(key)])
    capsys.readouterr()
    assert main(["models", "verify", str(package), "--key", str(tmp_path / "other.pem.pub")]) == 2
    assert "mine.sig" in one_line_of_error(capsys)


def test_a_model_without_a_signature_fails_where_one_was_asked_for(
    package: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "verify", str(package), "--key", f"{key}.pub"]) == 2
    assert "not signed" in one_line_of_error(capsys)
    assert main(["models", "verify", str(package)]) == 0
    assert "not checked" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["verify", "sign"])
@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", ".json"])
def test_a_model_that_is_not_whole_is_refused(
    package: Path, key: Path, command: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = package.with_suffix(suffix)
    path.write_bytes(path.read_bytes()[:-4])
    options = ["--key", str(key)] if command == "sign" else []
    assert main(["models", command, str(package), *options]) == 2
    assert "mine" in one_line_of_error(capsys)
    assert not package.with_suffix(".sig").exists()


@pytest.mark.parametrize("command", ["verify", "sign"])
def test_a_key_that_is_none_is_one_sentence(
    package: Path, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.key").write_text("hello")
    for path in (tmp_path / "no.key", tmp_path / "gone\x1b.key", tmp_path):
        assert main(["models", command, str(package), "--key", str(path)]) == 2
        assert one_line_of_error(capsys)[:-1].isprintable()


def test_a_key_is_never_replaced(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = key.read_bytes()
    assert main(["models", "keygen", str(key)]) == 2
    assert "key.pem" in one_line_of_error(capsys)
    assert key.read_bytes() == before


def test_a_model_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nothing-like-it", "./nothing.json", "no\x1bname"):
        assert main(["models", "verify", name]) == 2
        assert one_line_of_error(capsys)[:-1].isprintable()


@pytest.mark.parametrize(
    "named", [[], [MODEL], [str(SHIPPED_FOLDER)]], ids=["not", "by name", "by path"]
)
def test_the_shipped_model_is_whole_however_it_is_named(
    named: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "verify", *named]) == 0
    assert "released with" in capsys.readouterr().out
