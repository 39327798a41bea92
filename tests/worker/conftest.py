"""A real Redis for tests: one server a session, an empty database a test."""

from collections.abc import Iterator

import pytest
from redis import Redis

from aidetect_worker._broker import Broker
from aidetect_worker._settings import QueueSettings

from .redis_server import RedisServer

FLEET = "0123456789abcdef"
SECRET = "only for tests: " + 32 * "s"


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that neither stop it nor look at all of it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(shared_server: RedisServer) -> Iterator[Redis]:
    """A client of an empty database."""
    with Redis.from_url(shared_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of the test's own, with append-only file, to be stopped, killed and restarted."""
    with RedisServer(tmp_path_factory.mktemp("redis"), appendonly=True) as server:
        yield server


@pytest.fixture
def settings(redis: Redis, shared_server: RedisServer) -> QueueSettings:
    """Settings of the empty database."""
    return QueueSettings(redis_url=shared_server.url, secret=SECRET)


@pytest.fixture
def broker(settings: QueueSettings) -> Iterator[Broker]:
    broker = Broker(settings, fleet=FLEET)
    yield broker
    broker.close()
