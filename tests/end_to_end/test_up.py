"""`aidetect up`: one command that runs all, and what becomes of it when parts of it die."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ..sdk.origin import closed_port
from .stack import PATIENCE, Stack, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

PARTS = {"the worker": "aidetect worker", "the server": "aidetect serve", "Redis": "redis|valkey"}


def ask(stack: Stack, path: str, data: bytes | None = None, key: str | None = None) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {key or stack.key}", "Content-Type": "image/jpeg"}
    request = urllib.request.Request(stack.address + path.lstrip("/"), data, headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        body: dict[str, object] = json.load(answer)
        return body


def works(stack: Stack, image: bytes) -> bool:
    """Whether an image that was never sent before gets its verdict."""
    try:
        return ask(stack, "/v1/uploads?wait=20", image)["state"] == "done"
    except (urllib.error.URLError, OSError):
        return False


def unlike(image: bytes, number: int) -> bytes:
    """The same picture in another file."""
    return image + number.to_bytes(4, "big")


def test_ready_it_answers_keeps_its_secrets_and_ends_without_a_trace(
    tmp_path: Path, photograph: Path
) -> None:
    with Stack(tmp_path / "up") as stack:
        first = stack.key
        assert f"ready at {stack.page}" in stack.words()
        code = stack.words().partition("the code ")[2][:6]
        assert works(stack, photograph.read_bytes())
        for path in [stack.home, *stack.home.rglob("*")]:
            assert path.stat().st_uid == os.getuid()
        for path in (stack.home, *filter(Path.is_dir, stack.home.iterdir())):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
        for name in ("secret", "key", "redis.url", "signing/signing.pem", "logs/server.log"):
            assert stat.S_IMODE((stack.home / name).stat().st_mode) == 0o600, name
        secrets = [first, first.partition(".")[2], (stack.home / "secret").read_text().strip(), code]
        lines = " ".join(stack.left().values())  # what all users of this computer can see
        assert not [secret for secret in secrets if secret in lines]
        assert stack.stop() == 0
        assert stack.words().endswith("aidetect: ended\n")
        until(lambda: not stack.left(), lambda: str(stack.left()))
        stack.start()
        stack.wait_ready()
        assert stack.key == first
        assert works(stack, photograph.read_bytes())


def test_killed_it_takes_its_parts_along_and_starts_again(tmp_path: Path, photograph: Path) -> None:
    with Stack(tmp_path / "up") as stack:
        key = stack.key
        assert stack.process is not None and len(stack.left()) >= 4
        stack.process.kill()
        stack.process.wait()
        stack.start()  # at once: it waits for the Redis that is still writing
        stack.wait_ready()
        assert stack.key == key and works(stack, photograph.read_bytes())
        stack.process.kill()
        stack.process.wait()
        until(lambda: not stack.left(), lambda: str(stack.left()))


def test_each_part_is_started_again(tmp_path: Path, photograph: Path) -> None:
    with Stack(tmp_path / "up") as stack:
        image = photograph.read_bytes()
        for number, (name, pattern) in enumerate(PARTS.items()):
            os.kill(stack.head(pattern), signal.SIGKILL)
            said = f"{name} ended (killed by SIGKILL); starting it again in 0.5 s"
            until(lambda said=said: said in stack.words(), stack.words)
            until(lambda number=number: works(stack, unlike(image, number)), stack.words)
        assert stack.ended() is None


def test_a_watch_outlives_a_server(tmp_path: Path, photograph: Path) -> None:
    folder, said, told = tmp_path / "pictures", tmp_path / "said", tmp_path / "told"
    folder.mkdir()
    with Stack(tmp_path / "up") as stack, open(said, "wb") as errors, open(told, "wb") as lines:
        command = [sys.executable, "-m", "aidetect", "watch", str(folder), "--settle", "0.1"]
        command += ["--server", stack.address, "--trust", "first-use", "--json"]
        own = {"AIDETECT_API_KEY": stack.key, "AIDETECT_KNOWN_SERVERS": str(tmp_path / "known.json")}
        with subprocess.Popen(command, stdout=lines, stderr=errors, env=os.environ | own) as watch:
            try:
                until(lambda: "watching" in said.read_text(), said.read_text)
                stack.stop()
                (folder / "new.jpg").write_bytes(photograph.read_bytes())
                until(lambda: "tried again until it answers" in said.read_text(), said.read_text)
                stack.start()
                until(lambda: "new.jpg" in told.read_text(), said.read_text)
            finally:
                watch.send_signal(signal.SIGINT)
        assert watch.returncode == 130
        assert json.loads(told.read_text())["label"] and said.read_text().count("tried again until") == 1


def test_started_twice_it_says_where_it_runs(stack: Stack) -> None:
    second = run_up(stack.environ)
    assert second.returncode == 2 and stack.process is not None
    assert f"runs already, as process {stack.process.pid} at {stack.address}" in second.stderr
    assert stack.ended() is None and ask(stack, "/v1/server")["name"] == "aidetect"


def test_the_page_is_opened_with_a_code_and_no_key(stack: Stack) -> None:
    opened = stack.folder / "opened"
    until(opened.exists, stack.words)
    assert re.fullmatch(re.escape(stack.address) + "#pair=[0-9]{6}", opened.read_text())


def run_up(environ: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    """One that is expected to end by itself."""
    command = [sys.executable, "-m", "aidetect", "up", "--port", str(closed_port()), *options]
    return subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "AIDETECT_HOME": str(tmp_path / "home"), "AIDETECT_THREADS": "1"}


def test_a_port_that_is_taken(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_up(environ, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot be listened at (address already in use)" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_that_is_not_there(environ: dict[str, str]) -> None:
    done = run_up({**environ, "AIDETECT_MODEL": "/nowhere/model"})
    assert done.returncode == 2 and "/nowhere/model" in done.stderr and done.stderr.count("\n") == 1


def test_a_worker_that_is_told_wrong(environ: dict[str, str]) -> None:
    done = run_up({**environ, "AIDETECT_BACKEND": "abacus"})
    assert done.returncode == 2
    assert "the worker could not start" in done.stderr and "abacus" in done.stderr


def test_a_redis_that_cannot_start(environ: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "valkey-server").write_text("#!/bin/sh\necho 'the disk is full, \033[31msadly'\nexit 1\n")
    (folder / "valkey-server").chmod(0o700)
    done = run_up({**environ, "PATH": f"{folder}:{os.environ['PATH']}"})
    assert done.returncode == 2
    assert "Redis: the disk is full, " in done.stderr and "\033" not in done.stderr
    assert "Redis could not start (exit status 1)" in done.stderr


def test_a_redis_of_ones_own_is_used(environ: dict[str, str]) -> None:
    done = run_up({**environ, "AIDETECT_REDIS_URL": f"redis://:secret@127.0.0.1:{closed_port()}/0"})
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "AIDETECT_REDIS_URL does not answer" in done.stderr and "secret" not in done.stderr
    assert not (Path(environ["AIDETECT_HOME"]) / "redis").exists()


def test_a_folder_that_cannot_be_used(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_up({**environ, "AIDETECT_HOME": str(tmp_path / "file" / "home")})
    assert done.returncode == 2 and "AIDETECT_HOME" in done.stderr and "Traceback" not in done.stderr
