"""Redis that is killed, emptied or paused under load: workers go on by themselves."""

import time
from collections.abc import Iterator

import pytest
from redis import Redis

from aidetect_worker import Broker
from aidetect_worker._redis import UNAVAILABLE
from aidetect_worker._settings import QueueSettings

from .conftest import FLEET, SECRET
from .redis_server import RedisServer
from .workers import PATIENCE, all_done, answers, nothing_left, running, until, upload


@pytest.fixture
def own(server: RedisServer) -> Iterator[Broker]:
    """A broker of a server that can be killed; it has an append-only file."""
    broker = Broker(QueueSettings(redis_url=server.url, secret=SECRET), fleet=FLEET)
    yield broker
    broker.close()


def test_killed_with_an_append_only_file_it_loses_nothing(server: RedisServer, own: Broker) -> None:
    with Redis.from_url(server.url) as client:
        client.config_set("appendfsync", "always")
    with running(own, 2, test_forward="0.1", max_batch="8") as workers:
        jobs = [upload(own) for _ in range(200)]
        server.kill()
        time.sleep(1)
        server.start()
        jobs += [upload(own) for _ in range(20)]
        until(lambda: all_done(own, jobs), workers)
        with Redis.from_url(server.url) as client:
            assert answers(client, jobs) == {1} and nothing_left(client)


def test_emptied_it_finds_its_workers_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        broker = Broker(QueueSettings(redis_url=server.url, secret=SECRET), fleet=FLEET)
        with running(broker, test_forward="0.1", max_batch="8") as workers:
            lost = [upload(broker) for _ in range(60)]
            server.kill()
            with pytest.raises(UNAVAILABLE):
                upload(broker)
            server.start()
            until(lambda: len(broker.workers()) == 1, workers)
            jobs = [upload(broker) for _ in range(20)]
            until(lambda: all_done(broker, jobs), workers)
            assert {broker.state(job).state for job in lost} <= {"failed", "done"}
            with Redis.from_url(server.url) as client:
                assert nothing_left(client)
                assert client.hget(client.smembers("rq:workers").pop(), "pid") is not None
            assert [worker.stop() for worker in workers] == [0]
        broker.close()


@pytest.mark.slow
def test_paused_it_is_waited_for(server: RedisServer, own: Broker) -> None:
    """Longer than the time-outs, as a network that drops packets does it."""
    with running(own, test_forward="0.1", max_batch="8", test_haste="1") as workers:
        jobs = [upload(own) for _ in range(60)]
        server.pause()
        time.sleep(5)
        server.resume()
        until(lambda: all_done(own, jobs), workers)
        with Redis.from_url(server.url) as client:
            assert answers(client, jobs) == {1} and nothing_left(client)


def test_a_worker_can_be_stopped_while_it_is_away(server: RedisServer, own: Broker) -> None:
    with running(own) as [worker]:
        server.kill()
        time.sleep(1.5)
        worker.process.terminate()
        worker.process.join(1)
        server.start()
        worker.process.join(PATIENCE)
        assert worker.ended == 0
