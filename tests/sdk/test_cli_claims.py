"""`aidetect claims`: what files say, shown without a model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aidetect._cli import main

from .metadata_files import INFOTEXT, jpeg, png
from .origin import Origin
from .signed_files import MADE_BY_AI, TRUSTED, authority, signed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ca.pem").write_bytes(authority(TRUSTED).pem)
    monkeypatch.setenv("AIDETECT_TRUST_ANCHORS", str(tmp_path / "ca.pem"))
    (tmp_path / "a.png").write_bytes(png(parameters=INFOTEXT))
    (tmp_path / "b.jpg").write_bytes(signed(MADE_BY_AI))
    (tmp_path / "c.jpg").write_bytes(jpeg())
    return tmp_path


def test_each_file_is_told_with_what_it_rests_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["claims", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "Stable Diffusion web UI: AI made it (webui, not proven)" in shown
    assert "Dream Machine: AI made it (credentials_signed_ai, signed)" in shown
    assert "c.jpg: says nothing of its origin, which means nothing" in shown
    assert "castle" not in shown
    assert main(["claims", "--prompts", str(folder / "a.png")]) == 0
    assert "prompt: a castle" in capsys.readouterr().out


def test_as_json_and_with_a_file_that_is_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["claims", "--json", str(folder / "b.jpg"), str(folder / "none.png")]) == 1
    good, bad = map(json.loads, capsys.readouterr().out.splitlines())
    (claim,) = good["claims"]
    assert (claim["finding"], claim["signed"], claim["signer"]) == ("ai", True, "Maker Ltd")
    assert bad["error"]["code"] == "not_found"
    assert bad["error"]["input"] == str(folder / "none.png")


def test_an_address_is_fetched_as_check_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Origin() as origin:
        good = origin.serve("/a.png", (folder / "a.png").read_bytes()) + "?token=secret"
        page = origin.serve("/page", b"<html>", headers={"Content-Type": "text/html"}) + "?token=secret"
        assert main(["claims", good]) == 1
        assert "not on the public internet" in capsys.readouterr().err and not origin.connections
        assert main(["claims", "--allow-private", good]) == 0
        assert f"{good}\n  Stable Diffusion web UI: AI made it" in capsys.readouterr().out
        assert main(["claims", "--allow-private", page, str(folder / "c.jpg")]) == 1
        told = capsys.readouterr()
        assert "/page: is a web page" in told.err and "secret" not in told.err
        assert "c.jpg: says nothing" in told.out
        assert main(["claims", "--allow-private", "--json", "--max-bytes", "9", good]) == 1
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == "too_large" and error["input"] == origin.url("/a.png")


def test_standard_input_is_read_and_named_so(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aidetect", "claims", "--json", "-"],
        input=(folder / "a.png").read_bytes(),
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["file"] == "<stdin>" and found["claims"][0]["signal"] == "webui"


def test_anchors_that_are_not_there_are_wrong_configuration(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "ca.pem").unlink()
    assert main(["claims", str(folder / "b.jpg")]) == 2
    assert "AIDETECT_TRUST_ANCHORS" in capsys.readouterr().err
