"""`aidetect check` on real files: streams, exit statuses, bad input, signals.

Where a label has to be known, images are of one tone: those are `uncertain` under any weights. So most
tests take a network that is small.
"""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect import Verdict
from aidetect._cli import main

from ..networks import SMALL, package
from .origin import PATIENCE, Handler, Origin

COMMAND = [sys.executable, "-W", "error", "-m", "aidetect"]


def check(*arguments: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, "check", *arguments],
        input=stdin,
        capture_output=True,
        timeout=120,
        env={**os.environ, **variables},
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that choose the smallest network there is."""
    return ["--model", str(package(tmp_path_factory.mktemp("small"), SMALL)), "--threads", "1"]


@pytest.fixture(scope="module")
def flat() -> bytes:
    """A PNG of one tone."""
    buffer = io.BytesIO()
    Image.new("RGB", (96, 80), (90, 120, 150)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path, flat: bytes) -> Path:
    """Six images of one tone, and a text."""
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(flat)
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


def test_one_photograph_gets_a_card(photograph: Path) -> None:
    done = check(str(photograph))
    assert done.returncode == 0 and done.stderr == b""
    name, answer, *reasons, facts = done.stdout.decode().splitlines()
    assert name == str(photograph)
    assert answer.strip().startswith(("Probably", "Uncertain")) and "P(AI) = " in answer
    assert reasons and all(reason.startswith("  - ") for reason in reasons)
    assert "640×480 JPEG" in facts
    assert b"\x1b" not in done.stdout


def test_a_folder_gets_a_line_for_each_image(folder: Path, small: list[str]) -> None:
    done = check(str(folder), *small)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["uncertain"] * 6
    assert [str(folder / f"{i}.png") in line for i, line in enumerate(lines)] == [True] * 6


def test_the_rest_is_answered_when_some_input_is_bad(
    folder: Path, flat: bytes, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "1.png").write_bytes(b"just text")
    (folder / "3.png").write_bytes(flat[:-30])
    (folder / "4.png").write_bytes(b"")
    inputs = [str(folder), str(folder / "gone.jpg"), str(folder / "notes.txt")]
    assert main(["check", *inputs, *small]) == 1
    shown = capsys.readouterr()
    assert [Path(line.split()[3]).name for line in shown.out.splitlines()] == ["0.png", "2.png", "5.png"]
    errors = shown.err.splitlines()
    assert len(errors) == 5
    for error, name in zip(errors, ["1.png", "3.png", "4.png", "gone.jpg", "notes.txt"], strict=True):
        assert error.startswith("aidetect: ") and error.count(name) == 1


def test_json_has_errors_in_their_place_and_nothing_else(
    folder: Path, flat: bytes, small: list[str]
) -> None:
    (folder / "empty").mkdir()
    (folder / "2.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    inputs = [str(folder), str(folder / "empty"), "-", str(folder / "gone.jpg")]
    done = check("--json", *inputs, *small, stdin=flat)
    assert (done.returncode, done.stderr) == (1, b"")
    wires = [json.loads(line) for line in done.stdout.splitlines()]
    codes = [wire["error"]["code"] if "error" in wire else wire["label"] for wire in wires]
    one_tone = "uncertain"
    assert codes == [
        *[one_tone, one_tone, "unsupported_format", one_tone, one_tone, one_tone],
        *["not_found", one_tone, "not_found"],
    ]
    assert wires[2]["error"]["input"] == str(folder / "2.png")
    assert Verdict.from_dict(wires[0]).source == str(folder / "0.png")
    assert wires[7]["source"] == "<stdin>"


@pytest.mark.parametrize(
    ("names", "labels", "status"),
    [
        (["0.png"], ["uncertain"], 3),
        (["0.png"], ["ai"], 0),
        (["0.png", "gone.jpg"], ["ai", "uncertain"], 3),
        (["gone.jpg"], ["ai"], 1),
    ],
)
def test_fail_on(
    names: list[str], labels: list[str], status: int, folder: Path, small: list[str]
) -> None:
    options = [word for label in labels for word in ("--fail-on", label)]
    assert main(["check", *(str(folder / name) for name in names), *options, *small]) == status


def test_one_pixel_is_answered_and_too_small(
    tmp_path: Path, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert main(["check", str(tmp_path / "dot.png"), *small]) == 0
    shown = capsys.readouterr().out
    assert "Uncertain" in shown and "Too small" in shown


@pytest.mark.parametrize(
    "options",
    [
        ["--model", "no-such-model"],
        ["--model", "./nowhere/no-such.json"],
        ["--backend", "abacus"],
        ["--device", "\x1b[2J"],
        ["--device", "cuda", "--backend", "onnx"],
    ],
)
def test_wrong_configuration_is_one_sentence(
    options: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(folder), *options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("aidetect: ") and shown.err[:-1].isprintable()


def test_limits_are_passed_on(
    folder: Path, flat: bytes, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(folder / "0.png")
    for limit, code in [
        (["--max-bytes", "50"], "too_large"),
        (["--max-pixels", "50"], "too_many_pixels"),
    ]:
        assert main(["check", "--json", path, *limit, *small]) == 1
        assert json.loads(capsys.readouterr().out)["error"]["code"] == code
    assert check("--max-bytes", "50", "-", *small, stdin=flat).returncode == 1


def test_views_are_passed_on(
    photograph: Path, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    counts = []
    for views in ("fast", "default"):
        assert main(["check", "--json", "--views", views, str(photograph), *small]) == 0
        verdict = Verdict.from_dict(json.loads(capsys.readouterr().out))
        counts.append(len(verdict.evidence[0].details["views"]))
    assert counts[0] == 2 < counts[1]


def test_standard_input(flat: bytes, small: list[str]) -> None:
    done = check("-", *small, stdin=flat)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"<stdin>")
    done = check("-", *small)
    assert done.returncode == 1 and b"<stdin>" in done.stderr and b"empty" in done.stderr


def test_urls(origin: Origin, flat: bytes, small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    image = origin.serve("/a.png", flat)
    page = origin.serve("/page", b"<html>", headers={"Content-Type": "text/html"})
    inputs = [image, page, origin.url("/gone")]
    assert main(["check", "--json", "--allow-private", *inputs, *small]) == 1
    wires = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert wires[0]["source"] == image
    assert [wire["error"]["code"] for wire in wires[1:]] == ["not_an_image", "http_4xx"]
    assert len(origin.requests) == 3


@pytest.mark.parametrize(
    ("url", "code"), [("file:///etc/passwd", "invalid_url"), ("ftp://a.example/x.png", "invalid_url")]
)
def test_other_schemes_are_refused(
    url: str, code: str, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json", url, *small]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_local_addresses_are_refused_unless_allowed(
    origin: Origin, flat: bytes, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json", origin.serve("/a.png", flat), *small]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "blocked_address"
    assert origin.connections == 0


@pytest.mark.skipif(os.name == "nt", reason="names that Windows has not")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nasty_names_are_shown_harmless(
    encoding: str, tmp_path: Path, flat: bytes, small: list[str]
) -> None:
    names = [
        b"\x1b]0;owned\x07\x1b[2J.png",
        "a\u202egnp.png".encode(),
        b"two\nlines.png",
        b"caf\xe9.png",
    ]
    for name in names:
        try:
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(flat)
        except (OSError, UnicodeError):
            pytest.skip("this file system lacks such names")
    (tmp_path / "\x1b[1mbad.png").write_bytes(b"x")
    done = check(str(tmp_path), *small, PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 4 and len(done.stderr.splitlines()) == 1
    shown = (done.stdout + done.stderr).decode(encoding)
    assert shown.replace("\n", "").isprintable()
    assert "caf\\udce9.png" in shown


def test_a_reader_that_leaves_ends_it_quietly(folder: Path, small: list[str]) -> None:
    command = [*COMMAND, "check", *[str(folder)] * 20, *small]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b"uncertain")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_it_at_once_without_a_traceback(origin: Origin) -> None:
    asked = threading.Event()

    def never(handler: Handler) -> None:
        asked.set()
        handler.drip(b"", 0.1)

    command = [*COMMAND, "check", "--allow-private", "--timeout", str(2 * PATIENCE)]
    command.append(origin.answer("/slow.png", never))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert asked.wait(PATIENCE)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE / 2)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_on_a_terminal(
    variables: dict[str, str], coloured: bool, folder: Path, small: list[str]
) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm", **variables}
    controller, terminal = os.openpty()
    command = [*COMMAND, "check", str(folder / "0.png"), *small]
    done = subprocess.run(
        command, stdout=terminal, stderr=subprocess.PIPE, env=environment, timeout=120, check=False
    )
    os.close(terminal)
    shown = os.read(controller, 65536)
    os.close(controller)
    assert done.returncode == 0 and done.stderr == b""
    assert b"Uncertain" in shown and (b"\x1b[33m" in shown) is coloured


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_progress_on_a_terminal_is_gone_in_the_end(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (300, 300, 3), np.uint8)
    for i in range(12):
        Image.fromarray(noise).save(tmp_path / f"{i:02}.png")
    controller, terminal = os.openpty()
    command = [*COMMAND, "check", "--threads", "1", str(tmp_path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, timeout=120, check=False)
    os.close(terminal)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    assert done.returncode == 0 and done.stdout.count(b"\n") == 12
    assert "/12 " in shown and " ETA " in shown and "\n" not in shown
    assert shown.endswith(" \r")
