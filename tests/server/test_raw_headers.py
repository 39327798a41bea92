"""Headers as no HTTP library would send them, to the real server: doubled, folded, misspelt, endless."""

import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from ..worker.workers import PATIENCE
from .gunicorn_server import GunicornServer

WRONG = f"Bearer {'0' * 12}.{'A' * 43}"


@pytest.fixture
def ask(
    serve: Callable[..., GunicornServer], new_key: Callable[..., str]
) -> Iterator[Callable[..., int]]:
    """Sends lines of a request, in which KEY is a good key, as bytes; returns the answer's status."""
    server = serve(address_limit="3/3600 seconds", proxy_hops=1)
    port = urlsplit(server.url).port
    assert port is not None
    key = f"Bearer {new_key()}"

    def send(*lines: str) -> int:
        request = "\r\n".join((*lines, "Connection: close", "", "")).replace("KEY", key)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(request.encode("latin-1"))
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return int(answer.split(b" ", 2)[1]) if answer else 0

    yield send


HOST = "Host: localhost"
SERVER = "GET /v1/server HTTP/1.1"


def test_requests_that_no_library_sends(ask: Callable[..., int]) -> None:
    assert ask(SERVER, HOST, "Authorization: KEY") == 200
    refused = {400, 401, 421, 431}
    for lines in (
        (HOST, "Authorization: KEY", f"Authorization: {WRONG}"),
        (HOST, f"Authorization: {WRONG}", "Authorization: KEY"),
        (HOST, "Authorization : KEY"),
        (HOST, "Authorization:\r\n KEY"),
        (HOST, "AUTHORIZATION_: KEY"),
        (HOST, "Http-Authorization: KEY"),
        (HOST, "Authorization: KEY\x00"),
        (HOST, "Authorization: KEY\xa0"),
        (HOST, "Authorization: Bearer " + "A" * 100_000),
        (HOST, *(f"X-{n}: {'a' * 1000}" for n in range(300)), "Authorization: KEY"),
        (HOST, "Host: evil.example", "Authorization: KEY"),
        ("Host: evil.example", HOST, "Authorization: KEY"),
        ("Host: evil.example", "Authorization: KEY"),
        ("Host : localhost", "Authorization: KEY"),
        ("Authorization: KEY",),
    ):
        assert ask(SERVER, *lines) in refused | {429}, lines[:2]
    assert ask("GET /v1/server HTTP/1.0", "Authorization: KEY") == 421
    assert ask("GET http://evil.example/v1/server HTTP/1.1", HOST, "Authorization: KEY") in {
        200,
        400,
        421,
    }
    assert (
        ask("GET http://localhost/v1/server HTTP/1.1", "Host: evil.example", "Authorization: KEY") == 421
    )
    assert ask("GET //evil.example/v1/server HTTP/1.1", HOST) in {401, 404, 429}


def test_an_address_cannot_be_misspelt_into_another(ask: Callable[..., int]) -> None:
    """Behind one proxy, whose entry is always last; what differs is the client's."""
    real = "X-Forwarded-For: 203.0.113.7"
    document = "GET /openapi.json HTTP/1.1"
    statuses = [
        ask(document, HOST, *lines)
        for lines in (
            ("X-Forwarded-For: 1.1.1.1", real),
            ("X-Forwarded-For: 1.1.1.2", real),
            ('X-Forwarded-For: "', real),
            ('X-Forwarded-For: 1.1.1.4, "', real),
            (real, "X_Forwarded_For: 1.1.1.5"),
            ("X-Forwarded-For: 1.1.1.6,", real),
        )
    ]
    assert statuses == [200, 200, 200, 429, 429, 429]
