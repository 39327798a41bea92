"""Images that kill, hang or fill the worker that looks at them, and origins that never answer."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis
from rq.registry import FailedJobRegistry

from aidetect._protocol import CheckRequest
from aidetect_worker import Broker
from aidetect_worker._job import CheckQueue

from ..sdk.origin import Origin
from .conftest import FLEET
from .workers import (
    WorkerProcess,
    all_done,
    answers,
    nothing_left,
    poison,
    problem,
    running,
    states,
    until,
    upload,
)

HUNG = 75
"""Exit status of a worker that found itself hung."""


def supervised(broker: Broker, done: Callable[[], bool], seconds: float, **settings: str) -> list[int]:
    """Runs one worker, and a new one for each that ends, as systemd does, until `done()`; how they
    ended."""
    ended: list[int] = []
    until_then = time.monotonic() + seconds
    with ExitStack() as stack:

        def start() -> WorkerProcess:
            return stack.enter_context(running(broker, test_haste="1", **settings))[0]

        worker = start()
        while not done():
            assert time.monotonic() < until_then, (states, worker.written()[-2000:])
            if worker.ended is not None:
                ended.append(worker.ended)
                worker = start()
            time.sleep(0.05)
    return ended


@pytest.mark.parametrize(
    ("image", "ends"),
    [
        (poison("decode", "abort"), -signal.SIGABRT),
        (poison("forward", "abort"), -signal.SIGABRT),
        (poison("decode", "hang"), HUNG),
        (poison("forward", "hang"), HUNG),
        (poison("decode", "lock"), 1),  # by faulthandler's timer, which no lock holds up
    ],
    ids=["decoder aborts", "model aborts", "decoder hangs", "model hangs", "interpreter hangs"],
)
def test_what_ends_its_workers_takes_no_neighbours_with_it(
    broker: Broker, redis: Redis, image: bytes, ends: int
) -> None:
    good = [upload(broker) for _ in range(30)]
    bad = upload(broker, image)
    good += [upload(broker) for _ in range(30)]
    ended = supervised(
        broker,
        lambda: all_done(broker, good) and broker.state(bad).state == "failed",
        60,
        job_timeout="1",
        test_watchdog="2",
    )
    assert ended == [ends] * 3, "once beside others, then alone for each of its retries"
    assert problem(broker, bad)["code"] == "internal"
    assert FailedJobRegistry(queue=CheckQueue("checks", connection=redis)).get_job_ids() == [bad]
    assert answers(redis, good) == {1} and nothing_left(redis)


def test_an_origin_that_hangs_holds_up_nobody_else(broker: Broker) -> None:
    with Origin() as origin, running(broker, fetch_timeout="2", fetch_deadline="3") as [worker]:
        url = origin.answer("/slow.png", lambda handler: handler.drip(b"", 0.1))
        slow = [
            broker.submit(CheckRequest.for_url(f"{url}?{n}", FLEET, priority="bulk"), "me")
            for n in range(40)
        ]
        until(lambda: states(broker, slow)["fetching"] == 40, 10, [worker])
        good = upload(broker, priority="interactive")
        assert until(lambda: broker.state(good).state == "done", 5, [worker]) < 2
        until(lambda: states(broker, slow)["failed"] == 40, 30, [worker])
        assert {problem(broker, job)["code"] for job in slow} <= {"timeout", "http_4xx"}


@pytest.mark.slow
def test_a_thousand_good_and_bad_ones_mixed(broker: Broker, redis: Redis) -> None:
    kinds = [
        poison("decode", "raise"),
        b"corrupt ",
        poison("forward", "raise"),
        poison("forward", "broken"),
    ]
    good, bad = [], []
    for number in range(250):
        good += [upload(broker) for _ in range(3)]
        kind = kinds[number % 4] + number.to_bytes(2)
        (good if b"broken" in kind else bad).append(upload(broker, kind))
    with running(broker, 2) as workers:
        until(lambda: states(broker, good + bad)["failed"] == len(bad), 120, workers)
        until(lambda: nothing_left(redis), 20, workers)
    assert states(broker, good) == {"done": len(good)} and answers(redis, good) == {1}
    assert states(broker, bad) == {"failed": len(bad)}
    codes = [problem(broker, job)["code"] for job in bad]
    assert codes.count("corrupt_image") == 63 and codes.count("internal") == len(bad) - 63


def test_a_model_that_broke_blames_no_image(broker: Broker, redis: Redis, tmp_path: Path) -> None:
    """As a GPU does after an illegal access: nothing is answered any more, and a new process works."""
    fault = tmp_path / "broken"
    ended = []
    jobs = []
    with running(broker, test_broken=str(fault)) as [worker]:
        fault.touch()
        jobs = [upload(broker) for _ in range(40)]
        until(lambda: worker.ended is not None, 20)
        ended.append(worker.ended)
        fault.unlink()
    assert ended == [HUNG]
    with running(broker) as [worker]:
        until(lambda: all_done(broker, jobs), 30, [worker])
    assert answers(redis, jobs) == {1}
