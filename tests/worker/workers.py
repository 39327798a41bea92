"""Workers for tests: in this process until the queue is empty, or as processes that can be killed."""

import hashlib
import multiprocessing
import os
import runpy
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from aidetect._protocol import CheckRequest
from aidetect_worker import Broker

from .conftest import FLEET, SECRET

HERE = Path(__file__).parent
PATIENCE = 120.0
"""Seconds for anything to come about: the machine may be loaded."""

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["aidetect_worker._worker", "aidetect._engine", "runpy"])


def environment(url: str, **settings: str) -> dict[str, str]:
    """The settings of a worker for tests, with these more."""
    plain = {"redis_url": url, "secret": SECRET, "allow_private": "1", "host_connections": "64"}
    size = {"max_batch": "32", "max_in_flight": "128"}
    return {f"AIDETECT_{name.upper()}": value for name, value in {**plain, **size, **settings}.items()}


class WorkerProcess:
    """A process of its own, forked from a server that has all modules loaded: it starts at once."""

    def __init__(self, url: str, settings: Mapping[str, str]) -> None:
        self.output = Path(tempfile.mkstemp(prefix="aidetect-worker-", suffix=".log")[1])
        arguments = {"url": url, "settings": dict(settings), "output": str(self.output)}
        self.process = CONTEXT.Process(
            target=runpy.run_path,
            args=(str(HERE / "stub.py"),),
            kwargs={"run_name": "__main__", "init_globals": {"ARGUMENTS": arguments}},
        )
        self.process.start()

    @property
    def ended(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self.process.exitcode

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def stop(self) -> int | None:
        """A warm shutdown; the exit status."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int | None:
        """The exit status of one that was told to end."""
        self.process.join(PATIENCE)
        return self.ended

    def close(self) -> None:
        self.kill()
        self.process.close()
        self.output.unlink()

    def written(self) -> str:
        return self.output.read_text(errors="replace")


@contextmanager
def running(broker: Broker, count: int = 1, **settings: str) -> Iterator[list[WorkerProcess]]:
    """`count` worker processes, once they all take jobs; `AIDETECT_…` settings by their names in lower
    case. Killed at the end."""
    before = {worker.name for worker in broker.workers()}
    own = environment(broker.settings.redis_url, **settings)
    started = [WorkerProcess(broker.settings.redis_url, own) for _ in range(count)]
    try:
        until(lambda: len({each.name for each in broker.workers()} - before) >= count, started)
        yield started
    finally:
        for process in started:
            process.close()


def until(
    met: Callable[[], object], alive: Iterable[WorkerProcess] = (), seconds: float = PATIENCE
) -> None:
    """Waits until `met()`, for as long as these processes live."""
    started = time.monotonic()
    while not met():
        for process in alive:
            assert process.ended is None, process.written()[-3000:]
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.05)


def upload(broker: Broker, data: bytes | None = None, *, priority: Any = "bulk") -> str:
    """The job of an upload of `data`, or of bytes that nobody sent before."""
    data = secrets.token_bytes(200) if data is None else data
    sha256 = hashlib.sha256(data).hexdigest()
    key = broker.store_upload(data, sha256)
    return broker.submit(CheckRequest.for_upload(sha256, FLEET, key, priority=priority), "me")


def poison(stage: str, fault: str) -> bytes:
    """An image that does this to who decodes or forwards it."""
    return f"{stage}:{fault} ".encode() + secrets.token_bytes(16)


def states(broker: Broker, jobs: Iterable[str]) -> Counter[str]:
    return Counter(broker.state(job).state for job in jobs)


def all_done(broker: Broker, jobs: list[str]) -> bool:
    return states(broker, jobs)["done"] == len(jobs)


def problem(broker: Broker, job: str) -> Mapping[str, Any]:
    outcome = broker.state(job).outcome
    assert outcome is not None and outcome.problem is not None
    return outcome.problem


def answers(redis: Redis, jobs: Iterable[str]) -> set[int]:
    """How often each of these was answered, by RQ's results, which are gone after a minute."""
    return {redis.xlen(f"rq:results:{job}") for job in jobs} - {0}


def nothing_left(redis: Redis) -> bool:
    """Neither begun, nor taken, nor queued."""
    keys = ("rq:queue:checks", "rq:queue:checks:intermediate")
    return not redis.zcard("rq:wip:checks") and not any(redis.llen(key) for key in keys)


def notes(path: Path, kind: str) -> list[str]:
    """What stub engines noted of that kind."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.removeprefix(f"{kind} ") for line in lines if line.startswith(f"{kind} ")]
