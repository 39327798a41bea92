"""`aidetect watch` on a real folder, and when a file counts as whole."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from aidetect._cli import main
from aidetect._watching import Watcher

from .image_files import noise, save
from .origin import PATIENCE, closed_port

PNG = save(noise(70, 70), "PNG")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(tmp_path: Path, clock: Clock) -> Callable[..., Watcher]:
    """A watcher of `tmp_path` that lets a file rest for two of the clock's seconds."""

    def start(existing: bool = False) -> Watcher:
        def listing() -> Iterator[str]:
            yield from sorted(str(path) for path in tmp_path.iterdir())

        return Watcher(listing, settle=2, existing=existing, clock=clock)

    return start


def test_what_is_there_already_is_left_out_unless_asked_for(
    watch: Callable[..., Watcher], clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "old.png").write_bytes(PNG)
    new_only, all_of_them = watch(), watch(existing=True)
    found = []
    for clock.now in (0, 2, 4):
        assert new_only.look() == []
        found += all_of_them.look()
    assert found == [str(tmp_path / "old.png")]


def test_a_file_is_given_once_when_it_has_rested(
    watch: Callable[..., Watcher], clock: Clock, tmp_path: Path
) -> None:
    watcher, path = watch(), tmp_path / "a.png"
    path.write_bytes(b"")
    for clock.now in (0, 5):
        assert watcher.look() == []  # nothing in it yet
    for step in range(5):
        path.write_bytes(PNG[: 10 * (step + 1)])
        clock.now += 1.5
        assert watcher.look() == []
    clock.now += 1.9
    assert watcher.look() == []
    clock.now += 0.2
    assert watcher.look() == [str(path)]
    clock.now += 100
    assert watcher.look() == []


def test_a_file_that_changes_or_comes_back_is_given_again(
    watch: Callable[..., Watcher], clock: Clock, tmp_path: Path
) -> None:
    watcher, path = watch(), tmp_path / "a.png"

    def rested() -> list[str]:
        watcher.look()
        clock.now += 2
        return watcher.look()

    path.write_bytes(PNG)
    assert rested() == [str(path)]
    path.write_bytes(PNG + b"more")
    assert rested() == [str(path)]
    path.unlink()
    assert rested() == []
    path.write_bytes(PNG + b"more")
    assert rested() == [str(path)]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_files_are_answered_as_they_appear_whole(tmp_path: Path) -> None:
    (tmp_path / "old.png").write_bytes(PNG)
    command = [sys.executable, "-m", "aidetect", "watch", str(tmp_path), "--json", "--views", "fast"]
    command += ["--threads", "1", "--settle", "5", "--interval", "0.1"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        ExitStack() as at_the_end,
    ):
        at_the_end.callback(process.kill)  # where something below fails
        assert process.stdout is not None and process.stderr is not None
        assert "watching" in process.stderr.readline()
        lines: queue.Queue[str] = queue.Queue()
        source = process.stdout
        reader = threading.Thread(target=lambda: [lines.put(line) for line in source], daemon=True)
        reader.start()
        with open(tmp_path / "half.png", "wb") as file:
            for part in (PNG[:4000], PNG[4000:8000], PNG[8000:]):
                file.write(part)
                file.flush()
                time.sleep(0.3)
        whole = json.loads(lines.get(timeout=PATIENCE))
        (tmp_path / "bad.png").write_bytes(b"text")
        bad = json.loads(lines.get(timeout=PATIENCE))
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        reader.join()
    assert whole["source"] == str(tmp_path / "half.png") and whole["image"]["bytes"] == len(PNG)
    assert bad["error"]["code"] == "not_an_image"
    assert process.returncode == 130 and lines.empty()


def test_what_is_done_with_files_does_not_count_as_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look of one second, then a thousand for the answers: it rests for nine."""
    clock, rests = Clock(), []
    (tmp_path / "a.png").write_bytes(PNG)

    def listing() -> Iterator[str]:
        clock.now += 1
        yield str(tmp_path / "a.png")

    def rest(seconds: float) -> None:
        rests.append(seconds)

    monkeypatch.setattr(time, "sleep", rest)
    watcher = Watcher(listing, settle=0, existing=True, clock=clock)
    for _ in watcher.forever(0.5):
        clock.now += 1000
        (tmp_path / "a.png").write_bytes(PNG + str(clock.now).encode())
        if len(rests) > 3:
            break
    assert set(rests) == {9}


def test_a_server_that_is_not_there_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"http://127.0.0.1:{closed_port()}"
    assert main(["watch", str(tmp_path), "--server", address, "--trust", "first-use"]) == 2
    assert address in capsys.readouterr().err


def test_no_such_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
