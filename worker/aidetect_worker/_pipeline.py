"""The line that checks run through: fetch, hash, look up, decode, forward, each beside the others.

The main thread does all that talks to Redis, for many checks at a time, and calls `turn` again and
again; lanes of threads fetch and decode; one thread owns the model. Nothing here knows RQ.
"""

import ctypes
import hashlib
import logging
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.client import Pipeline as RedisPipeline

from aidetect._engine import Engine
from aidetect._errors import AidetectError, InputError
from aidetect._fetch import shown
from aidetect._image import pixel_count
from aidetect._protocol import Outcome
from aidetect._result import assemble

from ._batch import Held
from ._cache import Recalled, VerdictCache
from ._check import Check, Fetch, is_interactive
from ._forward import Forwarder
from ._freshness import remember, renew
from ._lookup import Found, answer, look
from ._metrics import Metrics
from ._redis import UNAVAILABLE
from ._stages import Budget, Gathering, Lane, Line, Ready

HURRIED, TOGETHER = 0.01, 0.05
"""Seconds for which things to tell Redis may gather: while something waits for them, and else."""
DECODED_BYTES = 12
"""Bytes that decoding holds at its height for each pixel, as measured: Pillow's image, its copies (twice
as many where there is transparency), the array."""
LARGE = 100_000_000
"""Bytes after which memory is handed back at once: the allocator keeps such an image for each thread."""

