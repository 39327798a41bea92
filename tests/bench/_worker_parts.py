"""What `worker.py` measures with: a counted connection, what a stock worker does, an origin of its own.

Run as a script it is the origin: `python _worker_parts.py seconds kind` serves any number of images
(`/7.jpg`), each after that time, and prints its address. It speaks just enough HTTP: what it computes is
missing from the machine that is measured.
"""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "worker"), str(HERE.parent / "sdk"), str(HERE)]

import requests  # noqa: E402
from _pictures import encoded, photograph  # noqa: E402
from redis.connection import AbstractConnection  # noqa: E402

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
def origin(seconds: float, kind: str = "small") -> Iterator[str]:
    """The address of a server in a process of its own; `kind` "photos" are 640×480 JPEGs."""
    command = [sys.executable, __file__, str(seconds), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


class Images(asyncio.Protocol):
    """One connection, kept open. Other bytes for each path, so another hash; decoders ignore them."""

    def __init__(self, seconds: float, image: bytes) -> None:
        self._seconds, self._image, self._asked = seconds, image, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._asked += data
        while b"\r\n\r\n" in self._asked:
            head, _, self._asked = self._asked.partition(b"\r\n\r\n")
            asyncio.get_running_loop().call_later(self._seconds, self._reply, head.split(b" ", 2)[1])

    def _reply(self, path: bytes) -> None:
        body = self._image + path
        head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def serve(seconds: float, kind: str) -> None:
    image = encoded(photograph(640, 480, 0), "JPEG") if kind == "photos" else b"an image: "
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Images(seconds, image), "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    while os.getppid() != 1:
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), sys.argv[2]))
