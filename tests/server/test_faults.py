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
from ..worker.workers import PATIENCE, until
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
    ask = {
        "url": server.url + "/v1/checks",
        "json": {"url": URL},
        "headers": headers,
        "timeout": PATIENCE,
    }
    assert requests.post(**ask).status_code == 202  # type: ignore[arg-type]
    own_redis.kill()
    away = requests.post(**ask)  # type: ignore[arg-type]
    assert away.status_code == 503 and away.json()["code"] == "unavailable"
    assert int(away.headers["Retry-After"]) > 0
    assert requests.get(server.url + "/healthz", timeout=5).ok
    assert requests.get(server.url + "/readyz", timeout=PATIENCE).json()["redis"] is False
    own_redis.start()
    until(lambda: requests.post(**ask).status_code == 202, seconds=20)  # type: ignore[arg-type]


def test_a_redis_that_hangs_is_a_503_too(
    serve: Callable[..., GunicornServer], own_redis: RedisServer
) -> None:
    server = serve(redis_url=own_redis.url)
    own_redis.pause()
    try:
        started = time.monotonic()
        hung = requests.get(server.url + "/readyz", timeout=PATIENCE)
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
        answers.append(requests.post(address, json={"url": URL}, headers=headers, timeout=PATIENCE))

    waiter = threading.Thread(target=wait)
    waiter.start()
    with Redis.from_url(own_redis.url) as client:
        until(lambda: client.llen("rq:queue:checks"))
        until(lambda: any(one["cmd"] == "xread" for one in client.client_list()))
    own_redis.kill()
    waiter.join(PATIENCE)
    assert [answer.status_code for answer in answers] == [503]


def test_without_a_worker_the_state_is_honest(
    serve: Callable[..., GunicornServer], key: str, settings: ServerSettings
) -> None:
    server = serve()
    answer = requests.post(
        server.url + "/v1/checks?wait=1", json={"url": URL}, headers=bearer(key), timeout=PATIENCE
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
                server.url + "/v1/checks?wait=20",
                json={"url": URL},
                headers=bearer(key),
                timeout=PATIENCE,
            )
        except requests.RequestException as error:
            broken.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(broker.queue_length)
    server.kill()
    waiter.join(PATIENCE)
    assert broken and broker.queue_length() == 1
    server.start()
    address, asked = server.url + "/v1/checks?wait=20", {"url": URL}
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(requests.post, address, json=asked, headers=bearer(key), timeout=PATIENCE)
        [askers] = broker.redis.keys("aidetect:askers:*")
        until(lambda: broker.redis.scard(askers) == 2)
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
        answers.append(requests.post(address, json={"url": URL}, headers=bearer(key), timeout=PATIENCE))

    waiters = [threading.Thread(target=wait, args=(number,)) for number in range(16)]
    for waiter in waiters:
        waiter.start()
    until(broker.queue_length)
    [askers] = broker.redis.keys("aidetect:askers:*")
    until(lambda: broker.redis.scard(askers) == 16)
    assert broker.queue_length() == 1
    with Consumer(broker, pixel_result) as consumer:
        for waiter in waiters:
            waiter.join(PATIENCE)
        assert consumer.answered == 1
    assert {answer.json()["state"] for answer in answers} == {"done"}
    assert len({answer.json()["id"] for answer in answers}) == 16


def test_waiting_leaves_threads_for_others(
    serve: Callable[..., GunicornServer],
    new_key: Callable[..., str],
    broker: Broker,
    pixel_result: Answer,
) -> None:
    server = serve(threads=12, max_waiters=8)
    greedy, other = new_key(), new_key()
    answers: list[int] = []

    def wait(number: int) -> None:
        address, asked = server.url + "/v1/checks?wait=20", {"url": f"{URL}?{number}"}
        answers.append(
            requests.post(address, json=asked, headers=bearer(greedy), timeout=PATIENCE).status_code
        )

    waiters = [threading.Thread(target=wait, args=(number,)) for number in range(10)]
    for waiter in waiters:
        waiter.start()
    until(lambda: len(answers) == 6)
    started = time.monotonic()
    assert requests.get(server.url + "/healthz", timeout=5).ok
    asked = requests.post(
        server.url + "/v1/checks?wait=1", json={"url": URL}, headers=bearer(other), timeout=PATIENCE
    )
    took = time.monotonic() - started
    assert asked.status_code == 202 and took >= 1, "another key still finds a place to wait"
    with Consumer(broker, pixel_result):
        for waiter in waiters:
            waiter.join(PATIENCE)
    assert answers == [202] * 6 + [200] * 4, "at once, but for half of the places"
