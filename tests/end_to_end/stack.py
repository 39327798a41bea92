"""`aidetect up` as its user runs it: in a process of its own, with its own folder and a free port."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from redis import Redis

from aidetect_server._keys import KeyStore
from aidetect_server._pairing import Pairings
from aidetect_worker._redis import connect

from ..sdk.origin import closed_port

PATIENCE = 120.0
"""Seconds for anything that starts: the machine may be loaded."""


class Stack:
    """`with Stack(folder) as stack:` begins when all parts are ready; ends them as Ctrl-C does."""

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None, *options: str) -> None:
        self.folder, self.home = folder, folder / "home"
        self.port = closed_port()
        self.options = options
        self.environ = {**os.environ, "AIDETECT_HOME": str(self.home), "AIDETECT_THREADS": "1"}
        self.environ |= environ or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.said = folder / "said"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def key(self) -> str:
        return (self.home / "key").read_text().strip()

    @property
    def page(self) -> str:
        """The address that it printed, with the key in it."""
        return f"{self.address}#key={self.key}"

    def words(self) -> str:
        return self.said.read_text(encoding="utf-8") if self.said.exists() else ""

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "aidetect", "up", "--port", str(self.port), *self.options]
        with open(self.said, "wb") as said:
            self.process = subprocess.Popen(
                command, env=self.environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    def wait_ready(self) -> None:
        until(lambda: "Ctrl-C ends everything" in self.words() or self.ended() is not None, self.words)
        assert self.ended() is None, self.words()

    def ended(self) -> int | None:
        assert self.process is not None
        return self.process.poll()

    def wait_ended(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        """Ctrl-C; returns the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.wait_ended()

    def __enter__(self) -> "Stack":
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        until(lambda: not self.left(), lambda: str(self.left()))

    def left(self) -> dict[int, str]:
        """Process id → command line of all that runs for this folder, whoever the parent is."""
        found = {}
        mark = b"AIDETECT_HOME=" + os.fsencode(self.home) + b"\0"
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                # Redis writes its title over its environment, and works in its folder.
                inside = (folder / "cwd").resolve().is_relative_to(self.home)
                if inside or mark in (folder / "environ").read_bytes():
                    line = (folder / "cmdline").read_bytes()
                    if line:  # a zombie has none
                        found[int(folder.name)] = line.replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
        return found

    def parts(self, pattern: str) -> list[int]:
        """Ids of the processes whose command line matches."""
        return [id for id, line in self.left().items() if re.search(pattern, line)]

    def head(self, pattern: str) -> int:
        """Of those processes the one that started the others."""
        found = self.parts(pattern)
        [head] = [id for id in found if parent(id) not in found]
        return head

    def new_key(self, **options: object) -> str:
        """A further key, made as `aidetect keys create` makes it."""
        with self._redis() as client:
            return KeyStore(client, self._secret).create("test", **options)[1]  # type: ignore[arg-type]

    def revoke(self, key: str) -> None:
        with self._redis() as client:
            KeyStore(client, self._secret).revoke(key.partition(".")[0])

    def pairing_code(self) -> str:
        """A code, as `aidetect pair` shows it."""
        with self._redis() as client:
            return Pairings(client, self._secret).create()

    @property
    def _secret(self) -> str:
        return (self.home / "secret").read_text().strip()

    def _redis(self) -> Redis:
        return connect((self.home / "redis.url").read_text().strip())


def parent(id: int) -> int:
    return int(Path(f"/proc/{id}/stat").read_text().rpartition(")")[2].split()[1])


def until(true: Callable[[], object], why: Callable[[], str] = str, seconds: float = PATIENCE) -> None:
    """Waits until `true()`; fails with what `why` says where that takes too long."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, why()
        time.sleep(0.05)