log = logging.getLogger("aidetect.worker")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of each at a time. Times in seconds."""

    max_batch: int
    max_wait: float
    fetch_threads: int
    decode_threads: int
    max_memory: int
    url_ttl: float


def hand_back_memory() -> None:
    """Gives what was freed back to the system, where the C library is one that keeps it (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Pipeline:
    """Takes checks with `add`, gives them back from `turn` with an outcome, or with the error that none
    was expected to raise."""

    def __init__(
        self,
        engine: Engine,
        fetch: Fetch,
        cache: VerdictCache,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._engine, self._fetch, self._cache, self._limits = engine, fetch, cache, limits
        self._metrics = metrics
        self.analysing: Callable[[Sequence[Held]], None] = lambda held: None
        """Is told of checks before they are decoded: they can end the process from there on."""
        self.checks: set[Check] = set()
        self._new: list[Check] = []
        self._fetched: Gathering[Check] = Gathering()
        self._waiting: Line[Check] = Line(is_interactive)
        self._in_analysis = 0
        self._done: Gathering[Check] = Gathering()
        self._events: queue.SimpleQueue[Check] = queue.SimpleQueue()
        self._pixels = Budget(limits.max_memory)
        self._ready: Ready[Check] = Ready(limits.max_batch, limits.max_wait, is_interactive)
        self.forwarder = Forwarder(engine, self._ready, self._events, metrics)
        self._fetching = Lane(
            "fetch",
            limits.fetch_threads,
            self._run_fetch,
            is_interactive,
            reserved=max(1, limits.fetch_threads // 8),
        )
        self._decoding = Lane("decode", limits.decode_threads, self._run_decode, is_interactive)

    def add(self, begun: Iterable[Held]) -> None:
        for held in begun:
            check = Check(held, time.monotonic())
            self.checks.add(check)
            self._new.append(check)

    def close(self) -> None:
        self._fetching.close()
        self._decoding.close()
        self._ready.close()

    def overdue(self, fetch_limit: float, job_limit: float) -> list[Check]:
        """Checks whose thread has been at one stage for longer than any should take."""
        moment = time.monotonic()
        return [
            check
            for check in list(self.checks)
            if (since := check.running) is not None
            and moment - since > (fetch_limit if check.stage == "fetch" else job_limit)
        ]

    def turn(self, wait: float) -> list[Check]:
        """Moves everything on; waits up to `wait` seconds for something to happen. Checks that are done,
        once enough of them are worth telling Redis about."""
        self._start()
        self._collect(min(wait, HURRIED) if self._done or self._fetched else wait)
        enough = min(len(self.checks) // 4, self._limits.max_batch)
        busy = len(self._ready) >= self._limits.max_batch
        if self._fetched.due(enough, HURRIED if not busy else TOGETHER):
            self._sort_fetched()
        self._admit_analysis()
        if self._done.due(enough, HURRIED):
            done = self._done.take()
            self.checks.difference_update(done)
            return done
        return []

    def keep(self, pipe: RedisPipeline, done: Iterable[Check]) -> None:
        """Adds to `pipe` what the caches shall keep of these."""
        now = time.time()
        for check in done:
            request, outcome = check.held.request, check.outcome
            if check.result is not None:
                self._cache.keep_result(pipe, request.fleet, check.result)
            if check.prepared is not None and outcome is not None and outcome.verdict is not None:
                self._cache.keep_claims(pipe, check.sha256, check.claims)
            if outcome is not None and outcome.problem is not None and check.error is not None:
                self._cache.keep_problem(pipe, request, outcome.problem)
            if check.fetched is None:
                continue
            longest, old = self._limits.url_ttl, check.found.remembered
            if check.fetched.status == 304 and old is not None:
                entry = renew(old, check.fetched, now, longest)
            else:
                entry = remember(check.fetched, check.sha256, now, longest)
            self._cache.keep_url(pipe, request.identity, entry, now)

    def _collect(self, wait: float) -> None:
        """What the threads have finished."""
        try:
            check = self._events.get(timeout=wait) if wait > 0 else self._events.get_nowait()
            while True:
                self._sort(check)
                check = self._events.get_nowait()
        except queue.Empty:
            return

    def _sort(self, check: Check) -> None:
        check.running = None
        if check.stage == "fetch":
            self._fetched.add(check)
            return
        self._in_analysis -= 1
        if check.error is None:
            assert check.prepared is not None
            result = check.result or (check.recalled.result if check.recalled else None)
            assert result is not None
            elapsed = 1000 * (time.monotonic() - check.began)
            check.outcome = Outcome(
                assemble(result, check.claims, source=check.source, elapsed_ms=round(elapsed, 1))
            )
        self._end(check)

    def _end(self, check: Check) -> None:
        """It is done: by an outcome, by an error of its image, or by one that nobody expected."""
        if isinstance(check.error, InputError):
            check.outcome = Outcome.of(check.error)
        self._fetch.release(check)
        self._done.add(check)

    def _start(self) -> None:
        """New checks: from the caches, or to the fetchers."""
        new, self._new = self._new, []
        if not new:
            return
        found = self._forgiving(lambda: look(self._cache, [check.held.request for check in new]), new)
        for check, known in zip(new, found or [Found()] * len(new), strict=True):
            failed = known.outcome is not None and known.outcome.problem is not None
            check.found = Found() if failed and check.held.again else known
        unknown = [check for check in new if check.found.outcome is None]
        self._forgiving(lambda: self._fetch.read_ahead(unknown), unknown)
        for check in new:
            if check.found.outcome is None:
                self._ready.expect(1)
                self._fetching.put(check)
            else:
                self._metrics.hits.labels("request").inc()
                check.outcome = check.found.outcome
                self._end(check)

    def _run_fetch(self, check: Check) -> None:
        """In a thread."""
        check.running = started = time.monotonic()
        try:
            self._fetch(check)
            if check.data is not None:
                check.sha256 = hashlib.sha256(check.data).hexdigest()
        except Exception as error:
            check.error = error
        self._metrics.fetch.observe(time.monotonic() - started)
        self._events.put(check)

    def _sort_fetched(self) -> None:
        """Bytes have come: their result from the caches, or on to the decoders."""
        unknown = []
        for check in self._fetched.take():
            if check.error is None and check.data is not None:
                unknown.append(check)
                continue
            self._ready.expect(-1)
            if check.error is None:
                self._metrics.hits.labels("unchanged").inc()
                check.outcome = check.found.unchanged
            self._end(check)
        wanted = [(check.held.request.fleet, check.sha256) for check in unknown]
        recalled = self._forgiving(lambda: self._cache.recall(wanted), wanted)
        for check, known in zip(unknown, recalled or [Recalled(None, None)] * len(unknown), strict=True):
            check.recalled = known
            check.outcome = answer(check.held.request, known)
            if check.outcome is not None:
                self._metrics.hits.labels("bytes").inc()
                self._ready.expect(-1)
                self._end(check)
            else:
                self._waiting.add(check)

    def _forgiving(self, work: Callable[[], Any], about: Sequence[object]) -> Any:
        """`work()`, or None where there is nothing to ask about or the caches are away: what they would
        know is made again."""
        try:
            return work() if about else None
        except UNAVAILABLE as error:
            log.warning("the caches are away (%s); computing everything", type(error).__name__)
            return None

    def _admit_analysis(self) -> None:
        """No more are begun to be analysed than keep decoders and model busy: those are what a worker
        that dies leaves behind under suspicion."""
        room = 2 * self._limits.max_batch + 2 * self._limits.decode_threads - self._in_analysis
        room = max(room, self._waiting.interactive)
        batch = [check for _ in range(max(0, room)) if (check := self._waiting.take()) is not None]
        if not batch:
            return
        self._in_analysis += len(batch)
        self.analysing([check.held for check in batch])
        for check in batch:
            check.stage = "decode"
            self._decoding.put(check)

    def _run_decode(self, check: Check) -> None:
        """In a thread."""
        assert check.data is not None
        try:
            cost = DECODED_BYTES * pixel_count(check.data)
        except AidetectError:
            cost = 0  # what is wrong with it, preparing says
        self._pixels.take(cost)
        check.running = started = time.monotonic()
        try:
            check.prepared = self._engine.prepare(check.data, name=check.source and shown(check.source))
            check.claims = check.prepared.claims
        except Exception as error:
            check.error = error
        finally:
            if cost > LARGE:
                hand_back_memory()
            self._pixels.give(cost)
            self._fetch.release(check)
        self._metrics.decode.observe(time.monotonic() - started)
        check.running = None
        known = check.recalled is not None and check.recalled.result is not None
        if check.error is not None or known:
            self._ready.expect(-1)
            self._events.put(check)
        else:
            check.stage = "forward"
            self._ready.add(check)
