"""The bookkeeping of many jobs at once: take, begin, finish, each in one round trip.

RQ does the same for one job in eighteen. What it would write is written, so that `rq info`, registries,
results, retries and dependents work as ever. Two things are added:

- A job is finished only by the worker that still holds it. A worker that was away too long (stopped,
  swapped out, cut off) finds its lease gone and drops what it computed: nothing is answered twice.
- Redis may go away in the middle of anything: every step can be sent again, and the work goes on when
  Redis is back.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from redis.client import Pipeline
from rq.executions import Execution
from rq.registry import FinishedJobRegistry
from rq.utils import now, utcformat

from aidetect._protocol import CheckRequest, Outcome

from . import _names, _scripts
from ._flights import ANSWER_TTL, RESULT_TTL
from ._job import CheckJob, CheckQueue
from ._redis import UNAVAILABLE, Client

LEASE = 10
"""Seconds after which a worker that no longer renews its jobs is taken for dead."""
EXECUTION_TTL = 60
LONGEST_PAUSE = 2.0
OVER = (b"canceled", b"finished", b"stopped")

_Done = TypeVar("_Done")
log = logging.getLogger("aidetect.worker")


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A job that was taken and is not begun. `suspect`: a worker began to analyse it and never finished,
    so it may be what ended that worker. `interactive`: whether it is now, whatever it was made as."""

    id: str
    data: bytes
    suspect: bool
    interactive: bool
    asked: datetime | None


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A job that this worker has begun: its lease is renewed until it is finished or given back."""

    id: str
    run: str
    request: CheckRequest
    began: float
    """Seconds since 1970."""
    again: bool
    """Whether it was analysed before, and ended otherwise than by an answer."""

    @property
    def entry(self) -> str:
        """Its name among the jobs that are begun."""
        return f"{self.id}:{self.run}"

    def execution(self, redis: Client, worker: str) -> Execution:
        """As RQ knows it."""
        return Execution(self.run, self.id, redis, worker)


class Ledger:
    """The jobs of one worker, as Redis knows them. Not for several threads, but for `renew`."""

    def __init__(self, worker: Any, queue: CheckQueue, alive: Callable[[], None] = lambda: None) -> None:
        """`worker` is the RQ worker, for its name; `alive` is called while Redis is awaited."""
        self.worker, self.queue, self.redis = worker, queue, queue.connection
        self.held: dict[str, Held] = {}
        self._lock = threading.Lock()
        self.begun_key = f"rq:wip:{queue.name}"
        self._finished_key = FinishedJobRegistry(queue=queue).key
        self._alive = alive

    def persistently(self, work: Callable[[], _Done]) -> _Done:
        """`work()`, again after growing pauses while Redis is away."""
        pause = 0.05
        while True:
            try:
                return work()
            except UNAVAILABLE as error:
                log.warning("Redis is away (%s); trying again in %.1f s", type(error).__name__, pause)
                self._alive()
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return self.redis.eval(script, len(keys), *keys, *arguments)

    def take(self, most: int) -> list[Taken]:
        """Up to `most` jobs from the front of the queue, now listed as taken and not begun."""
        taken = self._run(_scripts.TAKE, [self.queue.key, self.queue.intermediate_queue_key], [most])
        return self._alive_ones(taken)

    def load(self, job_id: str) -> Taken | None:
        """A job that was taken by other means."""
        fields = self.redis.hmget(
            _names.job(job_id), "data", "status", "stage", "enqueued_at", "priority"
        )
        return next(iter(self._alive_ones([[job_id.encode(), *fields]])), None)

    def _alive_ones(self, found: Iterable[Any]) -> list[Taken]:
        """What is no job, or is over already, is struck off."""
        jobs, dead = [], []
        for name, data, status, stage, asked, priority in found:
            if data is None or status in OVER:
                dead.append(name)
            else:
                suspect, interactive = stage == b"analysing", priority == b"interactive"
                jobs.append(Taken(name.decode(), data, suspect, interactive, _moment(asked)))
        if dead:
            self.strike(dead)
        return jobs

    def strike(self, names: Iterable[Any]) -> None:
        """Takes ids off the list of what was taken; they are nowhere then."""
        with self.redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.lrem(self.queue.intermediate_queue_key, 1, name)
            pipe.execute()

    def next_priority(self) -> str | None:
        """`interactive` or `bulk`, of the job that would be taken next."""
        priority = self._run(_scripts.NEXT, [self.queue.key], [])
        return priority.decode() if priority else None

    def give_back(self, ids: Sequence[str], *, front: bool) -> None:
        """Taken jobs that are not begun here: to the front of the queue, in order, or to its back."""
        if ids:
            keys = [self.queue.intermediate_queue_key, self.queue.key]
            order = ["LPUSH", *reversed(ids)] if front else ["RPUSH", *ids]
            self._run(_scripts.GIVE_BACK, keys, order)

    def begin(self, jobs: Sequence[tuple[Taken, CheckRequest]]) -> list[Held]:
        """Begins taken jobs. Those that somebody else has put back meanwhile are left out."""
        if not jobs:
            return []
        moment = now()
        seconds = moment.timestamp()
        fresh = [Held(job.id, uuid4().hex, request, seconds, job.suspect) for job, request in jobs]
        keys = [self.begun_key, self.queue.intermediate_queue_key, self.worker.key]
        arguments = [self.worker.name, utcformat(moment), seconds, LEASE, EXECUTION_TTL]
        for one in fresh:
            arguments += one.id, one.run
        ours = self.persistently(lambda: self._run(_scripts.BEGIN, keys, arguments))
        begun = [one for one, mine in zip(fresh, ours, strict=True) if mine]
        with self._lock:
            self.held.update((one.entry, one) for one in begun)
        return begun

    def analysing(self, held: Iterable[Held]) -> None:
        """Notes that these are being analysed from here on."""

        def note() -> None:
            with self.redis.pipeline(transaction=False) as pipe:
                for one in held:
                    pipe.hset(_names.job(one.id), "stage", "analysing")
                pipe.execute()

        self.persistently(note)

    def finish(self, done: Sequence[tuple[Held, Outcome]], extra: Callable[[Pipeline], None]) -> int:
        """Answers these, after the commands of `extra`; how many were still ours."""
        moment = now()
        seconds = moment.timestamp()
        worked = sum(seconds - one.began for one, _ in done)
        name = self.worker.name
        arguments = [name, utcformat(moment), seconds, ANSWER_TTL, RESULT_TTL, round(worked, 3)]
        for one, outcome in done:
            request = one.request
            answer = _names.pack(outcome.to_dict())
            upload = request.target if request.kind == "upload" else ""
            arguments += one.id, one.run, one.began, answer, _names.flight(request.flight), upload
        keys = [self.begun_key, self._finished_key, self.worker.key]

        def send() -> Any:
            with self.redis.pipeline(transaction=False) as pipe:
                extra(pipe)
                pipe.eval(_scripts.FINISH, len(keys), *keys, *arguments)
                return pipe.execute()[-1]

        for one, _ in done:
            self.drop(one)
        states = self.persistently(send)
        for (one, _), state in zip(done, states, strict=True):
            if state == 2:
                self.persistently(lambda one=one: self._enqueue_dependents(one))  # type: ignore[misc]
        finished: int = sum(state > 0 for state in states)
        self.worker.successful_job_count += finished
        return finished

    def _enqueue_dependents(self, one: Held) -> None:
        self.queue.enqueue_dependents(CheckJob.fetch(one.id, connection=self.redis))

    def release(self, held: Iterable[Held]) -> None:
        """Gives begun jobs back unharmed, to the front of the queue."""
        names = [part for one in held for part in (one.id, one.run)]
        if names:
            self._run(_scripts.RELEASE, [self.begun_key, self.queue.key], names)

    def drop(self, one: Held) -> None:
        """Stops renewing it."""
        with self._lock:
            self.held.pop(one.entry, None)

    def renew(self, extra: Callable[[Pipeline], None]) -> list[Any]:
        """Renews the leases of all that is held, with the commands of `extra`; their results.

        For a thread of its own, so that leases outlive whatever the main one is busy with.
        """
        with self._lock:
            entries = list(self.held)
        with self.redis.pipeline(transaction=False) as pipe:
            if entries:
                pipe.eval(_scripts.RENEW, 1, self.begun_key, LEASE, EXECUTION_TTL, *entries)
            before = len(pipe)
            extra(pipe)
            return list(pipe.execute()[before:])


def _moment(text: bytes | None) -> datetime | None:
    """RQ's form of a moment, in UTC."""
    try:
        moment = datetime.fromisoformat((text or b"").decode())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
