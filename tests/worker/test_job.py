"""Nothing but a check can run on the queue, whatever is written into Redis; and no secret leaves it."""

import json
import logging
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from aidetect import AidetectError
from aidetect._protocol import CheckRequest
from aidetect_worker import Broker, check
from aidetect_worker._job import FUNCTION, CheckJob, CheckQueue, ForeignJobError

from ..sdk.origin import closed_port
from .conftest import FLEET
from .test_worker import Work, work
from .workers import nothing_left, poison, problem, upload

__all__ = ["work"]  # the fixture


class Touch:
    """What a pickle runs when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def failed(redis: Redis) -> list[str]:
    return FailedJobRegistry(queue=CheckQueue("checks", connection=redis)).get_job_ids()


@pytest.mark.parametrize(
    "name", ["os.system", "pathlib.Path.touch", "aidetect_worker._job.check", "eval"]
)
def test_other_functions_are_refused(
    redis: Redis, broker: Broker, work: Work, tmp_path: Path, name: str
) -> None:
    queue = Queue("checks", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue(name, f"touch {tmp_path / 'touched'}", retry=None)
    good = upload(broker)
    work()
    assert not (tmp_path / "touched").exists()
    assert failed(redis) == [job.id] and broker.state(good).state == "done" and nothing_left(redis)


def test_a_pickle_is_not_loaded(redis: Redis, broker: Broker, work: Work, tmp_path: Path) -> None:
    queue = Queue("checks", connection=redis)  # RQ's default serializer
    job = queue.enqueue(FUNCTION, Touch(tmp_path / "touched"))
    work()
    assert not (tmp_path / "touched").exists() and failed(redis) == [job.id]
    assert not (tmp_path / "touched").exists()
    pickle.loads(pickle.dumps(Touch(tmp_path / "touched")))
    assert (tmp_path / "touched").exists(), "the bait does not work"


def test_neither_meta_nor_results_are_unpickled(
    redis: Redis, broker: Broker, work: Work, tmp_path: Path
) -> None:
    job = upload(broker)
    bait = pickle.dumps(Touch(tmp_path / "touched"))
    redis.hset(f"rq:job:{job}", mapping={"meta": bait, "result": bait})
    work()
    assert not (tmp_path / "touched").exists() and broker.state(job).state == "done"


def test_callbacks_and_webhooks_are_not_called(
    redis: Redis, broker: Broker, work: Work, tmp_path: Path
) -> None:
    job = upload(broker)
    bad = upload(broker, poison("decode", "raise"))
    hook = [{"url": f"http://127.0.0.1:{closed_port()}/", "job_status": "finished"}]
    for job_id in (job, bad):
        names = {f"{kind}_callback_name": "os.abort" for kind in ("success", "failure", "stopped")}
        redis.hset(f"rq:job:{job_id}", mapping={**names, "webhooks": json.dumps(hook)})
    work()
    assert broker.state(job).state == "done" and broker.state(bad).state == "failed"
    loaded = CheckJob.fetch(job, connection=redis)
    assert loaded.webhooks == [] and loaded.success_callback is None


def test_a_job_with_rqs_own_callbacks_does_not_get_them(
    redis: Redis, work: Work, tmp_path: Path
) -> None:
    request = CheckRequest.for_upload("0" * 64, FLEET, "0" * 32 + "-5").to_dict()
    queue = Queue("checks", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue(
        FUNCTION, request, on_success=Callback("os.abort"), on_failure=Callback("os.abort")
    )
    work()
    assert CheckJob.fetch(job.id, connection=redis).is_finished


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b"null",
        json.dumps([FUNCTION, None, [{}], {}]).encode(),
        json.dumps([FUNCTION, None, [], {}]).encode(),
        json.dumps([FUNCTION, "instance", [1], {}]).encode(),
        json.dumps([FUNCTION, None, [["a"] * 20_000], {}]).encode(),
        zlib.compress(b"[" * 100_000),
    ],
)
def test_payloads_that_are_no_checks_fail(
    redis: Redis, broker: Broker, work: Work, payload: bytes
) -> None:
    job = upload(broker)
    redis.hset(f"rq:job:{job}", "data", payload)
    good = upload(broker)
    work()
    assert failed(redis) == [job] and broker.state(good).state == "done" and nothing_left(redis)


@pytest.mark.parametrize(
    "field", ["status", "created_at", "timeout", "dependency_ids", "origin", "result_ttl"]
)
def test_hashes_that_are_no_jobs_are_struck_off(
    redis: Redis, broker: Broker, work: Work, field: str
) -> None:
    job = upload(broker)
    redis.hset(f"rq:job:{job}", field, b"\xff\xfe")
    good = upload(broker)
    work()
    assert broker.state(good).state == "done" and nothing_left(redis)


def test_a_deleted_job_is_passed_over(redis: Redis, broker: Broker, work: Work) -> None:
    redis.delete(f"rq:job:{upload(broker)}")
    good = upload(broker)
    work()
    assert broker.state(good).state == "done" and nothing_left(redis)


def test_the_function_itself_only_refuses() -> None:
    with pytest.raises(ForeignJobError, match="aidetect worker"):
        check({"kind": "url"})


def test_no_query_is_written_anywhere(
    redis: Redis,
    broker: Broker,
    work: Work,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Not to the log, RQ's descriptions and tracebacks, nor the error that the asker is shown."""
    for name in ("aidetect.worker", "rq.worker", "rq.job", "rq.queue"):
        logging.getLogger(name).addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG)
    url = f"http://127.0.0.1:{closed_port()}/photo.jpg?token=s3cret#frag"
    job = broker.submit(CheckRequest.for_url(url, FLEET), "me")
    bad = upload(broker, poison("decode", "raise"))
    work()
    told = problem(broker, job)
    assert told["code"] == "connection" and told["input"].endswith("/photo.jpg")
    written = capfd.readouterr()
    lines = "\n".join([caplog.text, written.out, written.err])
    assert bad in lines, "nothing was logged"
    assert "s3cret" not in lines
    for key in redis.keys("rq:*"):
        if redis.type(key) == b"hash":
            fields = redis.hgetall(key)
            data = fields.pop(b"data", b"")
            assert b"s3cret" not in b"".join(fields.values()), key
            assert key.startswith(b"rq:job:") or not data
    assert CheckJob.fetch(job, connection=redis).description == job


def test_a_foreign_job_is_an_error_of_aidetect() -> None:
    assert issubclass(ForeignJobError, AidetectError) and ForeignJobError.code == "foreign_job"
