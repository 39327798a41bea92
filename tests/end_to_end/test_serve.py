"""`aidetect serve`: the server alone, as production runs it."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aidetect import ConfigurationError
from aidetect_server._serve import ServeSettings, gunicorn_options

from ..sdk.origin import closed_port
from .stack import PATIENCE, parent, until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="gunicorn does not run on Windows")
STRANGE = ["..%2f_keys.py", "../_keys.py", "inject/../../_keys.py", "etc/passwd", "x%00.js", ""]
NO_ADDRESSES = ["8787", "localhost", ":80", "127.0.0.1:0", "127.0.0.1:70000", "unix:", "a:b"]
ADDRESSES = ["[::1]:8787", "0.0.0.0:80", "unix:/run/aidetect.sock", "example.org:8443"]
SECRET = "only for tests " + 32 * "x"


class Served:
    """`aidetect serve` in a process of its own; no Redis is there, and none is needed for /healthz."""

    def __init__(self, folder: Path, *options: str, **environ: str) -> None:
        self.port = closed_port()
        self.environ = {
            **os.environ,
            "AIDETECT_HOME": str(folder / "home"),
            "AIDETECT_REDIS_URL": f"redis://127.0.0.1:{closed_port()}/0",
            "AIDETECT_SECRET": SECRET,
            "AIDETECT_BIND": f"127.0.0.1:{self.port}",
            **environ,
        }
        command = [sys.executable, "-m", "aidetect", "serve", *options]
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def status(self, path: str) -> int | None:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return int(error.code)
        except OSError:
            return None

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path, "--processes", "2")
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def test_it_serves_page_and_health_without_redis_and_ends_when_told(served: Served) -> None:
    until(lambda: served.status("/healthz") == 200, served.log.read_text)
    assert served.status("/") == served.status("/static/page/inject/card.js") == 200
    assert served.status("/v1/server") in (401, 503)
    assert served.end() == 0
    assert "Traceback" not in served.log.read_text()


def test_nothing_but_the_pages_own_files_is_served(served: Served) -> None:
    until(lambda: served.status("/healthz") == 200, served.log.read_text)
    for path in STRANGE:
        with socket.create_connection(("127.0.0.1", served.port)) as line:
            line.sendall(f"GET /static/page/{path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert line.recv(100).split()[1] in (b"404", b"400"), path


@pytest.mark.parametrize(
    "environ, said",
    [
        ({"AIDETECT_SECRET": ""}, "AIDETECT_SECRET is not set"),
        ({"AIDETECT_SERVER_THREADS": "20"}, "has to exceed AIDETECT_MAX_WAITERS (96)"),
        ({"AIDETECT_MODEL": "/nowhere"}, "/nowhere"),
        ({"AIDETECT_GRACE": "soon"}, "AIDETECT_GRACE"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    server = Served(tmp_path, **environ)
    assert server.process.wait(PATIENCE) == 2
    assert said in server.log.read_text() and server.log.read_text().count("\n") == 1


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Served(tmp_path, "--bind", f"127.0.0.1:{taken.getsockname()[1]}")
        assert server.process.wait(PATIENCE) == 2
    assert "address already in use" in server.log.read_text()


def children(id: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if parent(int(folder.name)) == id:
                found.append(int(folder.name))
    return found


def unlocked(folder: Path) -> bool:
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_a_killed_server_has_left_goes_with_the_next(tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    figures.mkdir()
    servers: list[Served] = []

    def begun() -> set[Path]:
        servers.append(Served(tmp_path, TMPDIR=str(figures)))
        until(lambda: servers[-1].status("/healthz") == 200, servers[-1].log.read_text)
        return set(figures.glob("aidetect-figures-*"))

    def age() -> None:
        for folder in figures.iterdir():
            os.utime(folder, (0, 0))

    try:
        [left] = begun()
        before = set(children(servers[0].process.pid))
        os.kill(min(before), signal.SIGTERM)
        until(lambda: len(set(children(servers[0].process.pid)) - before) == 1)
        assert left.exists(), "it is not that process's to take away"
        servers[0].process.kill()
        servers[0].process.wait()
        until(lambda: unlocked(left))  # its processes end once they see that
        age()
        [first] = begun()
        assert first != left
        age()
        two = begun()
        assert len(two) == 2 and first in two, "that of a server that runs stays"
        assert [server.end() for server in servers[1:]] == [0, 0]
        assert not list(figures.glob("aidetect-figures-*"))
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()


@pytest.mark.parametrize("bind", NO_ADDRESSES)
def test_an_address_that_is_none(bind: str) -> None:
    with pytest.raises(ConfigurationError, match="AIDETECT_BIND"):
        ServeSettings.from_environment({"AIDETECT_BIND": bind})


@pytest.mark.parametrize("bind", ADDRESSES)
def test_an_address_that_is_one(bind: str) -> None:
    settings = ServeSettings.from_environment({"AIDETECT_BIND": bind})
    assert gunicorn_options(settings, "info")["bind"] == [bind]
