"""What a worker does while it has work: fills the line, answers what comes out of it, stays alive."""

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from redis.client import Pipeline as RedisPipeline
from rq.exceptions import NoSuchJobError
from rq.utils import now

from aidetect._errors import AidetectError
from aidetect._protocol import CheckRequest
from aidetect._text import printable

from ._batch import Ledger, Taken
from ._broker import INTERNAL
from ._cache import VerdictCache
from ._check import Check
from ._flights import settle
from ._heartbeat import Watchdog, end_process
from ._job import CheckJob, ForeignJobError, read_request
from ._logs import scrubbed_traceback
from ._metrics import Metrics
from ._pipeline import Pipeline
from ._redis import UNAVAILABLE
from ._uploads import Uploads

GLANCE, GLANCE_FULL, GLANCE_IN_VAIN = 0.02, 0.05, 0.1
"""Seconds between two looks at the queue while checks are under way: where there is room for more, where
there is room for interactive ones only, and after it was found empty."""
FOREIGN_PAUSE = 1.0
"""Seconds that a worker rests that finds only checks for another model."""

log = logging.getLogger("aidetect.worker")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for which one check may be at a stage, before the process is taken for hung."""

    fetch: float
    job: float


class Session:
    """The work of one worker; `run` goes on as long as there is some."""

    def __init__(
        self,
        worker: Any,
        ledger: Ledger,
        pipeline: Pipeline,
        cache: VerdictCache,
        uploads: Uploads,
        watchdog: Watchdog,
        metrics: Metrics,
        *,
        in_flight: int,
        patience: Patience,
        fingerprint: str,
        caches_apart: bool,
    ) -> None:
        """`worker` is the RQ worker: its stop flag, its maintenance, its handling of failures."""
        self._worker, self._ledger, self._pipeline, self._cache = worker, ledger, pipeline, cache
        self._uploads = uploads
        self._watchdog, self._metrics = watchdog, metrics
        self._in_flight, self._patience = in_flight, patience
        self._reserve = max(1, in_flight // 8)
        self._fingerprint, self._caches_apart = fingerprint, caches_apart
        self._alone = False
        self._looked = self._tended = 0.0
        self._glance = GLANCE
        self.suspended = False
        self.jobs_left: int | None = None
        self.answered = 0

    def run(self, first: Taken) -> None:
        """Runs this taken job and all that come while there is something under way."""
        try:
            self._ledger.persistently(lambda: self._admit([first]))
            while True:
                self._tend()
                self._refill()
                if not self._pipeline.checks:
                    return
                if done := self._pipeline.turn(GLANCE):
                    self._finish(done)
        except SystemExit:  # a cold shutdown: what was begun is nobody's fault
            with suppress(*UNAVAILABLE):
                self._ledger.release([check.held for check in self._pipeline.checks])
            raise
        finally:
            self._watchdog.rest()

    def _tend(self) -> None:
        """What has to be done every second, however busy."""
        self._watchdog.feed()
        if self._pipeline.forwarder.broken:
            self._end([], "the model answers nothing any more")
        if time.monotonic() - self._tended < 1.0:
            return
        self._tended = time.monotonic()
        if self._worker.should_run_maintenance_tasks:
            self._worker.run_maintenance_tasks()
        if late := self._pipeline.overdue(self._patience.fetch, self._patience.job):
            self._end(late, "a check hangs")

    def _end(self, guilty: Sequence[Check], why: str) -> None:
        """Ends the process; all jobs but the guilty ones, whose leases run out, go back unharmed."""
        for check in guilty:
            log.critical("job %s: %s for too long", check.held.id, check.stage)
        try:
            self._ledger.release([c.held for c in self._pipeline.checks if c not in guilty])
        except UNAVAILABLE:
            log.warning("Redis is away: all jobs wait until their leases run out")
        end_process(why)

    @property
    def _stopping(self) -> bool:
        return self._worker._stop_requested or self.suspended or self.jobs_left == 0

    def _refill(self) -> None:
        """Takes what there is room for: many at a time while there is much, at once while there is
        little. While a job that may have ended a worker is run, nothing else is."""
        busy = len(self._pipeline.checks)
        if self._stopping or (self._alone and busy):
            return
        room = 1 if self._alone else self._in_flight - busy
        if self.jobs_left is not None:
            room = min(room, self.jobs_left)
        due = time.monotonic() - self._looked >= self._glance
        much = room >= max(1, self._in_flight // 4) and self._glance != GLANCE_IN_VAIN
        if not (due or self._alone or much):
            return
        self._looked = time.monotonic()
        try:
            if room > 0:
                taken = self._ledger.take(room)
                self._glance = GLANCE if taken else GLANCE_IN_VAIN
                self._admit(taken)
            elif busy < self._in_flight + self._reserve:
                self._glance = GLANCE_FULL
                if self._ledger.next_priority() == "interactive":
                    self._admit(self._ledger.take(1))
        except UNAVAILABLE as error:
            log.warning("Redis is away (%s): taking nothing", type(error).__name__)
            self._looked += 1.0

    def _admit(self, jobs: Sequence[Taken]) -> None:
        """Begins taken jobs; puts back those for another model, and those that have to run alone."""
        alone = not self._pipeline.checks and len(jobs) == 1
        suspects = [job for job in jobs if job.suspect and not alone]
        self._ledger.give_back([job.id for job in suspects], front=True)
        self._alone = bool(suspects) or (alone and jobs[0].suspect)
        requests: list[tuple[Taken, CheckRequest]] = []
        foreign = []
        for job in jobs:
            if job in suspects:
                continue
            try:
                request = read_request(job.data)
            except Exception as error:  # whatever others wrote
                self._refuse(job.id, error)
                continue
            if job.interactive:  # which a bulk one becomes when a person asks for the same
                request = replace(request, priority="interactive")
            if request.fleet == self._fingerprint:
                requests.append((job, request))
            else:
                foreign.append(job.id)
        if foreign:
            self._pass_on(foreign, pause=not requests and not self._pipeline.checks)
        begun = self._ledger.begin(requests)
        if self.jobs_left is not None:
            self.jobs_left -= len(begun)
        moment = now()
        for job, _ in requests:
            if job.asked is not None:
                self._metrics.queue_wait.observe(max(0.0, (moment - job.asked).total_seconds()))
        self._pipeline.add(begun)

    def _pass_on(self, ids: Sequence[str], *, pause: bool) -> None:
        """Checks for a model that this worker does not have, to the back of the queue."""
        self._ledger.give_back(ids, front=False)
        log.warning("put back %d checks that another model has to answer", len(ids))
        if pause:
            time.sleep(FOREIGN_PAUSE)

    def _refuse(self, job_id: str, error: Exception) -> None:
        """Fails a job that is no check, for good."""
        self._metrics.jobs.labels("refused").inc()
        refusal = (
            error if isinstance(error, AidetectError) else ForeignJobError("the job cannot be read")
        )
        try:
            job = CheckJob.fetch(job_id, connection=self._ledger.redis)
            job.retries_left, job.ended_at = 0, now()
            self._worker.handle_exception(job, type(refusal), refusal, None)
            self._worker.handle_job_failure(
                job, self._ledger.queue, exc_string=f"{refusal.code}: {refusal}"
            )
        except (ValueError, NoSuchJobError):
            log.error("struck off %s, which is no job at all", printable(job_id))
        self._ledger.strike([job_id])

    def _finish(self, done: Sequence[Check]) -> None:
        """Answers checks that are done; hands those that failed unexpectedly to RQ."""
        answered = [check for check in done if check.outcome is not None]
        for check in done:
            if check.outcome is None:
                self._ledger.persistently(lambda check=check: self._fail(check))  # type: ignore[misc]
        if not answered:
            return
        if self._caches_apart:
            self._keep_apart(answered)
        pairs = [(check.held, check.outcome) for check in answered if check.outcome is not None]
        finished = self._ledger.finish(pairs, lambda pipe: self._keep(pipe, answered))
        self.answered += finished
        if lost := len(pairs) - finished:
            self._metrics.jobs.labels("lost").inc(lost)
            log.warning("%d jobs had been given to others meanwhile: their answers are dropped", lost)
        for check in answered:
            self._report(check)

    def _keep(self, pipe: RedisPipeline, checks: Iterable[Check]) -> None:
        if not self._caches_apart:
            self._pipeline.keep(pipe, checks)

    def _keep_apart(self, checks: Iterable[Check]) -> None:
        try:
            with self._cache.pipeline() as pipe:
                self._pipeline.keep(pipe, checks)
                pipe.execute()
        except UNAVAILABLE as error:
            log.warning("the caches are away (%s): nothing is kept", type(error).__name__)

    def _report(self, check: Check) -> None:
        outcome, job_id = check.outcome, check.held.id
        seconds = round(time.monotonic() - check.began, 3)
        if outcome is None or outcome.problem is None:
            self._metrics.jobs.labels("verdict").inc()
            log.debug("answered %s", job_id, extra={"job": job_id, "seconds": seconds})
            return
        code = str(outcome.problem["code"])
        self._metrics.jobs.labels("problem").inc()
        self._metrics.problems.labels(code).inc()
        log.info(
            "answered %s: %s", job_id, code, extra={"job": job_id, "code": code, "seconds": seconds}
        )

    def _fail(self, check: Check) -> None:
        """A job that raised what nobody expected: RQ tries it again, alone, or fails it for good."""
        held, error, worker, redis = check.held, check.error, self._worker, self._ledger.redis
        assert error is not None
        self._ledger.drop(held)
        if redis.zscore(self._ledger.begun_key, held.entry) is None:
            return
        self._metrics.jobs.labels("failed").inc()
        job = CheckJob.fetch(held.id, connection=redis)
        last = not job.should_retry
        job.ended_at = now()
        worker.execution = held.execution(redis, worker.name)
        worker.handle_exception(job, type(error), error, error.__traceback__)
        worker.handle_job_failure(job, self._ledger.queue, exc_string=scrubbed_traceback(error))
        if last:
            with redis.pipeline() as pipe:
                settle(pipe, held.id, held.request, INTERNAL, self._uploads)
                pipe.execute()
            self._cache.remember_problem(held.request, INTERNAL)
