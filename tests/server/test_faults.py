"""What breaks around the server: Redis away, no worker, the server killed while somebody waits."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from redis import Redis

from aidetect_server._keys import KeyStore
from aidetect_server._settings import ServerSettings
from aidetect_worker._broker import Broker

from ..worker.redis_server import RedisServer
from .conftest import SECRET
from .consumer import Answer, Consumer
from .gunicorn_server import GunicornServer, bearer

URL = "https://example.org/cat.jpg"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One that may be stopped and killed; it keeps what it knows."""
    with RedisServer(tmp_path, appendonly=True) as server:
        yield server


def test_redis_away_is_a_503_and_nothing_has_to_be_restarted(
    serve: Callable[..., GunicornServer], own_redis: RedisServer
) -> None:
    with Redis.from_url(own_redis.url) as client:
        headers = bearer(KeyStore(client, SECRET).create("test")[1])
    server = serve(redis_url=own_redis.url)
    ask = {"url": server.url + "/v1/checks", "json": {"url": URL}, "headers": headers, "timeout": 30}
    assert requests.post(**ask).status_code == 202  # type: ignore[arg-type]
    own_redis.kill()
    away = requests.post(**ask)  # type: ignore[arg-type]
    assert away.status_code == 503 and away.json()["code"] == "unavailable"
    assert int(away.headers["Retry-After"]) > 0
    assert requests.get(server.url + "/healthz", timeout=5).ok
    assert requests.get(server.url + "/readyz", timeout=30).json()["redis"] is False
    own_redis.start()
    deadline = time.monotonic() + 20
    while requests.post(**ask).status_code != 202:  # type: ignore[arg-type]
        assert time.monotonic() < deadline, "no recovery"
        time.sleep(0.1)


def test_a_redis_that_hangs_is_a_503_too(
    serve: Callable[..., GunicornServer], own_redis: RedisServer
) -> None:
    server = serve(redis_url=own_redis.url)
    own_redis.pause()
    try:
        started = time.monotonic()
        hung = requests.get(server.url + "/readyz", timeout=60)
        assert hung.status_code == 503 and time.monotonic() - started < 25
        assert requests.get(server.url + "/healthz", timeout=5).ok
    finally:
        own_redis.resume()


def test_a_waiter_whose_redis_dies_is_told(
    serve: Callable[..., GunicornServer], own_redis: RedisServer
) -> None:
    with Redis.from_url(own_redis.url) as client:
        headers = bearer(KeyStore(client, SECRET).create("test")[1])
    server = serve(redis_url=own_redis.url)
    answers: list[requests.Response] = []

    def wait() -> None:
        address = server.url + "/v1/checks?wait=20"
        answers.append(requests.post(address, json={"url": URL}, headers=headers, timeout=40))

    waiter = threading.Thread(target=wait)
    waiter.start()
    with Redis.from_url(own_redis.url) as client:
        deadline = time.monotonic() + 10
        while not client.llen("rq:queue:checks") and time.monotonic() < deadline:
            time.sleep(0.05)
    time.sleep(0.3)
    own_redis.kill()
    waiter.join(30)
    assert [answer.status_code for answer in answers] == [503]


def test_without_a_worker_the_state_is_honest(
    serve: Callable[..., GunicornServer], key: str, settings: ServerSettings
) -> None:
    server = serve()
    answer = requests.post(
        server.url + "/v1/checks?wait=1", json={"url": URL}, headers=bearer(key), timeout=20
    )
    assert answer.status_code == 202
    assert answer.json()["state"] == "queued" and answer.json()["position"] == 1


def test_a_killed_server_loses_no_check(
    serve: Callable[..., GunicornServer], key: str, broker: Broker, pixel_result: Answer
) -> None:
    server = serve()
    broken: list[BaseException] = []

    def wait() -> None:
        try:
            requests.post(
                server.url + "/v1/checks?wait=20", json={"url": URL}, headers=bearer(key), timeout=40
            )
        except requests.RequestException as error:
            broken.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    deadline = time.monotonic() + 10
    while broker.queue_length() == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    server.kill()
    waiter.join(20)
    assert broken and broker.queue_length() == 1
    server.start()
    address, asked = server.url + "/v1/checks?wait=20", {"url": URL}
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(requests.post, address, json=asked, headers=bearer(key), timeout=40)
        [askers] = broker.redis.keys("aidetect:askers:*")
        deadline = time.monotonic() + 10
        while broker.redis.scard(askers) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        with Consumer(broker, pixel_result) as consumer:
            again = later.result()
            assert again.status_code == 200 and again.json()["state"] == "done"
            assert consumer.answered == 1


def test_many_askers_of_one_image_share_a_job(
    serve: Callable[..., GunicornServer], key: str, broker: Broker, pixel_result: Answer
) -> None:
    servers = [serve(), serve()]
    answers: list[requests.Response] = []

    def wait(number: int) -> None:
        address = servers[number % 2].url + "/v1/checks?wait=20"
        answers.append(requests.post(address, json={"url": URL}, headers=bearer(key), timeout=60))

    waiters = [threading.Thread(target=wait, args=(number,)) for number in range(16)]
    for waiter in waiters:
        waiter.start()
    time.sleep(1)
    assert broker.queue_length() == 1
    with Consumer(broker, pixel_result) as consumer:
        for waiter in waiters:
            waiter.join(30)
        assert consumer.answered == 1
    assert {answer.json()["state"] for answer in answers} == {"done"}
    assert len({answer.json()["id"] for answer in answers}) == 16


def test_waiting_leaves_threads_for_others(
    serve: Callable[..., GunicornServer], new_key: Callable[..., str], settings: ServerSettings
) -> None:
    server = serve(threads=12, max_waiters=8)
    greedy, other = new_key(), new_key()
    held: list[float] = []

    def wait(number: int) -> None:
        started = time.monotonic()
        requests.post(
            server.url + "/v1/checks?wait=4",
            json={"url": f"{URL}?{number}"},
            headers=bearer(greedy),
            timeout=30,
        )
        held.append(time.monotonic() - started)

    waiters = [threading.Thread(target=wait, args=(number,)) for number in range(10)]
    for waiter in waiters:
        waiter.start()
    time.sleep(1.5)
    started = time.monotonic()
    assert requests.get(server.url + "/healthz", timeout=5).ok
    asked = requests.post(
        server.url + "/v1/checks?wait=1", json={"url": URL}, headers=bearer(other), timeout=30
    )
    took = time.monotonic() - started
    for waiter in waiters:
        waiter.join(30)
    assert asked.status_code == 202 and took >= 1, "another key still finds a place to wait"
    assert sum(seconds >= 4 for seconds in held) == 4, "half of the places, and no more"
    assert sum(seconds < 3 for seconds in held) == 6, "answered at once"
