"""docs/uses.md: its Python runs, its commands run, what it says of status 3 holds."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from aidetect import ConfigurationError, Detector
from aidetect._detector import _OWN

from .sdk.api_server import KEY, ApiServer
from .sdk.verdicts import verdict

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "uses.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    *re.findall(r"^aidetect .*", PAGE, re.MULTILINE),
    *re.findall(r"^ *(?:run|entry): (aidetect .*)", PAGE, re.MULTILINE),
]


@pytest.fixture
def folder(tmp_path: Path, photograph: Path) -> Path:
    """A folder with the files that the page names, none of them by AI as far as is known."""
    for name in ("photos", "images"):
        (tmp_path / name).mkdir()
    (tmp_path / "photo.jpg").write_bytes(photograph.read_bytes())
    Image.new("RGB", (200, 160), (90, 120, 150)).save(tmp_path / "drawing.png")
    (tmp_path / "photos" / "1.jpg").write_bytes(photograph.read_bytes())
    Image.new("RGB", (200, 160), (90, 120, 150)).save(tmp_path / "images" / "2.png")
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AIDETECT_KNOWN_SERVERS": str(folder / "known.json")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180
    )


def test_there_is_something_to_run() -> None:
    assert len(PYTHON) >= 3 and len(COMMANDS) >= 3


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_the_python_runs(number: int, folder: Path, server: ApiServer) -> None:
    program = PYTHON[number]
    if "pandas" in program:
        pytest.importorskip("pandas", reason="the example needs pandas")
    if "url=" in program:
        from joserfc.jwk import OKPKey

        from aidetect import Verdict
        from aidetect._jws import sign

        key = OKPKey.generate_key("Ed25519")
        server.sign = lambda wire: sign(Verdict.from_dict(wire), key)
        server.jwks = {"keys": [key.as_dict(private=False)]}
        for given, here in (("http://127.0.0.1:8787", server.url("")), ("id.secret", KEY)):
            assert given in program
            program = program.replace(given, here)
    done = run([sys.executable, "-W", "error", "-c", program], folder)
    assert done.returncode == 0, done.stderr
    assert "drawing.png" in done.stdout or "P(AI)" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_run(command: str, folder: Path) -> None:
    program, *arguments = shlex.split(command)
    assert program == "aidetect"
    if arguments[0] == "check":
        arguments.append("drawing.png")
    done = run([sys.executable, "-m", "aidetect", *arguments], folder)
    assert done.returncode in (0, 3) and "usage" not in done.stderr, done.stderr
    written = [word for word in arguments if word.endswith((".csv", ".html"))]
    assert all((folder / name).stat().st_size > 100 for name in written)


def test_status_3_says_that_there_is_one(folder: Path) -> None:
    claim = b"Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"
    flat = Image.open(folder / "drawing.png")
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("parameters", f"a lake\n{claim.decode()}")
    flat.save(folder / "images" / "claimed.png", pnginfo=text)
    flat.close()
    command = next(command for command in COMMANDS if "--fail-on" in command and "scan" in command)
    assert run([sys.executable, "-m", *shlex.split(command)], folder).returncode == 3


def test_the_page_names_each_option_that_makes_the_model_here_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = set(
        re.findall(r"`(\w+)`", PAGE.partition("option of a model of one's own (")[2].split(")")[0])
    )
    given = {"model": "default", "backend": "onnx", "device": "cpu", "views": "fast", "threads": 1}
    given["allow_private"] = True
    assert named == set(given) == {*_OWN, "allow_private"}
    monkeypatch.setenv("AIDETECT_URL", "http://127.0.0.1:9")
    assert Detector().backend == "server"
    for name, value in given.items():
        options: dict[str, Any] = {name: value}
        assert Detector(**options).backend != "server", name
        with pytest.raises(ConfigurationError, match=name):
            Detector(url="http://127.0.0.1:9", **options)


class Text(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert {name for name, _ in attrs} <= {"style"}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_notebook_shows_hostile_text_as_text() -> None:
    from aidetect import ImageInfo, ModelInfo, Reason

    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b[2J'\"&"
    shown = verdict(
        source=hostile,
        reasons=(Reason("a", hostile),),
        image=ImageInfo("0" * 64, 1, 2, hostile, 3),
        model=ModelInfo(hostile, hostile, "f" * 64),
    )._repr_html_()
    page = Text()
    page.feed(shown)
    assert set(page.tags) <= {"div", "b", "ul", "li"}
    assert page.text.count("<script>alert(1)</script>") == 5 and page.text.isprintable()
    assert "Probably AI-generated" in page.text and "P(AI) = 97%" in page.text
