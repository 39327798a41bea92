"""The server as it is run: gunicorn with threads, in processes of its own, on a loopback port."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from ..sdk.origin import closed_port
from ..worker.workers import PATIENCE

THREADS = 32


class GunicornServer:
    """`with GunicornServer(folder, environ) as server: requests.get(server.url + "/healthz")`.

    `environ` holds the AIDETECT_… settings. What it logs goes to `server.log`.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], *, processes: int = 1, threads: int = THREADS
    ) -> None:
        self.log = folder / "gunicorn.log"
        self._environ = {**os.environ, "OMP_NUM_THREADS": "1", **environ}
        self._options = [f"--workers={processes}", f"--threads={threads}", "--graceful-timeout=3"]
        self.process: subprocess.Popen[bytes] | None = None
        self.port = closed_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "GunicornServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it, after `stop` and `kill` too; always on the same port."""
        begun = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-W", "error", "-m", "gunicorn", "--worker-class=gthread"]
        command += [*self._options, f"--bind=127.0.0.1:{self.port}", "aidetect_server:create_app()"]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=self._environ, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"no server: {self.log.read_text()[-3000:]}")
            if "Listening at: " in self.log.read_text()[begun:]:
                with contextlib.suppress(requests.RequestException):
                    if requests.get(self.url + "/healthz", timeout=PATIENCE).ok:
                        return
            time.sleep(0.05)

    def stop(self) -> None:
        """As a service manager would end it; killed where that takes too long."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        self.kill()

    def kill(self) -> None:
        """All of its processes at once, as a machine that loses power would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def bearer(key: str, **headers: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", **headers}
