"""Bodies over real connections: late, cut short, too large, malformed; JSON that is a bomb."""

import json
import select
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from aidetect_server._bodies import SILENCE_SECONDS

from ..worker.workers import PATIENCE
from .gunicorn_server import GunicornServer, bearer

SECONDS = 2.0
LIMIT = 1_000_000


@pytest.fixture(scope="module")
def hasty(serve_all: Callable[..., GunicornServer]) -> GunicornServer:
    """It waits for no body longer than SECONDS."""
    return serve_all(body_timeout=SECONDS, max_bytes=LIMIT)


@pytest.fixture(scope="module")
def server(serve_all: Callable[..., GunicornServer]) -> GunicornServer:
    return serve_all(body_timeout=600.0, max_bytes=LIMIT)


def connected(server: GunicornServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def head(key: str, path: str = "/v1/uploads", **headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and body of the answer that the server sends before it closes."""
    received = b""
    while part := connection.recv(65536):
        received += part
    status = int(received.split()[1])
    return status, json.loads(received.partition(b"\r\n\r\n")[2])


def drip(connection: socket.socket, piece: bytes = b"x") -> None:
    """A piece every tenth of a second, so that it never falls silent, until the server answers."""
    end = time.monotonic() + PATIENCE
    while not select.select([connection], [], [], 0.1)[0]:
        assert time.monotonic() < end, "not cut"
        connection.sendall(piece)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_drips_is_cut(hasty: GunicornServer, key: str, chunked: bool) -> None:
    framing = {"Transfer_Encoding": "chunked"} if chunked else {"Content_Length": "5000"}
    with connected(hasty) as connection:
        connection.sendall(head(key, Content_Type="image/png", **framing))
        started = time.monotonic()
        drip(connection, b"1\r\nx\r\n" if chunked else b"x")
        status, problem = answer(connection)
    assert status == 408 and problem["code"] == "request_timeout"
    assert time.monotonic() - started < SECONDS + 8


def test_silence_is_cut_in_a_body_and_in_the_headers_of_a_kept_connection(
    server: GunicornServer, key: str
) -> None:
    with connected(server) as body, connected(server) as kept:
        body.sendall(head(key, Content_Type="image/png", Content_Length="5000") + b"x")
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b'"ok"}' not in received:  # head and body come apart
            received += kept.recv(65536)
        kept.sendall(b"GET /healthz HT")
        for connection in (body, kept):
            connection.settimeout(SILENCE_SECONDS + PATIENCE)
        status, problem = answer(body)
        assert (status, problem["code"]) == (408, "request_timeout")
        assert kept.recv(65536) == b"", "hung up"


def test_many_slow_bodies_leave_room_for_others(server: GunicornServer, key: str) -> None:
    slow = [connected(server) for _ in range(20)]
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(0.5):
            for connection in slow:
                connection.sendall(b"x")

    for connection in slow:
        connection.sendall(head(key, Content_Type="image/png", Content_Length="5000") + b"x")
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(go_on)
        try:
            assert requests.get(server.url + "/healthz", timeout=5).ok
            assert select.select(slow, [], [], 0)[0] == [], "all are still read"
        finally:
            ended.set()
        going.result()
    for connection in slow:
        connection.shutdown(socket.SHUT_WR)
    assert {answer(connection)[0] for connection in slow} == {400}
    for connection in slow:
        connection.close()


def test_a_kept_connection_outlives_the_deadline_of_its_first_body(
    hasty: GunicornServer, key: str
) -> None:
    with requests.Session() as session:
        for _ in range(3):
            sent = session.post(
                hasty.url + "/v1/uploads",
                data=b"x",
                headers=bearer(key, **{"Content-Type": "image/png"}),
                timeout=PATIENCE,
            )
            assert sent.status_code == 202
            time.sleep(SECONDS / 2)


@pytest.mark.parametrize(
    ("size", "headers", "status"),
    [
        (900_000, {"Content-Encoding": "gzip"}, 415),
        (900_000, {"Content-Type": "text/html"}, 415),
        (900_000, {"Authorization": ""}, 401),
        (3 * LIMIT, {}, 413),
    ],
    ids=["packed", "type", "key", "size"],
)
def test_a_connection_whose_body_was_refused_unread_is_said_to_end(
    server: GunicornServer, key: str, size: int, headers: dict[str, str], status: int
) -> None:
    """Else a client sends its next request on it, which nobody answers."""
    with requests.Session() as session:
        for _ in range(3):
            given = bearer(key, **{"Content-Type": "image/png"}) | headers
            sent = session.post(
                server.url + "/v1/uploads", data=b"x" * size, headers=given, timeout=PATIENCE
            )
            assert sent.status_code == status and sent.headers["Connection"] == "close"
        assert session.get(server.url + "/healthz", timeout=PATIENCE).ok


def test_a_truncated_body_is_told_so(server: GunicornServer, key: str) -> None:
    with connected(server) as connection:
        connection.sendall(head(key, Content_Type="image/png", Content_Length="5000") + b"x" * 100)
        connection.shutdown(socket.SHUT_WR)
        status, problem = answer(connection)
    assert status == 400 and problem["code"] == "truncated"


@pytest.mark.parametrize("junk", [b"zz\r\nx\r\n", b"-1\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"\x00\xff\r\n"])
def test_malformed_chunks_are_the_clients_mistake(server: GunicornServer, key: str, junk: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(head(key, Content_Type="image/png", Transfer_Encoding="chunked") + junk)
        connection.shutdown(socket.SHUT_WR)
        status, problem = answer(connection)
    assert status == 400 and problem["code"] == "truncated"


def test_an_oversize_body_is_refused_before_it_is_read(server: GunicornServer, key: str) -> None:
    with connected(server) as connection:
        connection.sendall(head(key, Content_Type="image/png", Content_Length=str(10 * LIMIT)))
        started = time.monotonic()
        received = connection.recv(65536)  # nothing was sent of it
    assert received.startswith(b"HTTP/1.1 413") and time.monotonic() - started < 5


def test_an_oversize_body_of_unknown_length_is_refused(server: GunicornServer, key: str) -> None:
    pieces = (b"x" * 100_000 for _ in range(30))
    sent = requests.post(
        server.url + "/v1/uploads",
        data=pieces,
        headers=bearer(key, **{"Content-Type": "image/png"}),
        timeout=PATIENCE,
    )
    assert sent.status_code == 413 and sent.json()["code"] == "too_large"


def test_a_body_of_the_limit_arrives(server: GunicornServer, key: str) -> None:
    sent = requests.post(
        server.url + "/v1/uploads",
        data=b"x" * LIMIT,
        headers=bearer(key, **{"Content-Type": "image/png"}),
        timeout=PATIENCE,
    )
    assert sent.status_code == 202


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b'{"url": ' + b"[" * 500 + b"]" * 500 + b"}", 400),
        (b'{"url": ' + b"9" * 50_000 + b"}", 400),
        (b'{"url": "' + b"x" * 1_100_000 + b'"}', 413),
        (b'{"url": "https://example.org/", "url": 1}', 422),
        (b'{"url": "\xff"}', 400),
        (b'{"url": "\\ud800"}', 400),
        (b'{"url": NaN}', 422),
        (b"\x00", 400),
        (b"", 400),
        (b"null", 422),
        (b'"{\\"url\\": \\"https://example.org\\"}"', 422),
    ],
    ids=range(13),
)
def test_json_bombs_and_junk_are_refused(
    server: GunicornServer, key: str, body: bytes, status: int
) -> None:
    headers = bearer(key, **{"Content-Type": "application/json"})
    answered = requests.post(server.url + "/v1/checks", data=body, headers=headers, timeout=PATIENCE)
    assert answered.status_code == status, answered.text
    assert answered.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "a/b/c", "json"]
)
def test_json_of_another_type_is_refused(server: GunicornServer, key: str, kind: str) -> None:
    answered = requests.post(
        server.url + "/v1/checks",
        data=b'{"url": "https://example.org"}',
        headers=bearer(key, **{"Content-Type": kind}),
        timeout=PATIENCE,
    )
    assert answered.status_code == 415
