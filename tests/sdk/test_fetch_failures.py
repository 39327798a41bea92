"""The safe fetch when the network or the server fails: unknown hosts, TLS, time, broken answers."""

import secrets
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from aidetect import _transport
from aidetect._errors import UnreachableError
from aidetect._fetch import fetch

from .origin import PATIENCE, Answer, Handler, Origin, closed_port, self_signed

PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


def unreachable(url: str, code: str, *, timeout: float = PATIENCE) -> UnreachableError:
    with pytest.raises(UnreachableError) as caught:
        fetch(url, timeout=timeout, allow_private=True)
    assert caught.value.code == code
    assert caught.value.retryable == (code != "tls")
    return caught.value


def test_refused_connection() -> None:
    unreachable(f"http://127.0.0.1:{closed_port()}/a.png", "connection")


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200\r\nContent-Length: 9\r\n\r\nshort"]
)
def test_answers_that_are_not_http_or_break_off(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        unreachable(f"http://127.0.0.1:{server.getsockname()[1]}/a.png", "connection")
        thread.join()


def test_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    error = unreachable("http://origin.invalid/a.png?token=secret", "dns")
    assert "http://origin.invalid/a.png" in str(error)


def test_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: release.wait(PATIENCE) and [])
    started = time.monotonic()
    unreachable("http://origin.invalid/", "timeout", timeout=0.3)
    assert time.monotonic() - started < PATIENCE / 2
    release.set()


def silent(handler: Handler) -> None:
    handler.drip(b"", 0.05)


def dripping_header(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    handler.drip(b"x", 0.05)


def endless_continue(handler: Handler) -> None:
    handler.drip(b"HTTP/1.1 100 Continue\r\n\r\n", 0.05)


def dripping_body(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.drip(b"x", 0.05)


def dripping_chunks(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.drip(b"1\r\nx\r\n", 0.05)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "answer", [silent, dripping_header, endless_continue, dripping_body, dripping_chunks]
)
def test_the_deadline_is_for_all_together(
    scheme: str, answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these sends something well within any time-out per receive."""
    certificate = self_signed(tmp_path, "127.0.0.1")
    trust(certificate, monkeypatch)
    with Origin(certificate=certificate if scheme == "https" else None) as server:
        for seconds in (0.5, 5.0, 20.0):  # a busy machine may not come to ask in so little time
            started = time.monotonic()
            unreachable(server.answer("/a.png", answer), "timeout", timeout=seconds)
            assert seconds - 0.1 < time.monotonic() - started < PATIENCE / 2
            if server.requests:
                return
    raise AssertionError("nothing was asked")


def test_slow_redirects_share_one_deadline(origin: Origin) -> None:
    def answer(handler: Handler) -> None:
        time.sleep(0.3)  # within the time-out, but not twice
        handler.reply(b"", 302, {"Location": "/round"})

    unreachable(origin.answer("/round", answer), "timeout", timeout=0.5)


def test_silent_handshake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        unreachable(f"https://127.0.0.1:{server.getsockname()[1]}/", "timeout", timeout=0.4)
        assert time.monotonic() - started < PATIENCE / 2


def trust(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `certificate` the only trusted root for this test."""
    context = _transport._tls_context.__wrapped__()
    context.load_verify_locations(certificate)
    monkeypatch.setattr(_transport, "_tls_context", lambda: context)


def test_tls_with_name_and_host_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket goes to an address; the certificate, SNI and Host are still about the name."""
    certificate = self_signed(tmp_path, "origin.example")
    trust(certificate, monkeypatch)
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, port, **options: resolve("127.0.0.1", port, **options)
    )
    with Origin(certificate=certificate) as server:
        server.serve("/a.png", PNG)
        assert fetch(server.url("/a.png", "origin.example"), allow_private=True).data == PNG
        assert server.server_names == ["origin.example"]
        assert server.requests[0][1]["Host"] == f"origin.example:{server.port}"
        error = unreachable(server.url("/a.png", "other.example"), "tls")
        assert "certificate is not valid" in str(error)


def test_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    """requests' own error names the whole URL: it must not show up as the cause of ours."""
    token = secrets.token_hex()
    with Origin(certificate=self_signed(tmp_path, "127.0.0.1")) as server:
        error = unreachable(f"{server.serve('/a.png', PNG)}?token={token}", "tls")
        assert "self-signed certificate" in str(error)
        assert token not in "".join(traceback.format_exception(error))
        assert not server.requests


def test_tls_to_a_plain_server(origin: Origin) -> None:
    unreachable(origin.url("/a.png").replace("http:", "https:"), "tls")
