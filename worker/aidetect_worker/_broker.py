"""`Broker`: what asks for checks, from any Python program: the server, a script, a test.

>>> from aidetect_worker import Broker
>>> broker = Broker.from_environment()  # doctest: +SKIP
>>> broker.check("https://example.org/photo.jpg").verdict.label  # doctest: +SKIP
'real'

It needs neither a model nor a runtime at hand. While Redis is away its methods raise what `UNAVAILABLE`
names, after some retries.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self
from uuid import uuid4

from aidetect._errors import ConfigurationError
from aidetect._protocol import CheckRequest, Outcome

from . import _fleet, _names
from ._cache import VerdictCache
from ._errors import QueueFullError
from ._fleet import WorkerInfo
from ._flights import Flights
from ._lookup import look
from ._redis import connect
from ._settings import QueueSettings
from ._uploads import Uploads

MAX_WAIT = 60.0
"""Seconds, the most that one call of `wait` waits."""

State = Literal["queued", "fetching", "analysing", "done", "failed"]

_EXPIRED = Outcome(
    None,
    {
        "code": "expired",
        "message": "the answer is no longer kept: ask for the check again",
        "retryable": True,
    },
)
INTERNAL = Outcome(
    None,
    {
        "code": "internal",
        "message": "the check failed several times for a reason on our side: try again later, and tell "
        "whoever runs the service if it goes on",
        "retryable": False,
    },
)
"""The outcome of a job that ended its workers."""


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a check is. `position` counts from 1 while it waits in the queue, None while it is being
    taken and after; `outcome` is there once the state is `done` (a verdict) or `failed` (a problem)."""

    state: State
    position: int | None = None
    outcome: Outcome | None = None


