"""Single flight across processes, and when they are killed: nothing half done is left behind."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from aidetect._protocol import CheckRequest
from aidetect_worker import _names
from aidetect_worker._broker import Broker
from aidetect_worker._settings import QueueSettings

from .conftest import FLEET, SECRET
from .redis_server import RedisServer
from .results import begin, digest, finish, outcome
from .workers import PATIENCE, until

URL = "http://example.org/a.png"
ASKING = str(Path(__file__).with_name("asking.py"))


class Processes:
    """Starts processes that ask, and ends those that a failed test has left."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, server: RedisServer, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, ASKING, server.url, *arguments]
        self.started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return self.started[-1]


@pytest.fixture
def process() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    for each in processes.started:
        if each.poll() is None:
            each.kill()
        each.communicate()


def output(asking: "subprocess.Popen[str]") -> object:
    printed, _ = asking.communicate(timeout=PATIENCE)
    assert asking.returncode == 0
    return json.loads(printed)


def wait_for_jobs(asking: "subprocess.Popen[str]", redis: Redis) -> None:
    """Until it has asked, and there are two more."""
    assert asking.stdout is not None and asking.stdout.readline()
    before = redis.llen("rq:queue:checks")
    until(lambda: redis.llen("rq:queue:checks") >= before + 2)


def inconsistencies(redis: Redis) -> list[str]:
    """What does not fit together between flights, jobs, queue, askers and uploads."""
    wrong = []
    waiting = [job_id.decode() for job_id in redis.lrange("rq:queue:checks", 0, -1)]
    flights = {redis.get(key): key for key in redis.keys(_names.flight("*"))}
    jobs = {key.decode().removeprefix(_names.JOB) for key in redis.keys(_names.job("*"))}
    if len(set(waiting)) != len(waiting) or set(waiting) != jobs:
        wrong.append("queue and jobs differ")
    if {job_id.decode() for job_id in flights} != jobs:
        wrong.append("flights and jobs differ")
    uploads = {key.decode() for key in redis.zrange(_names.UPLOADS, 0, -1)}
    for job_id in jobs:
        flight, upload = redis.hmget(_names.job(job_id), "flight", "upload")
        if redis.get(flight) != job_id.encode() or not redis.scard(_names.askers(job_id)):
            wrong.append(f"job {job_id} has no flight or no askers")
        if upload and upload.decode() not in uploads:
            wrong.append(f"job {job_id} has lost its upload")
    if {key.decode().rpartition(":")[2] for key in redis.keys(_names.upload("*"))} != uploads:
        wrong.append("uploads are not those that are counted")
    if any(redis.ttl(_names.upload(key)) <= 0 for key in uploads):
        wrong.append("an upload lives for ever")
    if sum(int(key.rpartition("-")[2]) for key in uploads) != int(redis.get(_names.UPLOAD_BYTES) or 0):
        wrong.append("the sum of uploads is wrong")
    return wrong


def test_a_hundred_askers_in_two_processes_get_one_job(
    process: Processes, shared_server: RedisServer, redis: Redis, broker: Broker
) -> None:
    asking = [process(shared_server, "together", URL, "50") for _ in range(2)]
    time.sleep(1)
    redis.set("go", 1)
    jobs = [job_id for each in asking for job_id in output(each)]  # type: ignore[attr-defined]
    assert len(jobs) == 100 and len(set(jobs)) == 1
    assert broker.queue_length() == 1
    assert redis.scard(_names.askers(jobs[0])) == 100
    redis.delete("go")
    assert inconsistencies(redis) == []
    job = begin(redis)
    assert job is not None
    finish(redis, job, outcome(digest(b"an image")))
    assert broker.state(jobs[0]).state == "done"
    left = {key.decode() for key in redis.keys("aidetect:*")}
    assert left == {_names.answer(jobs[0]), _names.LAST_INTERACTIVE}


def test_killed_askers_leave_nothing_half_done(
    process: Processes, shared_server: RedisServer, redis: Redis
) -> None:
    for _ in range(4):
        started = [process(shared_server, "endlessly", "", "") for _ in range(3)]
        for asking in started:
            wait_for_jobs(asking, redis)
            time.sleep(random.uniform(0.0, 0.1))
            asking.kill()
            asking.wait()
        assert inconsistencies(redis) == []
    assert redis.llen("rq:queue:checks") > 12


def test_a_killed_redis_forgets_nothing_by_halves(process: Processes, server: RedisServer) -> None:
    with Redis.from_url(server.url) as redis:
        for _ in range(3):
            asking = process(server, "endlessly", "", "")
            wait_for_jobs(asking, redis)
            time.sleep(random.uniform(0.05, 0.3))
            server.kill()
            asking.kill()
            asking.wait()
            server.start()
            assert inconsistencies(redis) == []
        assert redis.llen("rq:queue:checks") > 4


def test_joining_and_leaving_at_once(
    process: Processes, shared_server: RedisServer, redis: Redis, broker: Broker
) -> None:
    asking = [process(shared_server, "to_and_fro", URL, "800") for _ in range(3)]
    cancelled = [output(each) for each in asking]
    assert sum(cancelled) > 0  # type: ignore[arg-type]
    assert inconsistencies(redis) == []
    left = {key.decode() for key in redis.keys("*")}
    assert left <= {_names.LAST_INTERACTIVE, "rq:queues"}


def test_one_stays_while_others_come_and_go(
    process: Processes, shared_server: RedisServer, redis: Redis, broker: Broker
) -> None:
    job_id = broker.submit(CheckRequest.for_url(URL, FLEET), "the one who stays")
    asking = [process(shared_server, "to_and_fro", URL, "500") for _ in range(2)]
    assert [output(each) for each in asking] == [0, 0]
    assert broker.state(job_id).position == 1
    assert broker.leave(job_id, "the one who stays")


def test_scripts_survive_a_restart_of_redis(server: RedisServer) -> None:
    broker = Broker(QueueSettings(redis_url=server.url, secret=SECRET), fleet=FLEET)
    first = broker.submit(CheckRequest.for_url(URL, FLEET), "a")
    broker.redis.script_flush()
    requests = [(CheckRequest.for_url(f"{URL}?{n}", FLEET), "a") for n in range(3)]
    assert len(set(broker.submit_many(requests))) == 3
    broker.redis.script_flush()
    assert broker.leave(first, "a")
    assert broker.queue_length() == 3
    broker.close()
