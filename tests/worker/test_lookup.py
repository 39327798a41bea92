"""From a request to an outcome that is known, and to no other."""

import dataclasses
import time

import pytest
from redis import Redis

from aidetect import NotAnImageError
from aidetect._protocol import CheckRequest, Outcome
from aidetect_worker import _cache, _names
from aidetect_worker._cache import VerdictCache
from aidetect_worker._freshness import Remembered
from aidetect_worker._lookup import Found, look

from .conftest import FLEET
from .results import claims, digest, pixel_result

URL = "http://example.org/a.png"
HASH = digest(b"an image")


@pytest.fixture
def cache(redis: Redis) -> VerdictCache:
    return VerdictCache(redis, 1000)


def keep(cache: VerdictCache, fresh_for: float, etag: str = '"v1"', sha256: str = HASH) -> None:
    """The URL named the image, whose result and claims are known."""
    with cache.pipeline() as pipe:
        cache.keep_result(pipe, FLEET, pixel_result(sha256))
        cache.keep_claims(pipe, sha256, claims())
        entry = Remembered(sha256, etag, "", time.time() + fresh_for, fresh_for, 64 * "0")
        cache.keep_url(pipe, of_url().identity, entry, time.time() - 1)
        pipe.execute()


def of_url(**options: object) -> CheckRequest:
    return CheckRequest.for_url(URL, FLEET, **options)  # type: ignore[arg-type]


def of_hash(fleet: str = FLEET) -> CheckRequest:
    return CheckRequest.for_upload(HASH, fleet)


def test_nothing_is_known_of_the_unknown(cache: VerdictCache) -> None:
    assert look(cache, [of_url(), of_hash()]) == [Found(), Found()]
    assert look(cache, []) == []


def test_a_known_image_is_answered_by_its_hash_and_by_its_url(cache: VerdictCache) -> None:
    keep(cache, 60)
    by_url, by_hash = (found.outcome for found in look(cache, [of_url(), of_hash()]))
    assert by_url is not None and by_url.verdict is not None
    assert by_hash is not None and by_hash.verdict is not None
    assert (by_url.verdict.source, by_hash.verdict.source) == (URL, None)
    assert by_url.verdict.cached and by_hash.verdict.cached
    assert by_url.verdict.image.sha256 == by_hash.verdict.image.sha256 == HASH
    assert any(one.kind == "metadata" for one in by_hash.verdict.evidence)


def test_another_fleet_has_no_answer(cache: VerdictCache) -> None:
    keep(cache, 60)
    other = "f" * 16
    asked = [CheckRequest.for_url(URL, other), of_hash(other), of_hash()]
    assert [found.outcome is None for found in look(cache, asked)] == [True, True, False]


def test_new_readers_of_claims_have_no_answer(
    cache: VerdictCache, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(cache, 60)
    monkeypatch.setattr(_cache, "claims_identity", lambda: "another")
    other = VerdictCache(redis, 60)
    assert look(other, [of_url(), of_hash()]) == [Found(), Found()]


def test_a_stale_url_is_asked_again(cache: VerdictCache) -> None:
    keep(cache, -1)
    [found] = look(cache, [of_url()])
    assert found.outcome is None
    assert found.remembered is not None and found.remembered.headers() == {"If-None-Match": '"v1"'}
    assert found.unchanged is not None and found.unchanged.verdict is not None


def test_a_stale_url_whose_result_is_gone_is_fetched_whole(cache: VerdictCache, redis: Redis) -> None:
    keep(cache, -1)
    redis.delete(_names.pixels(FLEET, HASH))
    assert look(cache, [of_url()]) == [Found()]


def test_a_fresh_url_whose_result_is_gone_is_fetched_whole(cache: VerdictCache, redis: Redis) -> None:
    keep(cache, 60)
    redis.delete(_names.pixels(FLEET, HASH))
    assert look(cache, [of_url()]) == [Found()]


def test_fresh_looks_nothing_up_but_the_hosts_wish(cache: VerdictCache, redis: Redis) -> None:
    keep(cache, 60)
    with cache.pipeline() as pipe:
        cache.keep_problem(pipe, of_url(), Outcome.of(NotAnImageError("x")).problem or {})
        pipe.execute()
    redis.set(_names.held("example.org"), "1234.5")
    assert look(cache, [of_url(fresh=True)]) == [Found(held_until=1234.5)]


def test_a_late_failure_answers_before_what_was_remembered(cache: VerdictCache) -> None:
    keep(cache, 60)
    problem = Outcome.of(NotAnImageError("x")).problem or {}
    with cache.pipeline() as pipe:
        cache.keep_problem(pipe, of_url(), problem)
        pipe.execute()
    assert look(cache, [of_url()]) == [Found(Outcome(None, problem))]


def test_a_failed_upload_is_told_until_its_result_is_known(cache: VerdictCache) -> None:
    problem = Outcome.of(NotAnImageError("x")).problem or {}
    with cache.pipeline() as pipe:
        cache.keep_problem(pipe, of_hash(), problem)
        pipe.execute()
    assert look(cache, [of_hash()]) == [Found(Outcome(None, problem))]
    assert look(cache, [of_url(), of_hash()])[1] == Found(Outcome(None, problem))
    keep(cache, 60)
    for found in (look(cache, [of_hash()])[0], look(cache, [of_url(), of_hash()])[1]):
        assert found.outcome is not None and found.outcome.verdict is not None


def test_each_of_many_gets_its_own(cache: VerdictCache) -> None:
    keep(cache, 60)
    unknown = CheckRequest.for_url("http://example.org/other.png", FLEET)
    known = look(cache, [unknown, of_url(), of_hash(), unknown, of_url()])
    assert [found.outcome is not None for found in known] == [False, True, True, False, True]


def test_what_is_known_is_put_together_anew(cache: VerdictCache) -> None:
    """A rule of fusion that changes needs no forward: the label is not what is kept."""
    keep(cache, 60)
    with cache.pipeline() as pipe:
        result = dataclasses.replace(pixel_result(HASH), label="uncertain", because="flat")
        cache.keep_result(pipe, FLEET, result)
        pipe.execute()
    [found] = look(cache, [of_hash()])
    assert found.outcome is not None and found.outcome.verdict is not None
    assert found.outcome.verdict.uncertain_because == "flat"
