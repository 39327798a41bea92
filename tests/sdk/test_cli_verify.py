"""`aidetect verify`: the command, its exit status, and files that are not what they should be."""

import hashlib
import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from aidetect import ImageInfo
from aidetect._cli import main
from aidetect._jws import sign

from .verdicts import AI

KEY = OKPKey.generate_key("Ed25519")
IMAGE = b"\xff\xd8\xff the bytes of an image"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.jpg"
    path.write_bytes(IMAGE)
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    return path


def answer() -> dict[str, Any]:
    """A check object as a server answers it."""
    info = ImageInfo(hashlib.sha256(IMAGE).hexdigest(), 640, 480, "JPEG", len(IMAGE))
    verdict = replace(AI, image=info)
    return {"id": "0" * 32, "verdict": verdict.to_dict(), "signature": sign(verdict, KEY)}


@pytest.fixture
def run(
    image: Path, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs the command on an answer, or on text, and returns status and all that it says."""

    def verify(given: Any, *more: str) -> tuple[int, str]:
        path = tmp_path / "verdict.json"
        path.write_text(given if isinstance(given, str) else json.dumps(given))
        status = main(["verify", str(path), str(image), *(more or ("--keys", str(keys)))])
        shown = capsys.readouterr()
        return status, shown.out + shown.err

    return verify


def test_a_servers_answer_verifies(run: Callable[..., tuple[int, str]]) -> None:
    status, said = run(answer())
    assert status == 0, said
    assert said.startswith("verified: ") and "ai, P(AI) = 0.972" in said and "seresnet50 1.2" in said


def test_verdict_and_signature_alone_are_enough(run: Callable[..., tuple[int, str]]) -> None:
    found = answer()
    assert run({name: found[name] for name in ("verdict", "signature")})[0] == 0


def test_pem_and_the_variable_name_keys_too(
    run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(KEY.as_pem(private=False))
    assert run(answer(), "--keys", str(path))[0] == 0
    monkeypatch.setenv("AIDETECT_VERDICT_KEYS", str(path))
    assert main(["verify", str(tmp_path / "verdict.json"), str(image)]) == 0


def test_without_keys_it_says_what_to_do(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "verdict.json", str(image)]) == 2
    assert "--keys" in capsys.readouterr().err


def test_a_changed_verdict_does_not(run: Callable[..., tuple[int, str]]) -> None:
    found = answer()
    found["verdict"]["probability"] = 0.03
    status, said = run(found)
    assert status == 1 and said.startswith("not verified: probability is not what was signed")


def test_another_image_does_not(run: Callable[..., tuple[int, str]], image: Path) -> None:
    image.write_bytes(IMAGE + b"!")
    status, said = run(answer())
    assert status == 1 and "other bytes" in said


def test_another_servers_key_does_not(run: Callable[..., tuple[int, str]], keys: Path) -> None:
    keys.write_text(json.dumps({"keys": [OKPKey.generate_key("Ed25519").as_dict(private=False)]}))
    status, said = run(answer())
    assert status == 1 and "trusted keys" in said


def test_a_name_that_stands_twice_is_refused(run: Callable[..., tuple[int, str]]) -> None:
    """Readers that take the first of two would be shown what was not verified."""
    text = json.dumps(answer())
    for doubled in (
        text.replace('"verdict": {', '"verdict": {"label": "real", ', 1),
        text.replace('{"id"', '{"verdict": {"label": "real"}, "id"', 1),
    ):
        status, said = run(doubled)
        assert status == 2 and "twice" in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"verdict": 1, "signature": "x"}',
        '{"verdict": {}, "signature": null}',
        '{"verdict": {"probability": NaN}, "signature": "x"}',
        "[" * 100_000,
        "\x1b[2J",
    ],
    ids=range(9),
)
def test_what_is_no_signed_verdict_is_one_line(run: Callable[..., tuple[int, str]], text: str) -> None:
    status, said = run(text)
    assert status == 2 and said.count("\n") == 1 and "\x1b" not in said


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * 2_000_001], ids=["no text", "too large"])
def test_what_is_no_text_is_one_line(
    tmp_path: Path, image: Path, keys: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "verdict.json"
    path.write_bytes(content)
    assert main(["verify", str(path), str(image), "--keys", str(keys)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("missing", ["verdict", "image", "keys"])
def test_a_missing_file_is_named(
    tmp_path: Path, image: Path, keys: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(answer()))
    files = {"verdict": path, "image": image, "keys": keys}
    files[missing].unlink()
    assert main(["verify", str(path), str(image), "--keys", str(keys)]) == 2
    assert files[missing].name in capsys.readouterr().err


def test_strings_of_strangers_steer_no_terminal(run: Callable[..., tuple[int, str]]) -> None:
    found = answer()
    found["verdict"]["\x1b]0;owned\x07\u202e"] = 1
    status, said = run(found)
    assert status == 1 and "\x1b" not in said and "\u202e" not in said and "\\x1b]0;owned" in said


def test_nothing_is_asked_online(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    assert run(answer())[0] == 0
