"""The safe fetch's manners and limits.

All servers are real and on loopback, so `allow_private` is on throughout.
"""

import secrets
import socket
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aidetect._errors import (
    AidetectError,
    ConfigurationError,
    FetchError,
    HTTPStatusError,
    InvalidURLError,
    NotAnImageError,
    TooLargeError,
)
from aidetect._fetch import Fetched, Fetcher, fetch, shown

from .origin import PATIENCE, Handler, Origin, closed_port

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


def local(url: str, *, timeout: float = PATIENCE, max_bytes: int = 1_000_000) -> Fetched:
    return fetch(url, timeout=timeout, max_bytes=max_bytes, allow_private=True)


def test_bytes_and_what_came_with_them(origin: Origin) -> None:
    url = origin.serve("/a.png", PNG, headers={"Content-Type": "Image/PNG; x=y", "ETag": '"7"'})
    fetched = local(f"  {url}?size=1#part\n")
    assert fetched.data == PNG
    assert fetched.content_type == "image/png"
    assert fetched.headers["etag"] == '"7"'
    assert (fetched.url, fetched.status) == (f"{url}?size=1#part", 200)
    path, headers = origin.requests[0]
    assert path == "/a.png?size=1"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("aidetect")
    assert headers["Host"] == f"127.0.0.1:{origin.port}"
    assert "PNG" not in repr(fetched) and "size=1" not in repr(fetched)


def test_chunked_body(origin: Origin) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(PNG), 1000):
            piece = PNG[start : start + 1000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    fetched = local(origin.answer("/a.png", answer))
    assert fetched.data == PNG
    assert fetched.content_type == ""


def test_user_agent_and_revalidation(origin: Origin) -> None:
    url = origin.serve("/a.png", status=304)
    with Fetcher(allow_private=True, user_agent="tester/1") as fetcher:
        fetched = fetcher.fetch(url, headers={"If-None-Match": '"7"', "User-Agent": "other"})
        assert (fetched.status, fetched.data) == (304, b"")
        with pytest.raises(HTTPStatusError) as caught:
            fetcher.fetch(url)
    assert caught.value.code == "http_3xx"
    assert origin.requests[0][1]["If-None-Match"] == '"7"'
    assert origin.requests[0][1]["User-Agent"] == "tester/1"
    assert "If-None-Match" not in origin.requests[1][1]


def test_one_fetcher_serves_many_threads_over_few_connections(origin: Origin) -> None:
    bodies = [bytes([i]) * 5000 for i in range(40)]
    urls = [origin.serve(f"/{i}", body) for i, body in enumerate(bodies)]
    with Fetcher(allow_private=True) as fetcher, ThreadPoolExecutor(4) as pool:
        assert [fetched.data for fetched in pool.map(fetcher.fetch, urls)] == bodies
    assert origin.connections <= 4


def test_environment_cookies_and_netrc_are_left_alone(
    origin: Origin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    url = origin.serve("/a.png", PNG, headers={"Set-Cookie": "id=1; Path=/"})
    with Fetcher(allow_private=True) as fetcher:
        fetcher.fetch(url)
        assert fetcher.fetch(url).data == PNG
    for _, headers in origin.requests:
        assert not {"Cookie", "Authorization"} & headers.keys()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(origin: Origin, status: int) -> None:
    origin.serve("/images/a.png", PNG)
    url = origin.redirect("/old", "images/a.png?x=1", status)
    fetched = local(url)
    assert fetched.data == PNG
    assert fetched.url == origin.url("/images/a.png?x=1")


def test_three_redirects_and_no_more(origin: Origin) -> None:
    origin.serve("/0", PNG)
    urls = [origin.redirect(f"/{n}", f"/{n - 1}") for n in range(1, 5)]
    assert local(urls[2]).data == PNG
    with pytest.raises(HTTPStatusError, match="more than 3 times") as caught:
        local(urls[3])
    assert caught.value.code == "http_3xx"
    assert not caught.value.retryable


def test_endless_redirect(origin: Origin) -> None:
    with pytest.raises(HTTPStatusError, match="more than 3 times"):
        local(origin.redirect("/round", "/round"))
    assert len(origin.requests) == 4


def test_body_of_a_redirect_is_not_read(origin: Origin) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/a.png")
        handler.end_headers()
        handler.drip(b"x" * 1000, 0.05)

    origin.serve("/a.png", PNG)
    started = time.monotonic()
    assert local(origin.answer("/old", answer), timeout=2 * PATIENCE).data == PNG
    assert time.monotonic() - started < PATIENCE / 2


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "gopher://127.0.0.1/_x",
        "data:image/png;base64,AA",
        "http://me:secret@127.0.0.1/",
        "http://[bad/",
        "http://\xff\xfe/",
    ],
)
def test_redirect_to_what_is_not_fetched(origin: Origin, target: str) -> None:
    with pytest.raises(InvalidURLError) as caught:
        local(origin.redirect("/old", target))
    assert "secret" not in str(caught.value)
    assert origin.url("/old") in str(caught.value)


