"""Uploaded bytes: unreadable in Redis, bounded in sum, gone in time."""

import secrets
import threading
import time
from dataclasses import replace

import pytest
from redis import Redis
from redis.client import Pipeline

from aidetect import ConfigurationError
from aidetect._protocol import CheckRequest
from aidetect_worker import _names
from aidetect_worker._broker import Broker
from aidetect_worker._errors import QueueFullError, UploadGoneError, UploadsFullError
from aidetect_worker._secrets import derive
from aidetect_worker._settings import QueueSettings
from aidetect_worker._uploads import Uploads

from .conftest import FLEET, SECRET
from .results import begin, digest, finish, outcome

DATA = b"an image that nobody else may see"
HASH = digest(DATA)


@pytest.fixture
def uploads(redis: Redis) -> Uploads:
    return Uploads(redis, SECRET, max_bytes=1000, ttl=60)


def stored(redis: Redis) -> int:
    return len(redis.keys(_names.upload("*")))


def test_what_is_stored_is_fetched(uploads: Uploads, redis: Redis) -> None:
    key = uploads.store(DATA, HASH)
    assert uploads.fetch(key, HASH) == DATA
    assert uploads.waiting() == len(DATA)
    uploads.drop(key)
    uploads.drop(key)
    assert (uploads.waiting(), stored(redis)) == (0, 0)
    with pytest.raises(UploadGoneError, match="send it again"):
        uploads.fetch(key, HASH)


def test_redis_holds_nothing_of_it(uploads: Uploads, redis: Redis) -> None:
    keys = [uploads.store(DATA, HASH) for _ in range(2)]
    sealed = [redis.get(_names.upload(key)) for key in keys]
    assert sealed[0] != sealed[1]
    assert not any(DATA[:8] in value for value in sealed)


def test_bytes_cannot_be_put_under_another_key_or_hash(uploads: Uploads, redis: Redis) -> None:
    key, other = uploads.store(DATA, HASH), uploads.store(DATA[::-1], digest(DATA[::-1]))
    with pytest.raises(UploadGoneError):
        uploads.fetch(key, digest(b"other"))
    redis.set(_names.upload(other), redis.get(_names.upload(key)))
    with pytest.raises(UploadGoneError):
        uploads.fetch(other, HASH)
    sealed = bytearray(redis.get(_names.upload(key)))
    sealed[-1] ^= 1
    for damaged in (bytes(sealed), b"", b"short"):
        redis.set(_names.upload(key), damaged)
        with pytest.raises(UploadGoneError):
            uploads.fetch(key, HASH)


def test_another_secret_does_not_open_it(uploads: Uploads, redis: Redis) -> None:
    key = uploads.store(DATA, HASH)
    with pytest.raises(UploadGoneError, match="AIDETECT_SECRET"):
        Uploads(redis, SECRET[::-1], 1000, 60).fetch(key, HASH)


def test_without_a_secret_nothing_is_stored(redis: Redis) -> None:
    with pytest.raises(ConfigurationError, match="AIDETECT_SECRET"):
        Uploads(redis, "", 1000, 60).store(DATA, HASH)
    assert redis.keys("*") == []


def test_keys_for_other_purposes_differ() -> None:
    assert derive(SECRET, "uploads") != derive(SECRET, "keys")
    assert len(derive(SECRET, "uploads")) == 32


def test_all_that_waits_is_bounded(uploads: Uploads, redis: Redis) -> None:
    data = bytes(300)
    keys = [uploads.store(data, digest(data)) for _ in range(3)]
    with pytest.raises(UploadsFullError) as caught:
        uploads.store(data, digest(data))
    assert (caught.value.code, caught.value.retryable) == ("uploads_full", True)
    assert (uploads.waiting(), stored(redis)) == (900, 3)
    uploads.store(bytes(100), digest(bytes(100)))
    uploads.drop(keys[0])
    uploads.store(data, digest(data))
    assert (uploads.waiting(), stored(redis)) == (1000, 4)


