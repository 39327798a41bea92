"""Waiting for checks: who is woken, what it costs in round trips, and a Redis that is away meanwhile."""

import itertools
import threading
import time
from collections.abc import Callable

import pytest
import redis.connection
from redis import Redis

from aidetect._protocol import CheckRequest
from aidetect_worker._broker import INTERNAL, Broker
from aidetect_worker._freshness import Remembered
from aidetect_worker._redis import UNAVAILABLE, connect
from aidetect_worker._settings import QueueSettings

from .conftest import FLEET, SECRET
from .redis_server import RedisServer
from .results import claims, fail, finish, outcome, pixel_result
from .test_broker import HASH, URL, begun, of_url


def later(work: Callable[[], object], seconds: float = 0.3) -> threading.Thread:
    thread = threading.Thread(target=lambda: (time.sleep(seconds), work()))
    thread.start()
    return thread


def test_all_who_wait_are_woken_by_the_answer(broker: Broker) -> None:
    job_id = broker.submit(of_url(), "a")
    job = begun(broker)
    found: list[object] = []
    waiters = [
        threading.Thread(target=lambda: found.append(broker.wait(job_id, 60).outcome)) for _ in range(8)
    ]
    started = time.monotonic()
    for waiter in waiters:
        waiter.start()
    finisher = later(lambda: finish(broker.redis, job, outcome(HASH)))
    for thread in [*waiters, finisher]:
        thread.join()
    assert found == [broker.state(job_id).outcome] * 8
    assert time.monotonic() - started >= 0.3


def test_a_failure_wakes_too(broker: Broker) -> None:
    job_id = broker.submit(of_url(), "a")
    thread = later(lambda: fail(broker.redis, begun(broker)))
    assert broker.wait(job_id, 60).outcome == INTERNAL
    thread.join()


def test_waiting_ends_in_time(broker: Broker) -> None:
    job_id = broker.submit(of_url(), "a")
    started = time.monotonic()
    assert broker.wait(job_id, 0.2).state == "queued"
    assert time.monotonic() - started >= 0.2
    assert broker.wait(job_id, 0).state == "queued"
    assert broker.wait(job_id, -1).state == "queued"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each time that something is sent to a Redis, which is a round trip."""
    trips: list[int] = []
    connection = redis.connection.UnixDomainSocketConnection
    send = connection.send_packed_command

    def counting(self: object, command: object, check_health: bool = True) -> None:
        trips.append(1)
        send(self, command, check_health)  # type: ignore[arg-type]

    monkeypatch.setattr(connection, "send_packed_command", counting)
    return trips


def test_round_trips(broker: Broker, sent: list[int]) -> None:
    numbers = itertools.count()

    def trips(work: Callable[[], object]) -> int:
        work()  # connects, loads scripts
        before = len(sent)
        work()
        return len(sent) - before

    def asked() -> CheckRequest:
        return of_url(f"{URL}?{next(numbers)}")

    assert trips(lambda: broker.submit(asked(), "a")) == 1
    assert trips(lambda: broker.submit(of_url(), "a")) == 1
    assert trips(lambda: broker.submit_many([(asked(), "a") for _ in range(100)])) == 1
    assert trips(lambda: broker.known(asked())) == 1
    assert trips(lambda: broker.known(CheckRequest.for_upload(HASH, FLEET))) <= 2
    assert trips(lambda: broker.known_many([asked() for _ in range(100)])) == 1
    assert trips(lambda: broker.state(broker.submit(of_url(), "a"))) == 2
    assert trips(lambda: broker.store_upload(b"an image", HASH)) == 1
    assert trips(lambda: broker.leave(broker.submit(asked(), "b"), "b")) == 2
    with broker.cache.pipeline() as pipe:
        broker.cache.keep_result(pipe, FLEET, pixel_result(HASH))
        broker.cache.keep_claims(pipe, HASH, claims())
        pipe.execute()
    assert trips(lambda: broker.known(CheckRequest.for_upload(HASH, FLEET))) == 1
    with broker.cache.pipeline() as pipe:
        named = Remembered(HASH, "", "", time.time() + 60, 60.0, 64 * "0")
        broker.cache.keep_url(pipe, of_url().identity, named, time.time())
        pipe.execute()
    assert trips(lambda: broker.known(of_url())) == 2
    assert broker.known(of_url()) is not None


def test_redis_may_go_and_come_back(server: RedisServer) -> None:
    broker = Broker(QueueSettings(redis_url=server.url, secret=SECRET), fleet=FLEET)
    job_id = broker.submit(of_url(), "a")
    server.kill()
    for work in (broker.ping, lambda: broker.submit(of_url(), "b"), lambda: broker.state(job_id)):
        with pytest.raises(UNAVAILABLE):
            work()
    server.start()
    broker.ping()
    assert broker.submit(of_url(), "b") == job_id
    assert broker.state(job_id).position == 1
    broker.close()


def test_a_lost_connection_is_tried_again(server: RedisServer) -> None:
    with connect(server.url, retries=100) as client:
        assert client.ping()
        server.kill()
        revival = later(server.start)
        assert client.ping()
        revival.join()


def test_asking_without_a_worker_says_so_and_leaves_nothing(broker: Broker, redis: Redis) -> None:
    with pytest.raises(TimeoutError, match="with 0 workers alive: start one with `aidetect worker`"):
        broker.check("http://example.org/photo.jpg", timeout=0.2)
    assert broker.queue_length() == 0
    assert not [key for key in redis.keys("*") if b"askers" in key or b"flight" in key]