NO_URL = ["", "photo.jpg", "//host/a", "http:", "http://", "http:///a", "http:host/a", "http://:80/"]
OTHER_SCHEMES = ["file:///etc/passwd", "FILE:/etc/passwd", "ftp://host/a", "gopher://host:70/_x"]
NO_SCHEMES = ["data:image/png;base64,AAAA", "javascript:alert(1)", "blob:http://host/a"]
BROKEN = ["http://host:99999/", "http://host:x/", "http://[::1", "http://ho st/", "http://host\n.net/"]
TOO_LONG = ["http://" + "a" * 64 + "ü.example/", "http://127.0.0.1/" + "a" * 9000]
PASSWORDS = ["http://me@host/", "http://me:secret@host/", "https://:secret@host/", "http://%41@host/"]


@pytest.mark.parametrize(
    "url", [*NO_URL, *OTHER_SCHEMES, *NO_SCHEMES, *BROKEN, *TOO_LONG, *PASSWORDS, "http://\x00/"]
)
def test_what_is_not_a_url_to_fetch(url: str) -> None:
    with pytest.raises(InvalidURLError) as caught:
        local(url)
    assert caught.value.code == "invalid_url"
    assert not caught.value.retryable
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 500


ODD_HOSTS = [".", "..", "*", "-", "a..b", "a" * 64 + ".invalid", "[v1.x]", "1.2.3.4.5", "999.1", "h:0"]


@pytest.mark.parametrize("host", ODD_HOSTS)
def test_odd_hosts_end_in_our_errors(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *args: object, **options: object) -> None:
        name.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(FetchError):
        local(f"http://{host}/a.png", timeout=1)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "http_4xx", False),
        (401, "http_4xx", False),
        (404, "http_4xx", False),
        (429, "http_4xx", True),
        (500, "http_5xx", True),
        (503, "http_5xx", True),
        (599, "http_5xx", True),
    ],
)
def test_error_status(origin: Origin, status: int, code: str, retryable: bool) -> None:
    url = origin.serve("/a.png", b"<h1>\x1b[31mno", status=status)
    with pytest.raises(HTTPStatusError, match=str(status)) as caught:
        local(url)
    assert (caught.value.code, caught.value.status, caught.value.retryable) == (code, status, retryable)
    assert url in str(caught.value)


def test_redirect_status_without_target(origin: Origin) -> None:
    with pytest.raises(HTTPStatusError, match="302"):
        local(origin.serve("/a.png", status=302))


def test_too_large_by_its_own_account_is_not_read(origin: Origin) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "200000000")
        handler.end_headers()
        handler.drip(b"x" * 65536, 0.001)

    with pytest.raises(TooLargeError, match=r"1,000,000 bytes") as caught:
        local(origin.answer("/a.png", answer))
    assert caught.value.code == "too_large"
    assert origin.sent < 10_000_000


