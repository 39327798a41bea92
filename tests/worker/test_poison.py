"""Images that kill, hang or fill the worker that looks at them, and origins that never answer."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis
from rq.registry import FailedJobRegistry

from aidetect._protocol import CheckRequest
from aidetect_worker import Broker
from aidetect_worker._job import CheckQueue
from aidetect_worker._settings import QueueSettings

from ..sdk.origin import Origin
from .conftest import FLEET, SECRET
from .redis_server import RedisServer
from .workers import (
    WorkerProcess,
    all_done,
    answers,
    environment,
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


FATAL = {
    "decoder aborts": (poison("decode", "abort"), -signal.SIGABRT),
    "model aborts": (poison("forward", "abort"), -signal.SIGABRT),
    "decoder hangs": (poison("decode", "hang"), HUNG),
    "model hangs": (poison("forward", "hang"), HUNG),
    "interpreter hangs": (
        poison("decode", "lock"),
        1,
    ),  # by faulthandler's timer, which no lock holds up
}
"""What an image does to its worker, and how that ends."""


class Site:
    """A queue of its own with one fatal image between good ones, and one worker, started again whenever
    it ends, as systemd does."""

    def __init__(self, url: str, image: bytes) -> None:
        self.url, self.ended = url, list[int]()
        self.broker = Broker(QueueSettings(redis_url=url, secret=SECRET), fleet=FLEET)
        self.good = [upload(self.broker) for _ in range(30)]
        self.bad = upload(self.broker, image)
        self.good += [upload(self.broker) for _ in range(30)]
        self.settings = environment(url, test_haste="1", job_timeout="3", test_watchdog="6")
        self.worker = WorkerProcess(url, self.settings)

    def done(self) -> bool:
        if self.worker.ended is not None:
            self.ended.append(self.worker.ended)
            self.worker.close()
            self.worker = WorkerProcess(self.url, self.settings)
        return self.broker.state(self.bad).state == "failed" and all_done(self.broker, self.good)

    def close(self) -> None:
        self.worker.close()
        self.broker.close()


@pytest.mark.slow
def test_what_ends_its_workers_takes_no_neighbours_with_it(
    redis: Redis, shared_server: RedisServer
) -> None:
    sites: dict[str, Site] = {}
    with ExitStack() as stack:
        for number, (name, (image, _)) in enumerate(FATAL.items()):
            sites[name] = Site(f"{shared_server.url}?db={number}", image)
            stack.callback(sites[name].close)
        until(lambda: all([site.done() for site in sites.values()]))
        for number, (name, site) in enumerate(sites.items()):
            assert site.ended == [FATAL[name][1]] * 3, (name, "once beside others, then alone each time")
            assert problem(site.broker, site.bad)["code"] == "internal"
            with Redis.from_url(f"{shared_server.url}?db={number}") as own:
                queue = CheckQueue("checks", connection=own)
                assert FailedJobRegistry(queue=queue).get_job_ids() == [site.bad]
                assert answers(own, site.good) == {1} and nothing_left(own)


def test_an_origin_that_hangs_holds_up_nobody_else(broker: Broker) -> None:
    with Origin() as origin, running(broker, fetch_timeout="5", fetch_deadline="6") as [worker]:
        url = origin.answer("/slow.png", lambda handler: handler.drip(b"", 0.1))
        slow = [
            broker.submit(CheckRequest.for_url(f"{url}?{n}", FLEET, priority="bulk"), "me")
            for n in range(40)
        ]
        until(lambda: states(broker, slow)["fetching"] == 40, [worker])
        good = upload(broker, priority="interactive")
        until(lambda: broker.state(good).state == "done", [worker])
        assert states(broker, slow)["fetching"] == 40, "it had to wait for them"
        until(lambda: states(broker, slow)["failed"] == 40, [worker])
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
        until(lambda: states(broker, good + bad)["failed"] == len(bad), workers)
        until(lambda: nothing_left(redis), workers)
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
        until(lambda: worker.ended is not None)
        ended.append(worker.ended)
        fault.unlink()
    assert ended == [HUNG]
    with running(broker) as [worker]:
        until(lambda: all_done(broker, jobs), [worker])
    assert answers(redis, jobs) == {1}
