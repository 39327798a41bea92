"""`BatchWorker`: an RQ worker that runs many checks at a time through one model.

RQ runs one job after the other; this one takes many, and gives back to RQ's loop only once it has none.
What RQ does around jobs stays: signals, suspension, burst, registries, `rq info`. What it does with one
job is replaced by `Ledger` (bookkeeping), `Rescuer` (maintenance) and `Session` (the work itself).

Left out on purpose: `stop-job`, since checks share a process; custom serializers and job classes, since
those are how foreign code would come in.
"""

import logging
import os
import time
from contextlib import suppress
from typing import Any

from redis.backoff import NoBackoff
from redis.client import Pipeline as RedisPipeline
from redis.retry import Retry
from rq.exceptions import DequeueTimeout
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import now
from rq.worker import SimpleWorker, WorkerStatus
from rq.worker_registration import register

from aidetect import __version__
from aidetect._engine import Engine
from aidetect._errors import ConfigurationError

from . import _names
from ._batch import Ledger
from ._cache import VerdictCache
from ._fetching import Fetching
from ._fleet import HEARTBEAT_TTL, WorkerInfo
from ._heartbeat import Heart, Watchdog
from ._job import QUEUE, CheckJob, CheckQueue
from ._logs import scrubbed, set_up
from ._metrics import Metrics
from ._options import WorkerSettings
from ._pipeline import Limits, Pipeline
from ._redis import UNAVAILABLE, connect
from ._rescue import INTERVAL, Rescuer
from ._session import Patience, Session
from ._settings import FetchSettings, QueueSettings
from ._stages import Budget
from ._uploads import Uploads

IDLE = 1
"""Seconds that one wait for a job lasts: signals are heeded between two."""

log = logging.getLogger("aidetect.worker")


