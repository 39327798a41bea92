"""What is kept of images: found again under exactly what it depends on, and nothing else."""

import dataclasses

import pytest
from redis import Redis

from aidetect import HTTPStatusError, NotAnImageError, UnreachableError
from aidetect._errors import AidetectError
from aidetect._protocol import CheckRequest, Outcome
from aidetect._provenance import claims_identity
from aidetect_worker import _cache, _names
from aidetect_worker._cache import Recalled, VerdictCache
from aidetect_worker._freshness import Remembered

from .conftest import FLEET
from .results import claims, digest, pixel_result

HASH = digest(b"an image")
DAY = 86400
NEVER_FRESH = Remembered(HASH, '"v1"', "", 0.0, 0.0, 64 * "0")


@pytest.fixture
def cache(redis: Redis) -> VerdictCache:
    return VerdictCache(redis, 30 * DAY)


def keep(cache: VerdictCache, sha256: str = HASH, fleet: str = FLEET) -> None:
    with cache.pipeline() as pipe:
        cache.keep_result(pipe, fleet, pixel_result(sha256))
        cache.keep_claims(pipe, sha256, claims())
        pipe.execute()


def test_what_is_kept_is_found(cache: VerdictCache, redis: Redis) -> None:
    keep(cache)
    known = cache.recall([(FLEET, HASH), (FLEET, digest(b"another"))])
    found = pixel_result(HASH)
    assert known[0].claims == claims()
    assert known[0].result is not None and known[0].result.to_dict() == found.to_dict()
    assert known[1] == Recalled(None, None)
    assert cache.heat_map(FLEET, HASH) == found.heat_map
    assert cache.heat_map(FLEET, digest(b"another")) is None
    for key in redis.keys("*"):
        assert 29 * DAY < redis.ttl(key) <= 30 * DAY


def test_another_fleet_finds_no_result(cache: VerdictCache) -> None:
    keep(cache)
    [known] = cache.recall([("f" * 16, HASH)])
    assert known == Recalled(None, claims())
    assert cache.heat_map("f" * 16, HASH) is None


def test_other_readers_of_claims_find_none(
    cache: VerdictCache, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(cache)
    monkeypatch.setattr(_cache, "claims_identity", lambda: "another")
    [known] = VerdictCache(redis, DAY).recall([(FLEET, HASH)])
    assert known.claims is None and known.result is not None


def test_a_result_without_heat_map_keeps_an_older_ones(cache: VerdictCache) -> None:
    keep(cache)
    with cache.pipeline() as pipe:
        cache.keep_result(pipe, FLEET, dataclasses.replace(pixel_result(HASH), heat_map=None))
        pipe.execute()
    assert cache.heat_map(FLEET, HASH) == pixel_result(HASH).heat_map


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"x",
        _names.pack({}),
        _names.pack([]),
        _names.pack(None),
        _names.pack({**pixel_result(HASH).to_dict(), "model": 1}),
        _names.pack(pixel_result(digest(b"another")).to_dict()),
    ],
)
def test_what_cannot_be_read_is_not_there(cache: VerdictCache, redis: Redis, packed: bytes) -> None:
    keep(cache)
    redis.hset(_names.pixels(FLEET, HASH), "r", packed)
    assert cache.recall([(FLEET, HASH)]) == [Recalled(None, claims())]


@pytest.mark.parametrize("packed", [b"", b"x", _names.pack({"a": 1}), _names.pack([1]), _names.pack(3)])
def test_other_entries_that_cannot_be_read(cache: VerdictCache, redis: Redis, packed: bytes) -> None:
    keep(cache)
    request = CheckRequest.for_url("http://example.org/", FLEET)
    for key in (_names.claims(claims_identity(), HASH), _names.url(request.identity)):
        redis.set(key, packed)
    assert cache.recall([(FLEET, HASH)])[0].claims is None
    assert cache.read([request]).remembered == {request.identity: None}


def test_the_claims_of_a_file_without_any_are_known(cache: VerdictCache) -> None:
    with cache.pipeline() as pipe:
        cache.keep_claims(pipe, HASH, ())
        pipe.execute()
    assert cache.recall([(FLEET, HASH)]) == [Recalled(None, ())]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (UnreachableError("no such host", code="dns"), 60),
        (UnreachableError("refused", code="connection"), 30),
        (HTTPStatusError("gone", status=404), 300),
        (HTTPStatusError("down", status=500), 30),
        (HTTPStatusError("down", status=503, retry_after=120.0), 120),
        (HTTPStatusError("down", status=503, retry_after=1e9), 600),
        (HTTPStatusError("slow down", status=429), 5),
        (HTTPStatusError("slow down", status=429, retry_after=40.0), 40),
        (NotAnImageError("a page"), 600),
        (AidetectError("something else"), -2),
    ],
)
def test_failures_are_kept_by_their_cause(
    cache: VerdictCache, redis: Redis, error: AidetectError, seconds: int
) -> None:
    request = CheckRequest.for_url("http://example.org/", FLEET)
    problem = Outcome.of(error).problem
    assert problem is not None
    with cache.pipeline() as pipe:
        cache.keep_problem(pipe, request, problem)
        pipe.execute()
    asked = request.fleet, request.identity
    assert cache.read([request]).problems[asked] == (problem if seconds > 0 else None)
    assert redis.ttl(_names.failed(*asked)) in (seconds, seconds - 1)


@pytest.mark.parametrize(
    ("entry", "seconds"),
    [
        (NEVER_FRESH, DAY),
        (Remembered(HASH, "", "", 1100.0, 100.0, 64 * "0"), 100),
        (Remembered(HASH, "", "yesterday", 1100.0, 100.0, 64 * "0"), DAY),
        (Remembered(HASH, "", "", 1000.0, 0.0, 64 * "0"), -2),
        (None, -2),
    ],
)
def test_a_url_is_remembered_for_as_long_as_it_helps(
    cache: VerdictCache, redis: Redis, entry: Remembered | None, seconds: int
) -> None:
    with cache.pipeline() as pipe:
        cache.keep_url(pipe, HASH, NEVER_FRESH, 1000.0)
        cache.keep_url(pipe, HASH, entry, 1000.0)
        pipe.execute()
    assert redis.ttl(_names.url(HASH)) in (seconds, seconds - 1)


def test_no_url_stands_in_redis(cache: VerdictCache, redis: Redis) -> None:
    request = CheckRequest.for_url("http://example.org/?token=secret", FLEET)
    with cache.pipeline() as pipe:
        cache.keep_url(pipe, request.identity, NEVER_FRESH, 1000.0)
        pipe.execute()
    for key in redis.keys("*"):
        assert b"example" not in key
        assert b"example" not in str(_names.unpack(redis.get(key))).encode()
