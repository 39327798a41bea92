"""What is kept so that nothing is computed twice: pixel results, claims, what URLs named, what failed.

Each under a key that holds all it depends on. A pixel result lies under the engine's fingerprint,
claims under the identity of their readers and trust anchors: with another model, calibration, profile of
views, reader or anchor nothing old can be found. All of it may vanish at any time, which costs the work
of making it again.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from redis.client import Pipeline

from aidetect._errors import AidetectError
from aidetect._protocol import CheckRequest, Outcome
from aidetect._provenance import Finding, claims_from_dicts, claims_identity
from aidetect._result import PixelResult

from . import _names
from ._freshness import Remembered
from ._redis import UNAVAILABLE, Client

FAILED_TTL = {
    "dns": 60,
    "connection": 30,
    "timeout": 60,
    "tls": 300,
    "http_5xx": 30,
    "http_4xx": 300,
    "http_3xx": 300,
    "invalid_url": 600,
    "blocked_address": 300,
    "too_large": 600,
    "not_an_image": 600,
    "unsupported_format": 600,
    "corrupt_image": 600,
    "too_many_pixels": 600,
    "internal": 300,
}
"""Seconds for which a failure answers the next asker too, by its code; of other codes none is kept."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is known of an image's bytes: either part may be missing and can then be made alone."""

    result: PixelResult | None
    claims: tuple[Finding, ...] | None


class VerdictCache:
    """The caches in one Redis. What writes takes a pipeline, so that a worker sends a batch at once."""

    def __init__(self, redis: Client, result_ttl: int) -> None:
        self._redis, self._result_ttl = redis, result_ttl
        self._readers = claims_identity()

    def pipeline(self) -> Pipeline:
        return self._redis.pipeline(transaction=False)

    def recall(self, wanted: Sequence[tuple[str, str]]) -> list[Recalled]:
        """What is known for each (fleet, sha256), without heat maps. One round trip."""
        with self.pipeline() as pipe:
            for fleet, sha256 in wanted:
                pipe.hget(_names.pixels(fleet, sha256), "r")
                pipe.get(_names.claims(self._readers, sha256))
            answers = pipe.execute()
        return [
            Recalled(_result(result, sha256), _claims(claims))
            for (_, sha256), result, claims in zip(wanted, answers[::2], answers[1::2], strict=True)
        ]

    def heat_map(self, fleet: str, sha256: str) -> bytes | None:
        """PNG."""
        kept = self._redis.hget(_names.pixels(fleet, sha256), "m")
        return kept if isinstance(kept, bytes) else None

    def read(self, requests: Iterable[CheckRequest], hosts: Iterable[str] = ()) -> "Read":
        """What URLs named, which requests failed lately and which hosts want rest. One round trip."""
        asked = list(dict.fromkeys((request.fleet, request.identity) for request in requests))
        identities = list(dict.fromkeys(identity for _, identity in asked))
        names = list(dict.fromkeys(hosts))
        keys = [_names.url(identity) for identity in identities]
        keys += [_names.failed(fleet, identity) for fleet, identity in asked]
        keys += [_names.held(name) for name in names]
        values: Iterator[Any] = iter(self._redis.mget(keys) if keys else ())
        return Read(
            {identity: _remembered(next(values)) for identity in identities},
            {each: _problem(next(values)) for each in asked},
            {name: float(next(values) or 0) for name in names},
        )

    def keep_result(self, pipe: Pipeline, fleet: str, result: PixelResult) -> None:
        key = _names.pixels(fleet, result.image.sha256)
        fields: dict[Any, Any] = {"r": _names.pack(result.to_dict())}
        if result.heat_map is not None:
            fields["m"] = result.heat_map
        pipe.hset(key, mapping=fields)
        pipe.expire(key, self._result_ttl)

    def keep_claims(self, pipe: Pipeline, sha256: str, claims: Sequence[Finding]) -> None:
        packed = _names.pack([claim.to_dict() for claim in claims])
        pipe.set(_names.claims(self._readers, sha256), packed, ex=self._result_ttl)

    def keep_url(self, pipe: Pipeline, identity: str, entry: Remembered | None, now: float) -> None:
        """What the URL names by its last answer; None forgets it."""
        ttl = 0 if entry is None else entry.ttl(now)
        if entry is None or ttl < 1:
            pipe.delete(_names.url(identity))
        else:
            pipe.set(_names.url(identity), _names.pack(asdict(entry)), ex=ttl)

    def keep_problem(self, pipe: Pipeline, request: CheckRequest, problem: dict[str, Any]) -> None:
        """That a check failed, for as long as its cause is worth, or for the time that the server asked
        for."""
        ttl = FAILED_TTL.get(problem["code"], 0)
        if "retry_after" in problem or problem.get("status") == 429:
            ttl = max(5, min(int(problem.get("retry_after") or 0), 600))
        if ttl:
            pipe.set(_names.failed(request.fleet, request.identity), _names.pack(problem), ex=ttl)

    def remember_problem(self, request: CheckRequest, outcome: Outcome) -> None:
        """The same at once; where the caches are away nothing is kept."""
        with suppress(*UNAVAILABLE), self.pipeline() as pipe:
            self.keep_problem(pipe, request, outcome.problem or {"code": ""})
            pipe.execute()


@dataclass(frozen=True, slots=True)
class Read:
    """By identity of the request, with its fleet for problems; and by host."""

    remembered: dict[str, Remembered | None]
    problems: dict[tuple[str, str], dict[str, Any] | None]
    held_until: dict[str, float]


def _result(packed: bytes | None, sha256: str) -> PixelResult | None:
    """None also for what cannot be read: it is made again."""
    try:
        result = PixelResult.from_dict(_names.unpack(packed)) if packed else None
    except (ValueError, AidetectError):
        return None
    return result if result is not None and result.image.sha256 == sha256 else None


def _claims(packed: bytes | None) -> tuple[Finding, ...] | None:
    try:
        return claims_from_dicts(_names.unpack(packed)) if packed else None
    except (ValueError, TypeError, KeyError):
        return None


def _remembered(packed: bytes | None) -> Remembered | None:
    try:
        return Remembered(**_names.unpack(packed)) if packed else None
    except (ValueError, TypeError):
        return None


def _problem(packed: bytes | None) -> dict[str, Any] | None:
    try:
        problem = _names.unpack(packed) if packed else None
    except ValueError:
        return None
    return problem if isinstance(problem, dict) else None
