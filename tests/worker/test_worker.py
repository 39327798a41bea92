"""One worker in this process, on a real Redis, with a stub for the model."""

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.worker import SimpleWorker

from aidetect._errors import ConfigurationError
from aidetect._protocol import CheckRequest
from aidetect_worker import BatchWorker, Broker
from aidetect_worker._batch import Held, Ledger, Taken
from aidetect_worker._broker import INTERNAL
from aidetect_worker._job import CheckJob, CheckQueue
from aidetect_worker._settings import QueueSettings

from ..sdk.origin import Origin
from .conftest import FLEET
from .stub import StubWorker
from .workers import answers, environment, notes, nothing_left, poison, problem, states, upload

Work = Callable[..., StubWorker]


class Deaf(StubWorker):
    """Without RQ's commands over Redis, whose thread takes a second to end."""

    def subscribe(self) -> None:
        pass


@pytest.fixture
def work(broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Work]:
    """Runs a worker until the queue is empty; `AIDETECT_…` settings by their names in lower case."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    settings = environment(broker.settings.redis_url, test_notes=str(tmp_path / "notes"))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def run(max_jobs: int | None = None, **more: str) -> StubWorker:
        for name, value in more.items():
            monkeypatch.setenv(f"AIDETECT_{name.upper()}", value)
        with Redis.from_url(broker.settings.redis_url) as connection:
            worker = Deaf(["checks"], connection=connection)
            worker.work(burst=True, max_jobs=max_jobs)
        return worker

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_answers_what_is_asked_in_batches(
    broker: Broker, redis: Redis, work: Work, tmp_path: Path
) -> None:
    jobs = [upload(broker) for _ in range(100)]
    work(test_forward="0.5")
    assert states(broker, jobs) == {"done": 100}
    assert answers(redis, jobs) == {1} and nothing_left(redis)
    batches = [int(size) for size in notes(tmp_path / "notes", "forward")]
    assert sum(batches) == 100 and 8 <= max(batches) <= 32
    outcome = broker.state(jobs[0]).outcome
    assert outcome is not None and outcome.verdict is not None
    assert outcome.verdict.label == "real" and outcome.verdict.model.name == "stub"
    assert not redis.keys("aidetect:upload:*") and broker.uploads.waiting() == 0


def test_leaves_what_rq_leaves(broker: Broker, redis: Redis, work: Work) -> None:
    jobs = [upload(broker) for _ in range(3)]
    worker = work()
    queue = CheckQueue("checks", connection=redis)
    assert set(FinishedJobRegistry(queue=queue).get_job_ids()) == set(jobs)
    job = CheckJob.fetch(jobs[0], connection=redis)
    result = job.latest_result()
    assert job.is_finished and result is not None and result.return_value == 1
    assert result.worker_name == worker.name and job.ended_at is not None
    assert worker.successful_job_count == 3 and redis.ttl(job.key) <= 60
    assert not redis.keys("rq:execution*")


def test_a_url_is_fetched_once_for_a_hundred_askers(
    broker: Broker, redis: Redis, work: Work, tmp_path: Path
) -> None:
    with Origin() as origin:
        url = origin.serve("/a.png", b"image bytes", headers={"Cache-Control": "max-age=60"})
        request = CheckRequest.for_url(url, FLEET)
        jobs = {broker.submit(request, f"asker {number}") for number in range(100)}
        work()
        assert len(jobs) == 1 and len(origin.requests) == 1
        assert notes(tmp_path / "notes", "forward") == ["1"]
        known = broker.known(request)
        assert known is not None and known.verdict is not None and known.verdict.cached
        broker.submit(request, "late")
        work()
        assert len(origin.requests) == 1 and notes(tmp_path / "notes", "forward") == ["1"]


def test_the_same_bytes_elsewhere_are_neither_decoded_nor_forwarded(
    broker: Broker, work: Work, tmp_path: Path
) -> None:
    with Origin() as origin:
        first, second = (origin.serve(f"/{n}.png", b"the same bytes") for n in "ab")
        for url in (first, second):
            job = broker.submit(CheckRequest.for_url(url, FLEET), "me")
            work()
        assert len(origin.requests) == 2
        assert len(notes(tmp_path / "notes", "decode")) == len(notes(tmp_path / "notes", "forward")) == 1
        outcome = broker.state(job).outcome
        assert outcome is not None and outcome.verdict is not None
        assert outcome.verdict.cached and outcome.verdict.source == second


def test_an_unchanged_image_is_asked_for_but_not_sent(
    broker: Broker, work: Work, tmp_path: Path
) -> None:
    with Origin() as origin:

        def conditional(handler: Any) -> None:
            known = handler.headers.get("If-None-Match") == '"1"'
            handler.reply(
                b"" if known else b"bytes",
                304 if known else 200,
                {"ETag": '"1"', "Cache-Control": "no-cache"},
            )

        request = CheckRequest.for_url(origin.answer("/a.png", conditional), FLEET)
        for _ in range(2):
            job = broker.submit(request, "me")
            work()
        assert [headers.get("If-None-Match") for _, headers in origin.requests] == [None, '"1"']
        assert len(notes(tmp_path / "notes", "forward")) == 1
        assert broker.state(job).state == "done"


def test_problems_are_answers(broker: Broker, redis: Redis, work: Work) -> None:
    with Origin() as origin:
        missing = broker.submit(CheckRequest.for_url(origin.url("/none.png"), FLEET), "me")
        broken = upload(broker, b"corrupt")
        good = upload(broker)
        work()
        assert (
            problem(broker, missing)["code"] == "http_4xx" and problem(broker, missing)["status"] == 404
        )
        assert problem(broker, broken)["code"] == "corrupt_image"
        assert broker.state(good).state == "done"
        assert not len(FailedJobRegistry(queue=CheckQueue("checks", connection=redis)))


def test_an_upload_that_expired_is_a_problem(broker: Broker, redis: Redis, work: Work) -> None:
    job = upload(broker)
    redis.delete(*redis.keys("aidetect:upload:*"))
    work()
    assert problem(broker, job)["code"] == "upload_gone"


@pytest.mark.parametrize("stage", ["decode", "forward"])
def test_poison_fails_alone_after_its_retries(
    broker: Broker, redis: Redis, work: Work, tmp_path: Path, stage: str
) -> None:
    bad = upload(broker, poison(stage, "raise"))
    good = [upload(broker) for _ in range(20)]
    work()
    assert states(broker, good) == {"done": 20} and nothing_left(redis)
    assert problem(broker, bad)["code"] == "internal"
    failed = FailedJobRegistry(queue=CheckQueue("checks", connection=redis))
    assert failed.get_job_ids() == [bad]
    assert len(notes(tmp_path / "notes", "decode")) == 20 + 3
    result = CheckJob.fetch(bad, connection=redis).latest_result()
    assert result is not None and "RuntimeError: poisoned" in str(result.exc_string)
    assert "s3cret" not in str(result.exc_string)


def test_a_batch_that_raises_is_run_again_one_by_one(broker: Broker, work: Work, tmp_path: Path) -> None:
    jobs = [upload(broker, poison("forward", "broken")) for _ in range(4)]
    work()
    assert states(broker, jobs) == {"done": 4}
    sizes = notes(tmp_path / "notes", "forward")
    assert sizes.count("1") == 4 and len(sizes) > 4


def test_out_of_memory_halves_the_batch_and_goes_on(broker: Broker, work: Work, tmp_path: Path) -> None:
    jobs = [upload(broker, poison("forward", "memory")) for _ in range(64)]
    work(max_wait="5")
    assert states(broker, jobs) == {"done": 64}
    sizes = [int(size) for size in notes(tmp_path / "notes", "forward")]
    assert max(sizes) > 4, "the fault never came up"
    assert max(sizes[-5:]) <= 4


def test_a_check_for_another_model_is_put_back(broker: Broker, redis: Redis, work: Work) -> None:
    other = Broker(broker.settings, fleet="f" * 16)
    key = other.store_upload(b"bytes", "0" * 64)
    job = other.submit(CheckRequest.for_upload("0" * 64, "f" * 16, key), "me")
    mine = upload(broker)
    work(max_jobs=1)
    assert broker.state(mine).state == "done"
    assert broker.state(job).state == "queued" and redis.lrange("rq:queue:checks", 0, -1) == [
        job.encode()
    ]
    other.close()


def test_a_bulk_check_that_a_person_asks_for_too_is_run_as_theirs(
    broker: Broker, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[CheckRequest] = []
    begin = Ledger.begin

    def noting(self: Ledger, jobs: Sequence[tuple[Taken, CheckRequest]]) -> list[Held]:
        run.extend(request for _, request in jobs)
        return begin(self, jobs)

    monkeypatch.setattr(Ledger, "begin", noting)
    keys = [broker.store_upload(bytes([n]), f"{n}" * 64) for n in range(3)]
    bulk = [CheckRequest.for_upload(f"{n}" * 64, FLEET, keys[n], priority="bulk") for n in range(3)]
    jobs = [broker.submit(request, "many") for request in bulk]
    assert broker.submit(replace(bulk[2], priority="interactive"), "person") == jobs[2]
    work()
    assert [(request.sha256, request.priority) for request in run] == [
        ("2" * 64, "interactive"), ("0" * 64, "bulk"), ("1" * 64, "bulk"),
    ]  # fmt: skip


def test_a_url_that_ends_its_check_is_left_alone_for_a_while(
    broker: Broker, redis: Redis, work: Work, tmp_path: Path
) -> None:
    with Origin() as origin:
        url = origin.serve("/a.png", poison("decode", "raise"))
        request = CheckRequest.for_url(url, FLEET)
        job = broker.submit(request, "me")
        work()
        assert problem(broker, job)["code"] == "internal" and len(origin.requests) == 3
        assert broker.known(request) == INTERNAL
        assert broker.known(replace(request, fleet="f" * 16)) is None, "another model may do better"
        work()
        assert len(origin.requests) == 3
        FailedJobRegistry(queue=CheckQueue("checks", connection=redis)).requeue(job)
        work()
        assert len(origin.requests) > 3, "its operator knows better"


def test_max_jobs_counts_jobs_and_not_batches(broker: Broker, redis: Redis, work: Work) -> None:
    jobs = [upload(broker) for _ in range(50)]
    work(max_jobs=20)
    assert states(broker, jobs) == {"done": 20, "queued": 30}


def test_dependents_follow(broker: Broker, redis: Redis, work: Work) -> None:
    first = upload(broker)
    request = CheckRequest.for_upload("0" * 64, FLEET, "0" * 32 + "-5")
    queue = CheckQueue("checks", connection=redis)
    second = queue.enqueue("aidetect_worker.check", request.to_dict(), depends_on=first, job_id="second")
    assert second.is_deferred
    work()
    assert CheckJob.fetch("second", connection=redis).is_finished


def test_a_failed_job_can_be_requeued(broker: Broker, redis: Redis, work: Work, tmp_path: Path) -> None:
    job = upload(broker, poison("decode", "raise"))
    work()
    assert broker.state(job).state == "failed"
    FailedJobRegistry(queue=CheckQueue("checks", connection=redis)).requeue(job)
    assert redis.llen("rq:queue:checks") == 1
    work()
    assert len(notes(tmp_path / "notes", "decode")) == 3  # its upload is gone after the verdict
    assert problem(broker, job)["code"] == "upload_gone" and nothing_left(redis)


def test_a_suspended_worker_takes_nothing(broker: Broker, redis: Redis, work: Work) -> None:
    redis.set("rq:suspended", 1)
    job = upload(broker)
    work()
    assert broker.state(job).state == "queued"


def test_stock_workers_refuse_checks(broker: Broker, redis: Redis, settings: QueueSettings) -> None:
    job = upload(broker)
    from rq import Queue
    from rq.serializers import JSONSerializer

    queue = Queue("checks", connection=redis, serializer=JSONSerializer)
    SimpleWorker([queue], connection=redis, serializer=JSONSerializer).work(burst=True)
    stock = Job.fetch(job, connection=redis, serializer=JSONSerializer)
    result = stock.latest_result()
    assert stock.is_failed and result is not None
    assert "rq worker -w aidetect_worker.BatchWorker checks" in str(result.exc_string)
    assert not len(StartedJobRegistry(queue=queue))


@pytest.mark.parametrize("queues", [["other"], ["checks", "other"], []])
def test_serves_one_queue_only(redis: Redis, queues: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="checks"):
        BatchWorker(queues, connection=redis)


def test_tells_that_it_lives(
    broker: Broker, redis: Redis, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        StubWorker, "execute_job", lambda self, job, queue: seen.extend(broker.workers())
    )
    upload(broker)
    worker = work()
    assert [(info.name, info.fingerprint, info.device) for info in seen] == [(worker.name, FLEET, "cpu")]
    assert broker.workers() == []
