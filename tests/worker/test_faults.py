"""Workers that are killed, told to stop, or away for a while: every job is answered, and once."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from aidetect._protocol import CheckRequest
from aidetect_worker import Broker

from ..sdk.origin import Handler, Origin
from .conftest import FLEET
from .workers import (
    all_done,
    answers,
    notes,
    nothing_left,
    running,
    states,
    until,
    upload,
)

SIGTERMS = int(os.environ.get("AIDETECT_TEST_SIGTERMS", "8"))
"""How many workers are told to stop in mid-load; 50 for the full test."""
RESCUE = 30.0
"""Seconds within which the jobs of a dead worker are answered."""


@pytest.fixture
def slow_origin() -> Iterator[Origin]:
    """400 images, each after 50 ms."""
    with Origin() as origin:
        for number in range(400):
            origin.answer(f"/{number}.png", partial(slowly, str(number).encode()))
        yield origin


def slowly(body: bytes, handler: Handler) -> None:
    time.sleep(0.05)
    handler.reply(body)


@pytest.mark.slow
def test_killed_anywhere_loses_nothing(broker: Broker, redis: Redis, slow_origin: Origin) -> None:
    """Eight workers, each of which kills itself somewhere else; one that stood by does the rest."""
    places = ["take", "begin", "begun", "fetch", "forward", "answering", "answered", "rescue"]
    with running(broker) as [survivor], ExitStack() as stack:
        victims = {place: stack.enter_context(running(broker, test_kill=place))[0] for place in places}
        survivor.signal(signal.SIGSTOP)
        jobs = []
        for number in range(400):
            url = slow_origin.url(f"/{number}.png")
            jobs.append(broker.submit(CheckRequest.for_url(url, FLEET, priority="bulk"), "me"))
            jobs.append(upload(broker))
            if number % 50 == 0:
                time.sleep(0.2)
        until(lambda: all(victim.ended for victim in victims.values()))
        assert {place: victim.ended for place, victim in victims.items()} == dict.fromkeys(places, -9)
        assert not all_done(broker, jobs)
        survivor.signal(signal.SIGCONT)
        until(lambda: all_done(broker, jobs), [survivor], RESCUE)
        assert answers(redis, jobs) == {1} and nothing_left(redis)


@pytest.mark.slow
def test_told_to_stop_at_any_moment_loses_nothing(broker: Broker, redis: Redis) -> None:
    chance = random.Random(11)
    jobs: list[str] = []
    with running(broker) as [rescuer]:
        for _ in range(0, SIGTERMS, 4):
            with running(broker, 4) as workers:
                for worker in workers:
                    jobs += [upload(broker) for _ in range(60)]
                    time.sleep(chance.random() * 0.3)
                    worker.process.terminate()
                for worker in workers:
                    assert worker.wait() == 0, worker.written()[-2000:]
        until(lambda: all_done(broker, jobs), [rescuer])
        assert answers(redis, jobs) == {1} and nothing_left(redis)
        assert "brought back" not in rescuer.written(), "a warm shutdown left a job behind"


@pytest.mark.slow
def test_a_worker_that_was_away_drops_what_others_have_answered(broker: Broker, redis: Redis) -> None:
    """Stopped as a suspended machine is, for longer than its leases."""
    with running(broker, test_forward="10", test_haste="1") as [sleeper]:
        jobs = [upload(broker) for _ in range(60)]
        until(lambda: redis.zcard("rq:wip:checks") > 30, [sleeper])
        sleeper.signal(signal.SIGSTOP)
        with running(broker, test_haste="1") as [other]:
            until(lambda: all_done(broker, jobs), [other])
            sleeper.signal(signal.SIGCONT)
            until(lambda: "given to others" in sleeper.written(), [sleeper])
            assert sleeper.stop() == 0
        assert answers(redis, jobs) == {1} and nothing_left(redis)


def test_a_cold_shutdown_gives_everything_back_at_once(
    broker: Broker, redis: Redis, tmp_path: Path
) -> None:
    with running(broker, test_forward="600") as [worker]:
        jobs = [upload(broker) for _ in range(20)]
        until(lambda: redis.zcard("rq:wip:checks") == 20, [worker])
        worker.signal(signal.SIGTERM)
        until(lambda: redis.hexists(f"rq:worker:{name(broker)}", "shutdown_requested_date"), [worker])
        time.sleep(1.2)  # RQ takes two signals within a second for one
        worker.signal(signal.SIGTERM)
        assert worker.wait() is not None
    assert states(broker, jobs) == {"queued": 20}
    with running(broker, max_wait="1", test_notes=str(tmp_path / "notes")) as [other]:
        until(lambda: all_done(broker, jobs), [other])
    sizes = [int(size) for size in notes(tmp_path / "notes", "forward")]
    assert max(sizes) > 1, "given back jobs are under no suspicion and run together"


def test_suspended_in_mid_load(broker: Broker, redis: Redis) -> None:
    with running(broker, test_forward="0.2", max_in_flight="8", max_batch="2") as [worker]:
        jobs = [upload(broker) for _ in range(300)]
        redis.set("rq:suspended", 1)
        until(
            lambda: (
                not redis.zcard("rq:wip:checks")
                and redis.hget(f"rq:worker:{name(broker)}", "state") == b"suspended"
            ),
            [worker],
        )
        waiting = broker.queue_length()
        assert waiting > 0
        time.sleep(0.5)
        assert broker.queue_length() == waiting
        redis.delete("rq:suspended")
        until(lambda: states(broker, jobs)["done"] > len(jobs) - waiting, [worker])


def name(broker: Broker) -> str:
    return broker.workers()[0].name
