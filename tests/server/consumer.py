"""A worker without a model, in a thread: takes jobs from the real queue and answers them as told."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from rq.results import Result

from aidetect import AidetectError
from aidetect._protocol import CheckRequest, Outcome
from aidetect._result import PixelResult
from aidetect_worker import _names
from aidetect_worker._broker import Broker
from aidetect_worker._fleet import HEARTBEAT_TTL, WorkerInfo
from aidetect_worker._flights import settle
from aidetect_worker._freshness import Remembered
from aidetect_worker._job import CheckJob
from aidetect_worker._lookup import answer

Answer = Callable[[CheckRequest], PixelResult]
PNG = b"\x89PNG\r\n\x1a\n heat map of a test"


class Consumer:
    """`with Consumer(broker, answer):`; `answer` makes the pixel result of a request, or raises what is
    wrong with it. Keeps what it finds, as workers do. `hold` stops it from taking jobs."""

    def __init__(self, broker: Broker, answer: Answer) -> None:
        self.broker, self.answer = broker, answer
        self.hold = threading.Event()
        self.answered = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Consumer":
        beat(self.broker, self.broker.fleet)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        beaten = time.monotonic()
        while not self._end.is_set():
            if time.monotonic() - beaten > HEARTBEAT_TTL / 5:
                beaten = time.monotonic()
                beat(self.broker, self.broker.fleet)
            if self.hold.is_set() or not self._take():
                self._end.wait(0.005)

    def _take(self) -> bool:
        taken = self.broker.redis.lpop(self.broker.flights.queue.key)
        if taken is None:
            return False
        job = CheckJob.fetch(taken.decode(), connection=self.broker.redis)
        request = job.request()
        self.broker.redis.hset(job.key, mapping={"status": "started", "stage": "fetching"})
        with self.broker.redis.pipeline() as pipe, self.broker.cache.pipeline() as kept:
            try:
                result = replace(self.answer(request), heat_map=PNG)
                self.broker.cache.keep_result(kept, request.fleet, result)
                self.broker.cache.keep_claims(kept, result.image.sha256, ())
                if request.kind == "url":
                    now = time.time()
                    entry = Remembered(result.image.sha256, "", "", now + 60, 60.0, "0" * 64)
                    self.broker.cache.keep_url(kept, request.identity, entry, now)
                kept.execute()
                recalled = self.broker.cache.recall([(request.fleet, result.image.sha256)])[0]
                outcome = answer(request, recalled)
                assert outcome is not None
            except AidetectError as error:
                outcome = Outcome.of(error)
            settle(pipe, job.id, request, outcome, self.broker.uploads)
            pipe.hset(job.key, "status", "finished")
            self.answered += 1  # before whoever waits is woken, and counts
            Result.create(job, Result.Type.SUCCESSFUL, ttl=60, pipeline=pipe)
            pipe.execute()
        return True


def beat(broker: Broker, fleet: str, name: str = "test") -> None:
    """A heartbeat as of a live worker, good for HEARTBEAT_TTL seconds."""
    info = WorkerInfo(name, "default", "1", fleet, "cpu", "here", 0, time.time())
    broker.redis.sadd("rq:workers:checks", f"rq:worker:{name}")
    broker.redis.set(_names.worker(name), info.to_json(), ex=HEARTBEAT_TTL)


def hash_of(request: CheckRequest) -> str:
    """The SHA-256 of the request's image; of a URL's, a made-up one that goes with the URL."""
    return request.sha256 or hashlib.sha256(b"image of " + request.target.encode()).hexdigest()
