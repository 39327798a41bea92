"""Workers on a real Redis: against RQ's own, against the bare model, and what a cached answer costs.

Ratios are of runs that alternate in one process; Redis and origin are processes beside it. `--full` runs
longer and waits behind a bulk of 10,000 instead of 1,000.
"""

import argparse
import hashlib
import logging
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from _figures import Figures, at_least, at_most, print_figures, untargeted
from _pictures import encoded, photograph
from _worker_parts import SECRET, RoundTrips, origin, stock_job
from redis import Redis
from redis_server import RedisServer
from rq import Queue, SimpleWorker
from stub import FLEET, StubWorker

from aidetect._engine import Engine, Prepared
from aidetect._local import Local
from aidetect._protocol import CheckRequest
from aidetect._result import PixelResult
from aidetect_worker import BatchWorker, Broker
from aidetect_worker._settings import QueueSettings

FETCH = 0.05
"""Seconds that the origin takes behind a bulk."""
BATCH = 8
"""Images of the shipped model that share one forward on a CPU."""


class Bench:
    """One Redis, a broker, and workers that run in this process until the queue is empty."""

    def __init__(self, url: str) -> None:
        self.url = url
        os.environ.update(
            AIDETECT_REDIS_URL=url,
            AIDETECT_SECRET=SECRET,
            AIDETECT_ALLOW_PRIVATE="1",
            AIDETECT_HOST_CONNECTIONS="128",
            AIDETECT_FETCH_THREADS="128",
        )
        self.redis = Redis.from_url(url)
        self.stub = self.broker(FLEET)
        self.trips = RoundTrips()

    def broker(self, fleet: str) -> Broker:
        return Broker(QueueSettings(redis_url=self.url, secret=SECRET, max_queue=10**6), fleet=fleet)

    def ask(self, broker: Broker, urls: list[str], **options: str) -> list[str]:
        requests = [CheckRequest.for_url(url, broker.fleet, priority="bulk") for url in urls]
        return [job or "" for job in broker.submit_many([(request, "bench") for request in requests])]

    def upload(self, count: int) -> None:
        for _ in range(count):
            data = secrets.token_bytes(300)
            sha256 = hashlib.sha256(data).hexdigest()
            key = self.stub.store_upload(data, sha256)
            self.stub.submit(CheckRequest.for_upload(sha256, FLEET, key, priority="bulk"), "bench")

    def run(self, worker: type[BatchWorker], jobs: int) -> tuple[float, float]:
        """Jobs per second and round trips per job, until the queue is empty."""
        connection = Redis.from_url(self.url)
        instance = worker(["checks"], connection=connection)
        before, started = self.trips.count, time.perf_counter()
        instance.work(burst=True, logging_level="WARNING")
        seconds = time.perf_counter() - started
        assert instance.successful_job_count == jobs, (instance.successful_job_count, jobs)
        return jobs / seconds, (self.trips.count - before) / jobs

    def run_stock(self, arguments: list[tuple[str, ...]]) -> float:
        """Jobs per second of RQ's own worker that runs them in process."""
        queue = Queue("stock", connection=self.redis)
        for each in arguments:
            queue.enqueue(stock_job, *each)
        worker = Quiet([queue], connection=Redis.from_url(self.url))
        started = time.perf_counter()
        worker.work(burst=True, logging_level="WARNING")
        return len(arguments) / (time.perf_counter() - started)


class Deaf:
    """Without RQ's commands over Redis, whose thread takes a second to end."""

    def subscribe(self) -> None:
        pass


class Quiet(Deaf, SimpleWorker):
    pass


class Stub(Deaf, StubWorker):
    pass


def batches_of(size: int) -> None:
    os.environ.update(AIDETECT_MAX_BATCH=str(size), AIDETECT_MAX_IN_FLIGHT="128")


def against_stock(bench: Bench, rounds: int, jobs: int) -> Figures:
    """A model of 5 ms a batch, without fetching and with an origin that takes 50 ms."""
    batches_of(32)
    plain, fetched, trips, fetch_trips, rates = [], [], [], [], []
    with origin(0.05) as address:
        for turn in range(rounds):
            bench.upload(jobs)
            rate, each = bench.run(Stub, jobs)
            rates.append(rate)
            trips.append(each)
            plain.append(rate / bench.run_stock([()] * 150))
            bench.ask(bench.stub, [f"{address}/{turn * jobs + n}.jpg" for n in range(jobs)])
            rate, each = bench.run(Stub, jobs)
            fetch_trips.append(each)
            fetched.append(rate / bench.run_stock([(f"{address}/{n}.jpg",) for n in range(25)]))
    return {
        "stub_jobs_per_second": untargeted(statistics.median(rates)),
        "over_simple_worker": at_least(statistics.median(plain), 10),
        "over_simple_worker_with_50_ms_fetch": at_least(statistics.median(fetched), 12),
        "round_trips_per_job": at_most(statistics.median(trips), 0.8),
        "round_trips_per_job_with_fetch": at_most(statistics.median(fetch_trips), 0.8),
    }


class Drawing(Engine):
    """Draws a heat map with each result, as it does for workers."""

    def prepare(self, data: bytes, **options: Any) -> Prepared:
        return super().prepare(data, **{**options, "heat_map": True})

    def judge(self, prepared: Sequence[Prepared], *, heat_maps: bool = True) -> list[PixelResult]:
        return super().judge(prepared, heat_maps=True)


