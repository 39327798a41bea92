"""What `server.py` measures with: clients without a library, a bare Flask route, processes.

The clients are one epoll loop over kept connections, so that measuring takes little of the cores that
all parts share. Run by gunicorn, this module is the bare route: `_server_parts:bare()`.
"""

import heapq
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOLDERS = [HERE, HERE.parent / "server", HERE.parent / "worker", HERE.parent / "sdk"]
SECRET = "only for measuring: " + 32 * "s"
THREADS = 128

Ask = Callable[[int], bytes]
"""The bytes of the next request of client n."""


def bare(url: str = "") -> Any:
    """One route that does one Redis GET: what nothing on Flask and Redis can be faster than."""
    from flask import Flask, Response
    from redis import Redis

    app, redis = Flask("bare"), Redis.from_url(url or os.environ["AIDETECT_REDIS_URL"])

    @app.get("/")
    def get() -> Response:
        return Response(redis.get("bare") or b"{}", content_type="application/json")

    return app


def request(method: str, path: str, key: str = "", body: bytes = b"", more: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{more}"
    if key:
        head += f"Authorization: Bearer {key}\r\n"
    return head.encode() + b"\r\n" + body


class Load:
    """`clients` connections that each ask again as soon as they are answered.

    A 202 is asked for again at its Location after its Retry-After, as the API has it; the time until
    the last answer counts. `seconds` are of answered requests, `statuses` of all answers.
    """

    def __init__(
        self, port: int, clients: int, ask: Ask, key: Callable[[int], str] = lambda _: ""
    ) -> None:
        self.port, self._ask, self._key = port, ask, key
        self.seconds: list[float] = []
        self.statuses: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._begun: list[float | None] = [None] * clients
        self._since = 0.0
        self._received = [b""] * clients
        self._sent = [b""] * clients
        self._later: list[tuple[float, int, bytes]] = []
        self._sockets = [self._connect(client) for client in range(clients)]

    def _connect(self, client: int) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ, client)
        return connection

    def run(self, seconds: float = 1e9, count: int = sys.maxsize) -> float:
        """For so long, or until `count` are answered; answers a second."""
        begun, first = time.perf_counter(), len(self.seconds)
        self._since = begun
        for client, busy in enumerate(self._begun):
            if busy is None:  # else it still waits for an answer from the run before
                self._send(client, self._ask(client), new=True)
        while len(self.seconds) - first < count and time.perf_counter() - begun < seconds:
            wait = max(0.0, min(0.2, self._later[0][0] - time.perf_counter())) if self._later else 0.2
            for key, _ in self._selector.select(wait):
                self._receive(key.data)
            while self._later and self._later[0][0] <= time.perf_counter():
                _, client, text = heapq.heappop(self._later)
                self._send(client, text)
        return (len(self.seconds) - first) / (time.perf_counter() - begun)

    def close(self) -> None:
        for connection in self._sockets:
            connection.close()
        self._selector.close()

    def _send(self, client: int, text: bytes, new: bool = False) -> None:
        if new:
            self._begun[client] = time.perf_counter()
        self._received[client], self._sent[client] = b"", text
        try:
            self._sockets[client].sendall(text)
        except OSError:
            self._again(client)

    def _again(self, client: int) -> None:
        """The last request on a new connection: the server had closed the kept one meanwhile."""
        self._selector.unregister(self._sockets[client])
        self._sockets[client].close()
        self._sockets[client] = self._connect(client)
        self._sockets[client].sendall(self._sent[client])

    def _receive(self, client: int) -> None:
        try:
            part = self._sockets[client].recv(262144)
        except ConnectionError:
            part = b""
        if not part:
            self._again(client)
            return
        text = self._received[client] = self._received[client] + part
        head, found, body = text.partition(b"\r\n\r\n")
        if not found:
            return
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))
        }
        if len(body) < int(headers.get(b"content-length", b"0")):
            return
        status = int(head[9:12])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 202:
            again = request("GET", headers[b"location"].decode() + "?wait=20", self._key(client))
            at = time.perf_counter() + int(headers[b"retry-after"])
            heapq.heappush(self._later, (at, client, again))
            return
        begun = self._begun[client]
        if begun is not None and begun >= self._since:
            self.seconds.append(time.perf_counter() - begun)
        self._send(client, self._ask(client), new=True)


@contextmanager
def gunicorn(app: str, folder: Path, **environ: str) -> Iterator[tuple[int, int]]:
    """Port and pid of the one worker process of `app` under gunicorn."""
    log = folder / f"{app.partition(':')[0]}.log"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--worker-class=gthread",
        "--workers=1",
        "--keep-alive=15",
    ]
    command += [f"--threads={THREADS}", "--worker-connections=2000", "--keep-alive=15"]
    command += ["--bind=127.0.0.1:0", app]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=_environment(environ), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while "Booting worker" not in (text := log.read_text()):
            assert process.poll() is None and time.monotonic() < deadline, text
            time.sleep(0.05)
        port = int(text.split("http://127.0.0.1:")[1].split()[0])
        pid = int(text.split("Booting worker with pid: ")[1].split()[0])
        load = Load(port, 1, lambda _: request("GET", "/healthz"))
        load.run(count=1)
        load.close()
        yield port, pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def litserve_app(interpreter: str, folder: Path) -> Iterator[int]:
    """Port of LitServe with `_litserve_app.py`; the interpreter has to have litserve and requests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [interpreter, str(HERE / "_litserve_app.py"), str(port)]
    log = folder / "litserve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not _healthy(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _healthy(url: str) -> bool:
    """Whether LitServe's model processes are there, which come after its port."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def worker(kind: str, folder: Path, alive: Callable[[], Any], **environ: str) -> Iterator[None]:
    """A worker process of this class, once it is alive."""
    log = folder / "worker.log"
    command = [sys.executable, "-m", "rq.cli", "worker", "-q", "-w", kind, "checks"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=_environment(environ), stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 120
        while not alive():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _environment(more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, FOLDERS)), **more}


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
