"""What becomes of jobs whose worker died: they run again within half a minute, by whoever is alive.

Every worker looks every few seconds, without a lock that could die with its holder: each step is
atomic (`_scripts`), so that any number of rescuers may meet. RQ's own clean-up waits minutes, holds a
lock for a quarter of an hour, and can requeue a job twice.
"""

import time

from redis.exceptions import WatchError
from rq.exceptions import AbandonedJobError, NoSuchJobError
from rq.job import JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry
from rq.utils import as_text, now, parse_composite_key
from rq.worker_registration import clean_worker_registry

from aidetect._errors import AidetectError

from . import _names, _scripts
from ._batch import Ledger
from ._broker import INTERNAL
from ._cache import VerdictCache
from ._flights import settle
from ._job import CheckJob, read_request
from ._uploads import Uploads

INTERVAL = 4
"""Seconds between two looks."""
TRANSIT = 4.0
"""Seconds that a job may be taken and not yet begun; that takes a living worker some milliseconds."""
FORGIVEN = 5
"""Workers that may die while they fetch for a job before that counts against it."""


class Rescuer:
    """One worker's part in it."""

    def __init__(self, ledger: Ledger, uploads: Uploads, cache: VerdictCache) -> None:
        self._ledger, self._uploads, self._cache = ledger, uploads, cache
        self._queue, self._redis = ledger.queue, ledger.redis
        self._seen: dict[str, float] = {}

    def look(self) -> int:
        """Brings back what was lost, and tidies RQ's registries; how many jobs were brought back."""
        rescued = self._expired() + self._stranded()
        for registry in (FinishedJobRegistry, FailedJobRegistry):
            registry(queue=self._queue).cleanup()
        clean_worker_registry(self._queue)
        return rescued

    def _expired(self) -> int:
        """Jobs that were begun and whose lease has run out."""
        rescued = 0
        begun = self._ledger.begun_key
        seconds, _ = self._redis.time()
        for name in self._redis.zrangebyscore(begun, "-inf", seconds):
            entry = as_text(name)  # type: ignore[arg-type]
            job_id, _ = parse_composite_key(entry)
            keys = [begun, self._queue.key, self._queue.intermediate_queue_key, _names.job(job_id)]
            became = self._rescue(keys, entry, job_id)
            if became == b"queued":
                rescued += 1
            elif became == b"failed":
                self._give_up(job_id)
        return rescued

    def _rescue(self, keys: list[str], entry: str, job_id: str) -> bytes | None:
        became: bytes | None = self._redis.eval(
            _scripts.RESCUE, len(keys), *keys, entry, job_id, FORGIVEN
        )
        return became

    def _stranded(self) -> int:
        """Jobs that were taken by a worker that did not live to begin them."""
        waiting = [
            as_text(name) for name in self._redis.lrange(self._queue.intermediate_queue_key, 0, -1)
        ]
        moment = time.monotonic()
        self._seen = {job_id: self._seen.get(job_id, moment) for job_id in waiting}
        late = [job_id for job_id, since in self._seen.items() if moment - since >= TRANSIT]
        self._ledger.give_back(late, front=True)
        for job_id in late:
            del self._seen[job_id]
        return len(late)

    def _give_up(self, job_id: str) -> None:
        """Fails a job for good: RQ's registry of failures, and an answer for those who wait."""
        queue, worker = self._queue, self._ledger.worker
        try:
            job = CheckJob.fetch(job_id, connection=self._redis)
            request = read_request(job.data)
        except (AidetectError, ValueError, NoSuchJobError):
            self._ledger.strike([job_id])
            return
        error = AbandonedJobError("its workers died or hung, each time it was run")
        with self._redis.pipeline() as pipe:
            try:
                pipe.watch(job.key)  # type: ignore[no-untyped-call]
                if pipe.lpos(queue.intermediate_queue_key, job_id) is None:
                    return
                pipe.multi()
                job.ended_at = now()
                job.set_status(JobStatus.FAILED, pipeline=pipe)
                job._handle_failure(f"{type(error).__name__}: {error}", pipe, worker.name)
                pipe.lrem(queue.intermediate_queue_key, 1, job_id)
                worker.increment_failed_job_count(pipe)
                settle(pipe, job_id, request, INTERNAL, self._uploads)
                pipe.execute()
            except WatchError:
                return  # somebody else has it in hand
        self._cache.remember_problem(request, INTERNAL)
        worker.handle_exception(job, type(error), error, None)
        queue.enqueue_dependents(job)