def against_model(bench: Bench, rounds: int, images: int) -> Figures:
    """The shipped model, URLs in and answers out, over the engine's own batches (`check_many`) of the
    same bytes in memory: drawing maps too, as a worker does for its caches, and without."""
    tuned = [
        name
        for name in os.environ
        if name.startswith(("AIDETECT_MAX_", "AIDETECT_HOST_", "AIDETECT_FETCH_"))
    ]
    settings = {name: os.environ.pop(name) for name in tuned}  # here as a worker comes
    engine = Drawing()
    limits: dict[str, Any] = {"max_bytes": 10**7, "timeout": 20.0, "allow_private": False}
    same, plain = Local(engine, **limits), Local(Engine(), **limits)
    broker = bench.broker(engine.fingerprint)

    class Real(Deaf, BatchWorker):
        def load_engine(self) -> Engine:
            return engine

    photo = encoded(photograph(640, 480, 0), "JPEG")
    walls: dict[str, list[float]] = defaultdict(list)
    cpus: dict[str, list[float]] = defaultdict(list)
    with origin(0.0, "photos") as address:
        for turn in range(rounds + 1):
            count = images if turn else 8  # the first turn warms up
            bench.ask(broker, [f"{address}/{turn}-{number}.jpg" for number in range(count)])
            many = [photo + f"{turn} {number}".encode() for number in range(count)]
            works: dict[str, Callable[[], object]] = {
                "worker": partial(bench.run, Real, count),
                "same": partial(deque, same.check_many(many), 0),
                "plain": partial(deque, plain.check_many(many), 0),
            }
            for name, work in works.items():
                started, used = time.perf_counter(), time.process_time()
                work()
                walls[name].append((time.perf_counter() - started) / count)
                cpus[name].append((time.process_time() - used) / count)
    broker.close()
    os.environ.update(settings)

    def over(name: str, of: dict[str, list[float]]) -> float:
        pairs = list(zip(of[name], of["worker"], strict=True))[1:]
        return statistics.median(without / worker for without, worker in pairs)

    return {
        "images_per_second": untargeted(1 / statistics.median(walls["worker"][1:])),
        "over_batches_with_maps": at_least(over("same", walls), 0.9),
        "over_batches_with_maps_in_processor_time": at_least(over("same", cpus), 0.9),
        "over_check_many_without_maps": untargeted(over("plain", walls)),
        "processor_ms_of_an_image": untargeted(1000 * statistics.median(cpus["worker"][1:])),
    }


def caches(bench: Bench) -> Figures:
    """What the engine did for 200 asked again, and for a hundred askers at once of one URL."""
    batches_of(32)
    with tempfile.NamedTemporaryFile() as notes, origin(0.0) as address:
        os.environ["AIDETECT_TEST_NOTES"] = notes.name
        urls = [f"{address}/{n}.jpg" for n in range(200)]
        for _ in range(2):
            bench.ask(bench.stub, urls)
            bench.run(Stub, 200)
        decoded = Path(notes.name).read_text().count("decode")
        request = CheckRequest.for_url(f"{address}/200.jpg", FLEET)
        jobs = {bench.stub.submit(request, f"asker {n}") for n in range(100)}
        bench.run(Stub, 1)
        answers = {str(bench.stub.state(job).outcome) for job in jobs}
        lines = Path(notes.name).read_text().split("\n")
        del os.environ["AIDETECT_TEST_NOTES"]
    return {
        "decodes_of_200_asked_again": at_most(decoded - 200, 0),
        "jobs_of_100_askers": at_most(len(jobs), 1),
        "decodes_for_100_askers": at_most(sum("decode" in line for line in lines) - decoded, 1),
        "different_answers_for_100_askers": at_most(len(answers), 1),
    }


def interactive(bench: Bench, bulk: int, asked: int) -> Figures:
    """The longest that an interactive check waits behind a bulk, with the shipped model."""
    broker = Broker(QueueSettings(redis_url=bench.url, secret=SECRET, max_queue=10**6))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AIDETECT_MAX")}
    command = [
        sys.executable,
        "-m",
        "rq.cli",
        "worker",
        "-w",
        "aidetect_worker.BatchWorker",
        "-q",
        "checks",
    ]
    environment["RQ_REDIS_URL"] = bench.url
    worker = subprocess.Popen(command, env=environment)
    waits = []
    try:
        with origin(FETCH, "photos") as address:
            while not broker.workers():
                time.sleep(0.05)
            bench.ask(broker, [f"{address}/{n}.jpg" for n in range(bulk)])
            time.sleep(2)
            began, queued = time.perf_counter(), broker.queue_length()
            for number in range(bulk, bulk + asked):
                request = CheckRequest.for_url(f"{address}/{number}.jpg", broker.fleet)
                started = time.perf_counter()
                state = broker.wait(broker.submit(request, "person"), 30)
                waits.append(time.perf_counter() - started)
                assert state.state == "done", state
            left = broker.queue_length()
            assert left > bulk // 2
            batch = BATCH * (time.perf_counter() - began) / (queued - left + asked)
    finally:
        worker.kill()
        worker.wait()
        broker.close()
        bench.redis.flushall()
    return {
        "interactive_seconds_median": at_most(statistics.median(waits), 2),
        "interactive_median_over_fetch_and_batch": at_most(
            statistics.median(waits) / (FETCH + batch), 2
        ),
        f"interactive_seconds_longest_behind_{bulk}": at_most(max(waits), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args().full
    logging.getLogger("aidetect.worker").setLevel(logging.WARNING)
    parts: list[Callable[[Bench], Figures]] = [
        lambda bench: against_stock(bench, 5 if full else 2, 2000 if full else 1000),
        lambda bench: against_model(bench, 5 if full else 3, 128 if full else 48),
        caches,
        lambda bench: interactive(bench, 10_000 if full else 1000, 30 if full else 4),
    ]
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        bench = Bench(server.url)
        for part in parts:
            figures |= part(bench)
            bench.redis.flushall()
    print_figures(figures)


if __name__ == "__main__":
    main()
