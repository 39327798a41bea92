"""What a fetch tells of the way to its answer: redirects, and when a server wants to be asked again."""

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from aidetect import HTTPStatusError, UnreachableError
from aidetect._fetch import Fetcher

from .origin import PATIENCE, Origin


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with Fetcher(allow_private=True, timeout=2 * PATIENCE) as fetcher:
        yield fetcher


def test_redirects_are_told_in_their_order(origin: Origin, fetcher: Fetcher) -> None:
    origin.serve("/c.png", b"\x89PNG", headers={"Cache-Control": "max-age=3"})
    origin.serve("/b", status=302, headers={"Location": "/c.png", "Cache-Control": "max-age=2"})
    url = origin.serve("/a", status=301, headers={"Location": "/b", "Cache-Control": "max-age=1"})
    hops = fetcher.fetch(url).hops
    assert [(status, headers["cache-control"]) for status, headers in hops] == [
        (301, "max-age=1"),
        (302, "max-age=2"),
    ]
    assert fetcher.fetch(origin.url("/c.png")).hops == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 400, None),
        ("\u0661", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        (None, None),
    ],
)
def test_when_to_ask_again(
    origin: Origin, fetcher: Fetcher, text: str | None, seconds: float | None
) -> None:
    headers = {} if text is None else {"Retry-After": text.encode().decode("latin-1")}
    with pytest.raises(HTTPStatusError) as caught:
        fetcher.fetch(origin.serve("/a.png", status=503, headers=headers))
    assert caught.value.retry_after == seconds
    assert caught.value.to_dict().get("retry_after") == seconds


def test_when_to_ask_again_by_the_clock(origin: Origin, fetcher: Fetcher) -> None:
    headers = {"Retry-After": formatdate(time.time() + 90, usegmt=True)}
    with pytest.raises(HTTPStatusError) as caught:
        fetcher.fetch(origin.serve("/a.png", status=429, headers=headers))
    assert caught.value.retry_after is not None and 60 < caught.value.retry_after <= 91


def test_one_fetch_can_be_given_less_time(origin: Origin, fetcher: Fetcher) -> None:
    url = origin.answer("/slow.png", lambda handler: handler.drip(b"HTTP/1.1 200", 1))
    started = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        fetcher.fetch(url, timeout=0.2)
    assert caught.value.code == "timeout"
    assert time.monotonic() - started < PATIENCE / 2


def test_but_not_more(origin: Origin) -> None:
    url = origin.answer("/slow.png", lambda handler: handler.drip(b"HTTP/1.1 200", 1))
    with Fetcher(allow_private=True, timeout=0.2) as fetcher:
        started = time.monotonic()
        with pytest.raises(UnreachableError):
            fetcher.fetch(url, timeout=2 * PATIENCE)
        assert time.monotonic() - started < PATIENCE / 2
