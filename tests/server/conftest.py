"""The server's tests: a real Redis, the application in this process or under gunicorn, keys."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from aidetect._protocol import CheckRequest
from aidetect._result import PixelResult
from aidetect_server import create_app
from aidetect_server._keys import KeyStore
from aidetect_server._settings import ServerSettings
from aidetect_worker._broker import Broker

from ..worker.redis_server import RedisServer
from .consumer import Answer, Consumer, hash_of
from .gunicorn_server import GunicornServer

SECRET = "only for tests: " + 32 * "s"
MANY = "1000000/60 seconds"


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(autouse=True)
def redis(shared_redis: RedisServer) -> Iterator[Redis]:
    """A client of a database that is empty as the test begins."""
    with Redis.from_url(shared_redis.url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def settings(shared_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> ServerSettings:
    """Of the shared Redis, with limits that no test meets by chance."""
    return ServerSettings(
        redis_url=shared_redis.url,
        secret=SECRET,
        key_limit=MANY,
        address_limit=MANY,
        failure_limit=MANY,
        signing_folder=str(tmp_path_factory.mktemp("signing")),
    )


@pytest.fixture(scope="session")
def broker(settings: ServerSettings) -> Iterator[Broker]:
    broker = Broker(settings)
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def app(settings: ServerSettings) -> Flask:
    return create_app(settings)


@pytest.fixture
def new_key(redis: Redis) -> Callable[..., str]:
    """Makes a key with these scopes and returns its text."""

    def new(*scopes: str) -> str:
        return KeyStore(redis, SECRET).create("test", scopes or ("check", "report", "metrics"))[1]

    return new


@pytest.fixture
def key(new_key: Callable[..., str]) -> str:
    return new_key()


@pytest.fixture
def client(app: Flask, key: str) -> FlaskClient:
    """Asks the application in this process, with a key."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client


@pytest.fixture(scope="session")
def pixel_result() -> Callable[[CheckRequest], PixelResult]:
    """A result of the right form for any request; its image has the request's hash."""
    from aidetect import ImageInfo, ModelInfo, Reason

    def result(request: CheckRequest) -> PixelResult:
        image = ImageInfo(hash_of(request), 640, 480, "JPEG", 12345)
        model = ModelInfo("default", "1", "f" * 64)
        view = {"kind": "global", "box": [0, 0, 640, 480], "probability": 0.97}
        reasons = (Reason("probability", "The pixels look made by AI.", {"probability": 0.97}),)
        return PixelResult("ai", None, 0.97, reasons, (view,), image, model)

    return result


@pytest.fixture
def consumer(broker: Broker, pixel_result: Answer) -> Iterator[Consumer]:
    """A live worker that finds every image made by AI."""
    with Consumer(broker, pixel_result) as consumer:
        yield consumer


def environ(settings: ServerSettings) -> dict[str, str]:
    """The environment that gives these settings."""
    found = {}
    for each in fields(settings):
        value = getattr(settings, each.name)
        if value != each.default:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            found[each.metadata["env"]] = str(int(value)) if isinstance(value, bool) else text
    return found


@pytest.fixture(scope="module")
def serve_all(
    settings: ServerSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., GunicornServer]]:
    """`serve` for a whole module."""
    yield from _servers(settings, tmp_path_factory.mktemp("servers"))


@pytest.fixture
def serve(settings: ServerSettings, tmp_path: Path) -> Iterator[Callable[..., GunicornServer]]:
    """Starts servers under gunicorn, with these settings changed; they end with the test."""
    yield from _servers(settings, tmp_path)


def _servers(settings: ServerSettings, parent: Path) -> Iterator[Callable[..., GunicornServer]]:
    begun: list[GunicornServer] = []

    def start(*, processes: int = 1, threads: int = 32, **changes: object) -> GunicornServer:
        folder = parent / f"server{len(begun)}"
        folder.mkdir()
        changed = replace(settings, **changes)  # type: ignore[arg-type]
        server = GunicornServer(folder, environ(changed), processes=processes, threads=threads)
        begun.append(server)
        server.start()
        return server

    yield start
    for server in begun:
        server.stop()


@pytest.fixture
def run_worker(
    settings: ServerSettings, broker: Broker, tmp_path: Path
) -> Iterator[Callable[[str], None]]:
    """Starts a worker process of this class, and returns once it takes jobs. `fleet.FleetWorker` is
    everything but the model; `aidetect_worker.BatchWorker` the whole."""
    started: list[subprocess.Popen[bytes]] = []
    folders = [Path(__file__).parent, Path(__file__).parents[1] / "worker"]
    variables = {
        **os.environ,
        **environ(settings),
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "RQ_REDIS_URL": settings.redis_url,
        "AIDETECT_ALLOW_PRIVATE": "1",
        "OMP_NUM_THREADS": "1",
    }

    def run(kind: str) -> None:
        log = tmp_path / f"worker{len(started)}.log"
        command = [sys.executable, "-m", "rq.cli", "worker", "-w", kind, "checks"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
        started.append(process)
        deadline = time.monotonic() + 120
        while len(broker.workers()) < len(started):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)

    yield run
    for process in started:
        process.kill()
        process.wait()
