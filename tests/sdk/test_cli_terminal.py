"""Colour, progress and streams."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from aidetect._cli._check import report
from aidetect._cli._terminal import Progress, duration, tolerant, use_colour

from .api_server import ApiServer
from .verdicts import verdict


class Screen(io.StringIO):
    """A terminal of one line."""

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        """The line as a reader sees it."""
        cells: list[str] = []
        for part in re.split(r"\r", self.getvalue()):
            cells[: len(part)] = part
        return "".join(cells).rstrip()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_progress_says_how_far_how_fast_and_how_long() -> None:
    screen, clock = Screen(), Clock()
    progress = Progress(300, screen, clock)
    for _ in range(12):
        clock.now += 0.5
        progress.step()
    assert screen.shown == "12/300  2.0/s  ETA 2 min 24 s"


def test_progress_leaves_no_trace_under_a_shorter_line_or_when_cleared() -> None:
    screen, clock = Screen(), Clock()
    progress = Progress(1000, screen, clock)
    clock.now += 1000
    progress.step()
    assert "ETA 277 h 30 min" in screen.shown
    progress._done = 998
    progress.step()
    assert screen.shown == "999/1000  1.0/s  ETA 1 s"
    progress.clear()
    assert screen.shown == ""


def test_progress_is_not_redrawn_for_every_image() -> None:
    screen, clock = Screen(), Clock()
    progress = Progress(10_000, screen, clock)
    for _ in range(1000):
        clock.now += 0.001
        progress.clear()
        progress.step()
    assert 5 <= screen.getvalue().count("/s") <= 11


@pytest.mark.parametrize(("total", "stream"), [(1, Screen()), (50, io.StringIO())])
def test_no_progress_for_one_image_or_without_a_terminal(total: int, stream: io.StringIO) -> None:
    clock = Clock()
    progress = Progress(total, stream, clock)
    for _ in range(total):
        clock.now += 1
        progress.step()
    progress.clear()
    assert stream.getvalue() == ""


def test_results_and_progress_on_one_screen_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, clock = Screen(), Clock()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("time.monotonic", clock)
    monkeypatch.setenv("NO_COLOR", "1")
    answers = [verdict(source=f"{i}.jpg") for i in range(30)]

    def slowly() -> object:
        for answer in answers:
            clock.now += 1
            yield answer

    assert report(slowly(), 30, as_json=False, fail_on=[]) == 0  # type: ignore[arg-type]
    lines = [re.sub(r".*\r", "", line) for line in screen.getvalue().splitlines()]
    assert [line.split()[-1] for line in lines if line] == [f"{i}.jpg" for i in range(30)]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (125, "2 min 5 s"), (12_000, "3 h 20 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_colour_is_for_terminals(environment: dict[str, str], terminal: bool, expected: bool) -> None:
    assert use_colour(Screen() if terminal else io.StringIO(), environment) is expected


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_any_text_can_be_written_in_any_encoding(encoding: str) -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding, newline="")
    tolerant(stream)
    stream.write("图 é × \udce9\n")
    stream.flush()
    shown = buffer.getvalue().decode(encoding)
    assert shown.endswith("\\udce9\n")
    assert ("图" in shown) is (encoding == "utf-8")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_standard_input_that_is_a_terminal_is_not_waited_for() -> None:
    controller, terminal = os.openpty()
    try:
        command = [sys.executable, "-m", "aidetect", "check", "-"]
        done = subprocess.run(command, stdin=terminal, capture_output=True, text=True, timeout=120)
    finally:
        os.close(controller)
        os.close(terminal)
    assert done.returncode == 2 and "check - < photo.jpg" in done.stderr


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
@pytest.mark.parametrize("at_a_terminal", [True, False])
def test_that_a_server_is_waited_for_is_said_once_at_a_terminal(
    at_a_terminal: bool, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    controller, terminal = os.openpty()
    with ApiServer() as server:
        server.faults = [lambda handler: handler.problem("busy", 503)] * 4
        command = [sys.executable, "-m", "aidetect", "check", "a.png", "b.png", "c.png"]
        done = subprocess.run(
            [*command, "--server", server.url("/")],
            stdout=subprocess.PIPE,
            stderr=terminal if at_a_terminal else subprocess.PIPE,
            timeout=120,
            cwd=tmp_path,
        )
    os.close(terminal)
    said = os.read(controller, 10_000) if at_a_terminal else done.stderr
    os.close(controller)
    assert done.returncode == 0 and done.stdout.count(b"P(AI)") == 3
    waited = b"cannot answer at the moment (503); it is asked again, up to 5 times\r\n"
    assert said.count(b"asked again") == at_a_terminal
    assert (waited in said) is at_a_terminal


@pytest.mark.skipif(os.name == "nt", reason="closes descriptors in a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_status(closed: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    command = f"{sys.executable} -W error -m aidetect check a.png a.png {closed}"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("a.png") == (2 if closed == "2>&-" else 0)
