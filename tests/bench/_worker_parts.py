"""What `worker.py` measures with: a counted connection, stub and stock workers, an origin of its own.

Run as a script it is the origin: `python _worker_parts.py seconds count` serves that many images, each
after that time, and prints its address.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "worker"), str(HERE.parent / "sdk"), str(HERE)]

import requests  # noqa: E402
from origin import Handler, Origin  # noqa: E402
from redis.connection import AbstractConnection  # noqa: E402
from sdk import encoded, photograph  # noqa: E402

SECRET = "only for measuring: " + 32 * "s"
FORWARD = 0.005


class RoundTrips:
    """Counts what this process sends to Redis; a pipeline counts once."""

    def __init__(self) -> None:
        self.count = 0
        send = AbstractConnection.send_packed_command
        lock = threading.Lock()

        def counted(connection: Any, *args: Any, **options: Any) -> Any:
            with lock:
                self.count += 1
            return send(connection, *args, **options)

        AbstractConnection.send_packed_command = counted


def stock_job(url: str | None = None) -> str:
    """What the stub model costs, as a stock worker does it: one job after the other."""
    if url:
        requests.get(url, timeout=10).raise_for_status()
    time.sleep(FORWARD)
    return "real"


@contextmanager
def origin(seconds: float, count: int, kind: str = "small") -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, __file__, str(seconds), str(count), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def serve(seconds: float, count: int, kind: str) -> None:
    photo = encoded(photograph(640, 480, 0), "JPEG") if kind == "photos" else b"an image: "

    def answer(number: int, handler: Handler) -> None:
        time.sleep(seconds)
        handler.reply(photo + str(number).encode())  # other bytes, so another hash; decoders ignore them

    with Origin() as server:
        for number in range(count):
            server.answer(f"/{number}.jpg", partial(answer, number))
        print(server.url(""), flush=True)
        while os.getppid() != 1:
            time.sleep(0.5)


if __name__ == "__main__":
    serve(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