class BatchWorker(SimpleWorker):
    """`rq worker -w aidetect_worker.BatchWorker checks`. Its settings come from the environment:
    `docs/operating.md` lists them."""

    queue_class = CheckQueue
    job_class = CheckJob

    def __init__(
        self,
        queues: Any,
        name: str | None = None,
        *,
        settings: WorkerSettings | None = None,
        connection: Any = None,
        prepare_for_work: bool = True,
        **options: Any,
    ) -> None:
        listed = queues if isinstance(queues, list | tuple) else [queues]
        names = [queue.name if isinstance(queue, Queue) else queue for queue in listed]
        if prepare_for_work and names != [QUEUE]:
            raise ConfigurationError(
                f"this worker serves the queue `{QUEUE}` and no other: with several RQ can lose jobs"
            )
        options.update(queue_class=CheckQueue, job_class=CheckJob, serializer=JSONSerializer)
        options.pop("default_worker_ttl", None)
        options["worker_ttl"] = 30
        if connection is not None:
            connection.set_retry(Retry(NoBackoff(), 0))  # what is repeated here is looked at first
        super().__init__(
            names, name, connection=connection, prepare_for_work=prepare_for_work, **options
        )
        self.maintenance_interval = INTERVAL
        self.metrics = Metrics()
        self._settings = settings
        self._since = time.time()

    @property
    def connection_timeout(self) -> int:
        return 10

    def load_engine(self) -> Engine:
        """The model. A subclass may bring another."""
        own, fleet = self.settings, QueueSettings.from_environment()
        return Engine(
            fleet.model or None,
            backend=own.backend,
            device=own.device,
            views=fleet.views,
            threads=own.threads or None,
            max_pixels=own.max_pixels,
        )

    @property
    def settings(self) -> WorkerSettings:
        if self._settings is None:
            self._settings = WorkerSettings.from_environment()
        return self._settings

    # RQ's loop, with a model loaded before it and leases renewed beside it.

    def work(self, burst: bool = False, *args: Any, max_jobs: int | None = None, **options: Any) -> bool:
        set_up(self.settings.log_format)
        self._prepare()
        self._session.jobs_left = max_jobs
        try:
            return super().work(burst, *args, **options)
        finally:
            self._heart.stop()
            self._pipeline.close()
            self._fetching.close()

    def _prepare(self) -> None:
        """Everything that a worker works with, the model first: nothing is taken before it is loaded."""
        own, fleet, fetch = (
            self.settings,
            QueueSettings.from_environment(),
            FetchSettings.from_environment(),
        )
        engine = self._engine = self.load_engine()
        gpu = engine.device.startswith("cuda")
        max_batch = own.max_batch or (64 if gpu else engine.images_at_once)
        in_flight = own.in_flight or (128 if gpu else max(32, 4 * max_batch))
        limits = Limits(
            max_batch=max_batch,
            max_wait=own.max_wait,
            fetch_threads=min(fetch.fetch_threads, in_flight),
            decode_threads=own.decode_threads or min(4, os.cpu_count() or 1),
            max_memory=own.max_memory // 2,
            url_ttl=fleet.url_ttl,
        )
        uploads = Uploads(self.connection, fleet.secret, fleet.max_upload_bytes, fleet.upload_ttl)
        apart = bool(fleet.cache_url) and fleet.cache_url != fleet.redis_url
        caches = connect(fleet.cache_url, retries=1) if apart else self.connection
        cache = VerdictCache(caches, fleet.result_ttl)
        self._watchdog = Watchdog(own.job_timeout + 30)
        queue = CheckQueue(QUEUE, connection=self.connection)
        self._ledger = Ledger(self, queue, self._watchdog.feed)
        self._rescuer = Rescuer(self._ledger, uploads, cache)
        self._fetching = Fetching(fetch, uploads, Budget(own.max_memory // 2), caches)
        self._pipeline = Pipeline(engine, self._fetching, cache, limits, self.metrics)
        self._session = Session(
            self,
            self._ledger,
            self._pipeline,
            cache,
            uploads,
            self._watchdog,
            self.metrics,
            in_flight=in_flight,
            patience=Patience(fetch.fetch_deadline + 15, own.job_timeout),
            fingerprint=engine.fingerprint,
            caches_apart=apart,
        )
        self._pipeline.analysing = self._ledger.analysing
        self._heart = Heart(self._beat)
        if own.metrics_port:
            self.metrics.serve(own.metrics_host, own.metrics_port)
        log.info(
            "%s %s on %s (%s), fleet %s: batches of %d, %d checks in flight",
            engine.model.name,
            engine.model.version,
            engine.device,
            engine.backend,
            engine.fingerprint,
            limits.max_batch,
            in_flight,
        )

    def _beat(self) -> None:
        """Renews leases and heartbeats, and learns whether the workers are suspended."""
        engine = self._engine
        info = WorkerInfo(
            name=self.name,
            model=f"{engine.model.name} {engine.model.version}",
            version=__version__,
            fingerprint=engine.fingerprint,
            device=engine.device,
            host=str(self.hostname),
            jobs=self._session.answered,
            since=self._since,
        )

        def also(pipe: RedisPipeline) -> None:
            self.heartbeat(pipeline=pipe)
            pipe.set(_names.worker(self.name), info.to_json(), ex=HEARTBEAT_TTL)
            pipe.hexists(self.key, "birth")
            pipe.exists(WORKERS_SUSPENDED)
            pipe.llen(self.queues[0].key)

        known, suspended, waiting = self._ledger.renew(also)[-3:]
        self._session.suspended = bool(suspended)
        self.metrics.queue.set(waiting)
        self.metrics.in_flight.set(len(self._ledger.held))
        self.metrics.see_gpu(engine.device)
        if not known:  # Redis was emptied: RQ's tools would not see this worker any more
            with self.connection.pipeline() as pipe:
                pipe.hset(self.key, mapping=self.serialize())
                register(self, pipe)
                pipe.execute()

    # What RQ does around jobs, made to outlive Redis and to leave nothing behind.

    def bootstrap(self, *args: Any, **options: Any) -> None:
        super().bootstrap(*args, **options)
        self._beat()
        self._heart.start()

    def _shutdown(self) -> None:
        """A warm shutdown sets a flag and never raises: an exception in the middle of a take would
        strand what was just taken."""
        self._stop_requested = True
        with suppress(*UNAVAILABLE):
            self.set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def check_for_suspension(self, burst: bool) -> None:
        with suppress(*UNAVAILABLE):
            super().check_for_suspension(burst)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        with suppress(*UNAVAILABLE):
            super().heartbeat(timeout, pipeline)

    def clean_registries(self) -> None:
        """Without RQ's lock, which would outlive a rescuer that dies: see `_rescue`."""
        self.last_cleaned_at = now()  # type: ignore[assignment]
        rescued = self._rescuer.look()
        if rescued:
            self.metrics.jobs.labels("rescued").inc(rescued)
            log.warning("brought back %d jobs of workers that are gone", rescued)

    def run_maintenance_tasks(self) -> None:
        with suppress(*UNAVAILABLE):
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]

    def register_death(self) -> None:
        with suppress(*UNAVAILABLE):
            super().register_death()  # type: ignore[no-untyped-call]
            self.connection.delete(_names.worker(self.name))

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """RQ's commands are heard again once Redis is back."""
        if not isinstance(exc, UNAVAILABLE):
            raise exc
        time.sleep(2.0)

    def handle_exception(self, job: Any, *exc_info: Any) -> None:
        """Logs without the job's arguments, which RQ hands to the log and which hold the URL."""
        log.error(
            "job %s failed: %s",
            job.id,
            scrubbed(str(exc_info[1])),
            exc_info=exc_info,
            extra={"job": job.id},
        )
        for handler in reversed(self._exc_handlers):
            if handler(job, *exc_info) is False:
                break

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """The next job, or None to end: on request, in burst mode on an empty queue, or after idling."""
        queue, ledger, session = self.queues[0], self._ledger, self._session
        idle_since = time.monotonic()
        with suppress(*UNAVAILABLE):
            self.set_state(WorkerStatus.IDLE)
        while not self._stop_requested and session.jobs_left != 0:
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            if session.suspended:
                self.check_for_suspension(timeout is None)
                session.suspended = False
                continue
            try:
                taken = CheckQueue.lmove(self.connection, queue.key, None if timeout is None else IDLE)
                if taken is None:
                    return None
                self._state = WorkerStatus.BUSY
                if job := ledger.load(taken[1].decode()):
                    return job, queue
            except DequeueTimeout:
                if max_idle_time is not None and time.monotonic() - idle_since >= max_idle_time:
                    return None
            except UNAVAILABLE as error:
                log.warning("Redis is away (%s)", type(error).__name__)
                ledger.persistently(self.connection.ping)
                self._watchdog.rest()
        return None

    def execute_job(self, job: Any, queue: Any) -> None:
        """Runs this job and all that come while there is something under way."""
        self._session.run(job)
