"""Manners towards hosts: how many connections, how often, and when not at all."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from aidetect import HTTPStatusError, UnreachableError, __version__
from aidetect._protocol import CheckRequest
from aidetect_worker import _names, _politeness
from aidetect_worker._cache import VerdictCache
from aidetect_worker._freshness import remember
from aidetect_worker._lookup import look
from aidetect_worker._politeness import Politeness
from aidetect_worker._settings import FetchSettings

from ..sdk.origin import Handler, Origin, closed_port
from .conftest import FLEET
from .workers import PATIENCE

PNG = b"\x89PNG and more"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_politeness, "PAUSE", 0.02)


def guest(redis: Redis | None = None, **options: Any) -> Politeness:
    return Politeness(FetchSettings(allow_private=True, **options), redis)


def answers(*replies: tuple[int, dict[str, str]]) -> Callable[[Handler], None]:
    """One after the other, the last one again and again."""
    left = list(replies)

    def answer(handler: Handler) -> None:
        status, headers = left.pop(0) if len(left) > 1 else left[0]
        handler.reply(PNG if status == 200 else b"", status, headers)

    return answer


def test_it_says_who_it_is(origin: Origin) -> None:
    url = origin.serve("/a.png", PNG)
    assert guest().fetch(url).data == PNG
    guest(user_agent="somebody else/1").fetch(url)
    agents = [headers["User-Agent"] for _, headers in origin.requests]
    assert agents == [f"aidetect-images/{__version__} (image check)", "somebody else/1"]


def test_a_host_sees_few_connections_and_people_first(origin: Origin) -> None:
    now, most, lock = [0], [0], threading.Lock()
    release = threading.Event()

    def slow(handler: Handler) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        release.wait(PATIENCE)
        with lock:
            now[0] -= 1
        handler.reply(PNG)

    url, polite = origin.answer("/a.png", slow), guest(host_connections=3)
    with ThreadPoolExecutor(10) as pool:
        bulk = [pool.submit(polite.fetch, url, interactive=False) for _ in range(8)]
        deadline = time.monotonic() + PATIENCE
        while now[0] < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert most[0] == 2
        person = pool.submit(polite.fetch, url)
        while now[0] < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert most[0] == 3
        release.set()
        assert person.result().data == PNG
        assert all(each.result().data == PNG for each in bulk)
    assert most[0] == 3


def test_hosts_do_not_wait_for_each_other(origin: Origin) -> None:
    hangs = threading.Event()
    polite = guest(host_connections=1, fetch_deadline=20)
    url = origin.answer("/slow.png", lambda handler: (hangs.wait(PATIENCE), handler.reply(PNG))[1])
    with Origin("127.0.0.2") as other, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(polite.fetch, url)
        quick = other.serve("/a.png", PNG)
        assert polite.fetch(quick.replace("127.0.0.1", "127.0.0.2")).data == PNG
        assert not slow.done()
        hangs.set()
        slow.result()


@pytest.mark.parametrize(
    ("replies", "requests"),
    [
        ([(500, {}), (502, {}), (200, {})], 3),
        ([(503, {"Retry-After": "0"}), (200, {})], 2),
        ([(429, {"Retry-After": "0"}), (200, {})], 2),
    ],
)
def test_what_may_pass_is_tried_again(
    origin: Origin, replies: list[tuple[int, dict[str, str]]], requests: int
) -> None:
    url = origin.answer("/a.png", answers(*replies))
    assert guest().fetch(url).data == PNG
    assert len(origin.requests) == requests


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (410, 1), (500, 3), (503, 3)])
def test_and_what_may_not_is_not(origin: Origin, status: int, requests: int) -> None:
    url = origin.serve("/a.png", status=status)
    with pytest.raises(HTTPStatusError) as caught:
        guest().fetch(url)
    assert caught.value.status == status
    assert len(origin.requests) == requests


def test_a_refused_connection_is_tried_again_within_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"http://127.0.0.1:{closed_port()}/a.png"
    with pytest.raises(UnreachableError):
        guest().fetch(url)
    monkeypatch.setattr(_politeness, "PAUSE", 2 * PATIENCE)
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        guest(fetch_deadline=10).fetch(url)
    assert time.monotonic() - started < PATIENCE


def test_a_body_that_never_ends_is_tried_no_longer_than_the_deadline(origin: Origin) -> None:
    url = origin.answer(
        "/a.png",
        lambda handler: (handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n"), handler.drip(b"x", 0.05))[1],
    )
    started = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        guest(fetch_timeout=0.4, fetch_deadline=0.7).fetch(url)
    assert caught.value.code == "timeout"
    assert time.monotonic() - started >= 0.4


def test_retry_after_is_obeyed(origin: Origin) -> None:
    times: list[float] = []
    reply = answers((429, {"Retry-After": "1"}), (200, {}))

    def timed(handler: Handler) -> None:
        times.append(time.monotonic())
        reply(handler)

    assert guest().fetch(origin.answer("/a.png", timed)).data == PNG
    assert times[1] - times[0] >= 0.99


def test_a_pause_longer_than_the_deadline_is_told_at_once(origin: Origin, redis: Redis) -> None:
    url = origin.serve("/a.png", status=503, headers={"Retry-After": "3600"})
    polite = guest(redis)
    with pytest.raises(HTTPStatusError) as caught:
        polite.fetch(url)
    assert (caught.value.status, caught.value.retry_after) == (503, 3600)
    with pytest.raises(HTTPStatusError) as caught:
        polite.fetch(url)
    assert (caught.value.status, caught.value.code) == (429, "http_4xx")
    assert caught.value.retry_after is not None and 0 < caught.value.retry_after <= 60
    assert "?" not in caught.value.message
    assert len(origin.requests) == 1


def test_other_workers_learn_of_it(origin: Origin, redis: Redis) -> None:
    url = origin.serve("/a.png", status=429, headers={"Retry-After": "30"})
    with pytest.raises(HTTPStatusError):
        guest(redis, fetch_deadline=5).fetch(url)
    assert 0 < redis.ttl(_names.held("127.0.0.1")) <= 30
    [found] = look(VerdictCache(redis, 60), [CheckRequest.for_url(url, FLEET)])
    with pytest.raises(HTTPStatusError, match="asked for a pause"):
        guest(redis, fetch_deadline=5).fetch(url, held_until=found.held_until)
    assert len(origin.requests) == 1


def test_no_host_can_ask_for_ever(origin: Origin, redis: Redis) -> None:
    url = origin.serve("/a.png", status=429, headers={"Retry-After": "999999999"})
    with pytest.raises(HTTPStatusError):
        guest(redis).fetch(url)
    assert 0 < redis.ttl(_names.held("127.0.0.1")) <= 60
    polite = guest(redis)
    with pytest.raises(HTTPStatusError) as caught:
        polite.fetch(url, held_until=time.time() + 1e9)
    assert caught.value.retry_after is not None and caught.value.retry_after <= 60


def test_a_short_hold_is_waited_for(origin: Origin) -> None:
    started = time.monotonic()
    url = origin.serve("/a.png", PNG)
    assert guest().fetch(url, held_until=time.time() + 0.4).data == PNG
    assert time.monotonic() - started >= 0.39


def test_closing_ends_the_waiting(origin: Origin) -> None:
    polite, url = guest(), origin.serve("/a.png", PNG)
    with ThreadPoolExecutor(1) as pool:
        until = time.time() + 40
        waiting = pool.submit(polite.fetch, url, held_until=until)
        time.sleep(0.2)
        polite.close()
        with pytest.raises(HTTPStatusError):
            waiting.result()
        assert time.time() < until, "it waited all the same"


def revalidating(handler: Handler) -> None:
    if handler.headers.get("If-None-Match") == '"v1"':
        handler.reply(b"", 304, {"ETag": '"v1"', "Cache-Control": "max-age=9"})
    else:
        handler.reply(PNG, headers={"ETag": '"v1"'})


def test_what_has_not_changed_is_not_sent_again(origin: Origin) -> None:
    url, polite = origin.answer("/a.png", revalidating), guest()
    first = polite.fetch(url)
    entry = remember(first, 64 * "a", time.time(), 3600)
    assert entry is not None
    again = polite.fetch(url, remembered=entry)
    assert (again.status, again.data) == (304, b"")


def test_a_304_of_another_image_is_not_believed(origin: Origin) -> None:
    """Servers that count versions give many images the same ETag, and redirects can change."""
    origin.answer("/a.png", revalidating)
    origin.answer("/b.png", revalidating)
    url, polite = origin.redirect("/any.png", "/a.png"), guest()
    entry = remember(polite.fetch(url), 64 * "a", time.time(), 3600)
    assert entry is not None
    origin.redirect("/any.png", "/b.png")
    again = polite.fetch(url, remembered=entry)
    assert (again.status, again.data, again.url) == (200, PNG, origin.url("/b.png"))


def test_redis_may_be_away(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_politeness, "UNSAID_HOLD", 60.0)
    with Redis(port=closed_port(), socket_timeout=1, retry=None) as nobody:
        url = origin.answer("/a.png", answers((429, {"Retry-After": "0.0"}), (200, {})))
        with pytest.raises(HTTPStatusError):
            guest(nobody, fetch_deadline=40).fetch(url)
