"""From a request to its outcome, where the caches know it, without a worker."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from aidetect._protocol import CheckRequest, Outcome
from aidetect._result import assemble

from . import _names
from ._cache import Read, Recalled, VerdictCache
from ._freshness import Remembered


@dataclass(frozen=True, slots=True)
class Found:
    """What the caches know of one request.

    `outcome` answers it. Where that is None, `remembered` and `unchanged` say how to ask the URL's
    server whether the image is still the one that `unchanged` is the outcome of; both or none are given.
    `held_until` (seconds since 1970) is when its host may be asked again.
    """

    outcome: Outcome | None = None
    remembered: Remembered | None = None
    unchanged: Outcome | None = None
    held_until: float = 0.0


def look(cache: VerdictCache, requests: Sequence[CheckRequest]) -> list[Found]:
    """What is known of each request, in two round trips for any number of them, in one where all are of
    hashes that are known.

    Of a fresh one nothing counts but what its host asked for.
    """
    of_urls = [request for request in requests if request.kind == "url"]
    hosts = [_names.host_of(request.target) for request in of_urls]
    read = cache.read(requests if of_urls else (), hosts)
    wanted = {(request.fleet, sha256) for request in requests if (sha256 := _hash(request, read))}
    recalled = dict(zip(wanted, cache.recall(list(wanted)), strict=True)) if wanted else {}
    if not of_urls:
        read = cache.read([each for each in requests if _outcome(each, read, recalled) is None])
    now = time.time()
    return [_found(request, read, recalled, now) for request in requests]


def answer(request: CheckRequest, recalled: Recalled) -> Outcome | None:
    """The outcome of what was computed before; None where a part is missing."""
    if recalled.result is None or recalled.claims is None:
        return None
    source = request.target if request.kind == "url" else None
    return Outcome(assemble(recalled.result, recalled.claims, source=source, cached=True))


def _found(
    request: CheckRequest, read: Read, recalled: dict[tuple[str, str], Recalled], now: float
) -> Found:
    outcome = _outcome(request, read, recalled)
    problem = None if request.fresh else read.problems.get((request.fleet, request.identity))
    if problem is not None and (outcome is None or request.kind == "url"):
        return Found(Outcome(None, problem))
    if request.kind == "upload":
        return Found(outcome)
    held_until = read.held_until[_names.host_of(request.target)]
    entry = read.remembered[request.identity]
    if outcome is None or entry is None or now < entry.fresh_until:
        return Found(outcome, held_until=held_until)
    if not entry.headers():
        return Found(held_until=held_until)
    return Found(None, entry, outcome, held_until)


def _hash(request: CheckRequest, read: Read) -> str | None:
    """The hash of the image asked for, as far as it is known, be it of old."""
    entry = None if request.fresh else read.remembered.get(request.identity)
    return request.sha256 or (entry.sha256 if entry else None)


def _outcome(
    request: CheckRequest, read: Read, recalled: dict[tuple[str, str], Recalled]
) -> Outcome | None:
    sha256 = _hash(request, read)
    return answer(request, recalled[request.fleet, sha256]) if sha256 else None