class Broker:
    """Asks for checks and for their answers; safe to share between threads.

    `fleet` is the fingerprint of the engine that answers; None for that of the settings' model, which is
    then read when first needed.
    """

    def __init__(self, settings: QueueSettings, *, fleet: str | None = None) -> None:
        self.settings = settings
        self.redis = connect(settings.redis_url)
        self._waiting = connect(settings.redis_url, timeout=MAX_WAIT + 10, retries=0)
        self.cache_redis = connect(settings.cache_url) if settings.cache_url else self.redis
        self.cache = VerdictCache(self.cache_redis, settings.result_ttl)
        self.flights = Flights(self.redis, settings.max_queue)
        self.uploads = Uploads(
            self.redis, settings.secret, settings.max_upload_bytes, settings.upload_ttl
        )
        self._fleet, self._lock = fleet, threading.Lock()

    @classmethod
    def from_environment(cls) -> Self:
        return cls(QueueSettings.from_environment())

    def close(self) -> None:
        for client in (self.redis, self._waiting, self.cache_redis):
            client.close()

    @property
    def fleet(self) -> str:
        """Fingerprint of the engine that answers. Raises ModelError or ConfigurationError where the
        settings name none."""
        with self._lock:
            if self._fleet is None:
                from aidetect._engine import fleet_fingerprint  # numpy

                self._fleet = fleet_fingerprint(self.settings.model or None, self.settings.views)
            return self._fleet

    def check(self, url: str, timeout: float = MAX_WAIT) -> Outcome:
        """The outcome of an image's URL, from the caches or a worker.

        Raises InvalidURLError, QueueFullError, and TimeoutError after `timeout` seconds (MAX_WAIT at
        most), when no worker may be running.
        """
        request = CheckRequest.for_url(url, self.fleet)
        if (known := self.known(request)) is not None:
            return known
        asker = uuid4().hex
        job_id = self.submit(request, asker)
        outcome = self.wait(job_id, timeout, submitted=True).outcome
        if outcome is None:
            self.leave(job_id, asker)
            raise TimeoutError(
                f"no answer within {timeout:g} seconds, with {len(self.workers())} workers alive: start "
                "one with `aidetect worker`, or allow more time"
            )
        return outcome

    def known(self, request: CheckRequest) -> Outcome | None:
        """The answer from the caches alone. Two round trips at most."""
        return self.known_many([request])[0]

    def known_many(self, requests: Sequence[CheckRequest]) -> list[Outcome | None]:
        """The same of many, in as many round trips."""
        return [found.outcome for found in look(self.cache, requests)]

    def submit(self, request: CheckRequest, asker: str) -> str:
        """The id of the job that will answer, a new one or one that is under way. One round trip.

        `asker` is any id of who asks, for `leave`. Raises QueueFullError, and then a request's upload is
        dropped.
        """
        [job_id] = self.submit_many([(request, asker)])
        if job_id is None:
            raise QueueFullError("too many checks are waiting: try again in some seconds")
        return job_id

    def submit_many(self, asked: Sequence[tuple[CheckRequest, str]]) -> list[str | None]:
        """The same of many in one round trip; None in the place of each that found the queue full."""
        if any(request.kind == "upload" and not request.target for request, _ in asked):
            raise ConfigurationError(
                "a request without a target can only be looked up: store_upload gives one"
            )
        return self.flights.submit(asked)

    def leave(self, job_id: str, asker: str) -> bool:
        """`asker` no longer wants the answer. Whether that cancelled the job: the last one to leave
        cancels one that has not begun. One round trip."""
        return self.flights.leave(job_id, asker)

    def state(self, job_id: str) -> JobState:
        """One round trip."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.get(_names.answer(job_id))
            pipe.hmget(_names.job(job_id), "status", "stage")
            pipe.lpos(self.flights.queue.key, job_id)
            answer, (status, stage), index = pipe.execute()
        if answer is not None:
            return _finished(answer)
        if status in (b"failed", b"stopped"):
            return JobState("failed", outcome=INTERNAL)
        if status == b"started":
            return JobState("analysing" if stage == b"analysing" else "fetching")
        if status in (b"queued", b"scheduled", b"deferred"):
            return JobState("queued", None if index is None else index + 1)
        return JobState("failed", outcome=_EXPIRED)

    def wait(self, job_id: str, timeout: float, *, submitted: bool = False) -> JobState:
        """The state once the job is finished, or after `timeout` seconds (MAX_WAIT at most).

        Woken by RQ's own result, which holds the answer too; keeps a connection while it waits. One
        round trip, and one to look first, which is spared where the job was `submitted` just now.
        """
        milliseconds = int(1000 * min(timeout, MAX_WAIT))
        if not submitted or milliseconds <= 0:
            now = self.state(job_id)
            if now.outcome is not None or milliseconds <= 0:
                return now
        stream = _names.rq_result(job_id)
        results: Any = self._waiting.xread({stream: "0-0"}, count=1, block=milliseconds)
        for _, [(_, fields)] in results:
            if answer := fields.get(b"answer"):
                return _finished(answer)
        return self.state(job_id)

    def store_upload(self, data: bytes, sha256: str) -> str:
        """The key for `CheckRequest.for_upload`. `sha256` has to be computed from `data`, never taken
        from a client. One round trip. Raises UploadsFullError; ConfigurationError without a secret."""
        return self.uploads.store(data, sha256)

    def heat_map(self, sha256: str) -> bytes | None:
        """PNG of the image with this hash, None where none is kept."""
        return self.cache.heat_map(self.fleet, sha256)

    def workers(self) -> list[WorkerInfo]:
        """The live workers of the queue, whatever model they have."""
        return _fleet.workers(self.redis)

    def queue_length(self) -> int:
        """Checks that wait."""
        return int(self.redis.llen(self.flights.queue.key))

    def ping(self) -> None:
        """Raises one of UNAVAILABLE where a Redis does not answer."""
        self.redis.ping()
        if self.cache_redis is not self.redis:
            self.cache_redis.ping()


def _finished(answer: bytes) -> JobState:
    outcome = Outcome.from_dict(_names.unpack(answer))
    return JobState("failed" if outcome.verdict is None else "done", outcome=outcome)