def test_what_expires_leaves_no_trace_in_the_sum(redis: Redis) -> None:
    brief, lasting = Uploads(redis, SECRET, 1000, 1), Uploads(redis, SECRET, 1000, 60)
    data = bytes(400)
    gone = [brief.store(data, digest(data)) for _ in range(2)]
    time.sleep(1.2)
    kept = [lasting.store(data, digest(data)) for _ in range(2)]
    assert (lasting.waiting(), stored(redis)) == (800, 2)
    assert set(redis.zrange(_names.UPLOADS, 0, -1)) == {key.encode() for key in kept}
    lasting.drop(gone[0])  # by a worker that was slow
    assert lasting.waiting() == 800


def test_a_store_that_is_sent_twice_counts_once(
    uploads: Uploads, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the client does where the connection breaks before the answer comes."""
    execute = Pipeline.execute

    def twice(self: Pipeline) -> object:
        commands = list(self.command_stack)
        execute(self)
        self.command_stack = commands
        return execute(self)

    monkeypatch.setattr(Pipeline, "execute", twice)
    key = uploads.store(DATA, HASH)
    assert (uploads.waiting(), stored(redis)) == (len(DATA), 1)
    uploads.drop(key)
    assert uploads.waiting() == 0


def test_many_at_once_keep_the_bound(redis: Redis) -> None:
    uploads, random = Uploads(redis, SECRET, 50_000, 60), secrets.SystemRandom()
    most: list[int] = []

    def store_and_drop() -> None:
        for _ in range(40):
            data = bytes(random.randrange(1, 9000))
            try:
                key = uploads.store(data, digest(data))
            except UploadsFullError:
                continue
            most.append(uploads.waiting())
            uploads.drop(key)

    threads = [threading.Thread(target=store_and_drop) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 50_000
    assert (uploads.waiting(), stored(redis)) == (0, 0)


def test_the_bytes_go_with_the_verdict(broker: Broker, redis: Redis) -> None:
    key = broker.store_upload(DATA, HASH)
    broker.submit(CheckRequest.for_upload(HASH, FLEET, key), "a")
    job = begin(redis)
    assert job is not None
    finish(redis, job, outcome(HASH), broker.uploads)
    assert (broker.uploads.waiting(), stored(redis)) == (0, 0)


def test_a_second_upload_of_an_image_under_way_is_dropped(broker: Broker, redis: Redis) -> None:
    first, second = broker.store_upload(DATA, HASH), broker.store_upload(DATA, HASH)
    job_id = broker.submit(CheckRequest.for_upload(HASH, FLEET, first), "a")
    assert broker.submit(CheckRequest.for_upload(HASH, FLEET, second), "b") == job_id
    assert broker.submit(CheckRequest.for_upload(HASH, FLEET, first), "c") == job_id
    assert broker.uploads.fetch(first, HASH) == DATA
    assert (broker.uploads.waiting(), stored(redis)) == (len(DATA), 1)


def test_an_upload_that_finds_the_queue_full_is_dropped(settings: QueueSettings, redis: Redis) -> None:
    broker = Broker(replace(settings, max_queue=1), fleet=FLEET)
    for number in range(2):
        broker.submit(CheckRequest.for_url(f"http://example.org/{number}", FLEET), "a")
    key = broker.store_upload(DATA, HASH)
    with pytest.raises(QueueFullError):
        broker.submit(CheckRequest.for_upload(HASH, FLEET, key), "a")
    assert (broker.uploads.waiting(), stored(redis)) == (0, 0)
    broker.close()


def test_a_large_upload(redis: Redis) -> None:
    uploads = Uploads(redis, SECRET, 10**9, 60)
    data = secrets.token_bytes(20_000_000)
    assert uploads.fetch(uploads.store(data, digest(data)), digest(data)) == data