def test_body_of_unknown_length_is_cut_at_the_cap(origin: Origin) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.drip(b"x" * 65536, 0.0001)

    with pytest.raises(TooLargeError):
        local(origin.answer("/a.png", answer))
    assert origin.sent < 10_000_000


def test_exactly_the_cap_is_allowed(origin: Origin) -> None:
    assert len(local(origin.serve("/full", b"x" * 5000), max_bytes=5000).data) == 5000
    with pytest.raises(TooLargeError):
        local(origin.serve("/over", b"x" * 5001), max_bytes=5000)


def test_framing_counts_too(origin: Origin) -> None:
    """Chunks of one byte under endless chunk extensions: little body, much traffic."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.drip(b"1;" + b"e" * 4000 + b"\r\nx\r\n", 0.0001)

    with pytest.raises(TooLargeError):
        local(origin.answer("/a.png", answer), max_bytes=100_000, timeout=PATIENCE)
    assert origin.sent < 10_000_000


@pytest.mark.parametrize("encoding", ["gzip", "br", "x-\x1b[31m", "gzip, identity"])
def test_compressed_answers_are_refused_unread(origin: Origin, encoding: str) -> None:
    url = origin.serve("/a.png", b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": encoding})
    with pytest.raises(FetchError, match="compressed") as caught:
        local(url)
    assert "\x1b" not in str(caught.value)


def test_web_page(origin: Origin) -> None:
    page = b"\xef\xbb\xbf\n <!doctype html><title>Photos</title>"
    url = origin.serve("/page", page, headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(NotAnImageError, match="web page"):
        local(url)
    mislabelled = origin.serve("/a.png", PNG, headers={"Content-Type": "text/html"})
    assert local(mislabelled).data == PNG


@pytest.mark.parametrize("path", ["/missing", "/large", "/packed", "/page", "/hop", "/broken", "/slow"])
def test_errors_and_their_tracebacks_keep_tokens(origin: Origin, path: str) -> None:
    token = secrets.token_hex()
    origin.serve("/large", b"x" * 2_000_000)
    origin.serve("/packed", b"x", headers={"Content-Encoding": "gzip"})
    origin.serve("/page", b"<p>", headers={"Content-Type": "text/html"})
    origin.redirect("/hop", f"/missing?token={token}")
    origin.serve("/broken", b"x", headers={"Content-Length": "9", "Connection": "close"})
    origin.answer("/slow", lambda handler: handler.drip(b"", 0.05))
    with pytest.raises(AidetectError) as caught:
        timeout = 0.5 if path == "/slow" else PATIENCE
        local(origin.url(f"{path}?token={token}#{token}"), timeout=timeout)
    assert origin.url(path) in str(caught.value)
    assert token not in "".join(traceback.format_exception(caught.value))
    assert token not in str(caught.value.to_dict())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://me:secret@host/a?token=secret#secret", "https://host/a"),
        ("http://host/\x1b[31m\u202e", "http://host/%1B%5B31m%E2%80%AE"),
        ("http://u:secret?x@host/", "(an address that may hold a password)"),
        ("http:u:secret@host/", "(an address that may hold a password)"),
        ("mail\x07:x?secret", "mail\\x07:x"),
        ("photo.jpg?secret", "photo.jpg"),
        ("http://host/" + "a" * 500, "http://host/" + "a" * 287 + "…"),
        ("http://host/" + "a" * 9000, "(an address of 9,012 characters)"),
    ],
)
def test_shown(url: str, name: str) -> None:
    assert shown(url) == name


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1/" + "a" * 9000, "more than 8,192 characters"),
        ("http:///a.png", "without a host"),
        ("ftp://host/a.png", "only http"),
    ],
)
def test_a_refused_url_is_told_why(url: str, problem: str) -> None:
    with pytest.raises(InvalidURLError, match=problem):
        local(url)


@pytest.mark.parametrize(
    "options",
    [
        {"max_bytes": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"user_agent": "a\r\nX: y"},
        {"user_agent": "ü"},
    ],
)
def test_senseless_options(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        Fetcher(**options)  # type: ignore[arg-type]
