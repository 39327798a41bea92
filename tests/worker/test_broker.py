"""Asking for checks: one flight for all askers, states, waiting, the bound on the queue."""

from dataclasses import replace

import pytest
from redis import Redis

from aidetect import ConfigurationError, NotAnImageError
from aidetect._protocol import CheckRequest, Outcome
from aidetect_worker import _names
from aidetect_worker._broker import INTERNAL, Broker
from aidetect_worker._errors import QueueFullError
from aidetect_worker._fleet import HEARTBEAT_TTL, WorkerInfo
from aidetect_worker._job import CheckJob
from aidetect_worker._settings import QueueSettings

from .conftest import FLEET
from .results import begin, digest, fail, finish, outcome

URL = "http://example.org/a.png"
HASH = digest(b"an image")


def of_url(url: str = URL, **options: object) -> CheckRequest:
    return CheckRequest.for_url(url, FLEET, **options)  # type: ignore[arg-type]


def queued(broker: Broker) -> list[str]:
    return list(broker.flights.queue.job_ids)


def begun(broker: Broker) -> CheckJob:
    job = begin(broker.redis)
    assert job is not None
    return job


def test_a_job_carries_the_request_and_nothing_that_tells_its_url(broker: Broker) -> None:
    request = of_url(URL + "?token=secret")
    job_id = broker.submit(request, "me")
    job = broker.flights.queue.fetch_job(job_id)
    assert job.request() == request
    assert (job.description, job.retries_left, job.ttl, job.result_ttl) == (job_id, 2, None, 60)
    assert job.enqueue_at_front_on_retry
    raw = {k: v for k, v in broker.redis.hgetall(job.key).items() if k != b"data"}
    assert not any(b"secret" in value or b"example" in value for value in raw.values())


def test_all_who_ask_share_one_job(broker: Broker) -> None:
    jobs = {broker.submit(of_url(), f"asker-{n}") for n in range(5)}
    assert len(jobs) == 1
    assert queued(broker) == list(jobs)
    assert broker.redis.scard(_names.askers(jobs.pop())) == 5


def test_a_job_that_has_begun_is_joined(broker: Broker) -> None:
    first = broker.submit(of_url(), "a")
    begun(broker)
    assert broker.submit(of_url(), "b") == first
    assert queued(broker) == []


def test_a_job_that_waits_for_another_try_is_joined(broker: Broker) -> None:
    first = broker.submit(of_url(), "a")
    job = begun(broker)
    with broker.redis.pipeline() as pipe:
        job.retry(broker.flights.queue, pipe)
        pipe.execute()
    assert broker.submit(of_url(), "b") == first
    assert queued(broker) == [first]


@pytest.mark.parametrize("ends", ["answered", "failed", "cancelled", "lost"])
def test_a_flight_that_has_ended_is_not_joined(broker: Broker, ends: str) -> None:
    first = broker.submit(of_url(), "a")
    job = begun(broker)
    match ends:
        case "answered":
            finish(broker.redis, job, outcome(HASH))
            assert not broker.redis.exists(_names.flight(of_url().flight))
            broker.redis.set(_names.flight(of_url().flight), first)  # as if the worker had not
        case "failed":
            fail(broker.redis, job)
        case "cancelled":
            job.cancel()
        case "lost":
            broker.redis.delete(job.key)
    second = broker.submit(of_url(), "b")
    assert second != first
    assert queued(broker) == [second]
    assert broker.redis.get(_names.flight(of_url().flight)) == second.encode()


def test_a_fresh_request_flies_alone(broker: Broker) -> None:
    assert broker.submit(of_url(), "a") != broker.submit(of_url(fresh=True), "b")


def test_interactive_checks_go_before_bulk_and_in_their_order(broker: Broker) -> None:
    bulk = [broker.submit(of_url(f"{URL}?b{n}", priority="bulk"), "a") for n in range(3)]
    asked = [broker.submit(of_url(f"{URL}?i{n}"), "a") for n in range(4)]
    assert queued(broker) == asked + bulk
    begun(broker)
    late = broker.submit(of_url(f"{URL}?late"), "a")
    assert queued(broker) == [*asked[1:], late, *bulk]
    for _ in range(4):
        begun(broker)
    last = broker.submit(of_url(f"{URL}?last"), "a")
    assert queued(broker) == [last, *bulk]


def test_an_interactive_asker_hastens_a_bulk_job(broker: Broker) -> None:
    bulk = [broker.submit(of_url(f"{URL}?b{n}", priority="bulk"), "a") for n in range(3)]
    first = broker.submit(of_url(f"{URL}?i"), "a")
    assert broker.submit(of_url(f"{URL}?b2"), "b") == bulk[2]
    assert queued(broker) == [first, bulk[2], bulk[0], bulk[1]]
    assert broker.submit(of_url(f"{URL}?b2"), "c") == bulk[2]
    assert queued(broker) == [first, bulk[2], bulk[0], bulk[1]]


def test_a_job_requeued_at_the_back_holds_no_interactive_one_back(broker: Broker) -> None:
    first = broker.submit(of_url(), "a")
    job = begun(broker)
    bulk = broker.submit(of_url(f"{URL}?b", priority="bulk"), "a")
    fail(broker.redis, job)
    broker.flights.queue.failed_job_registry.requeue(first)
    later = broker.submit(of_url(f"{URL}?i"), "a")
    assert queued(broker) == [later, bulk, first]


def test_the_queue_is_bounded_and_leaves_a_tenth_for_people(settings: QueueSettings) -> None:
    broker = Broker(replace(settings, max_queue=10), fleet=FLEET)
    bulk = broker.submit_many([(of_url(f"{URL}?{n}", priority="bulk"), "a") for n in range(12)])
    assert [job is None for job in bulk] == [False] * 10 + [True] * 2
    broker.submit(of_url(f"{URL}?i"), "a")
    with pytest.raises(QueueFullError) as caught:
        broker.submit(of_url(f"{URL}?j"), "a")
    assert (caught.value.code, caught.value.retryable) == ("queue_full", True)
    assert broker.submit(of_url(f"{URL}?3"), "b") == bulk[3]
    assert broker.queue_length() == 11
    broker.close()


def test_the_last_to_leave_cancels_what_has_not_begun(broker: Broker, redis: Redis) -> None:
    key = broker.store_upload(b"an image", HASH)
    job_id = broker.submit(CheckRequest.for_upload(HASH, FLEET, key), "a")
    broker.submit(CheckRequest.for_upload(HASH, FLEET, key), "b")
    assert not broker.leave(job_id, "a")
    assert not broker.leave(job_id, "nobody")
    assert queued(broker) == [job_id]
    assert broker.leave(job_id, "b")
    assert broker.uploads.waiting() == 0
    left = {name.decode() for name in redis.keys("*")} - {_names.LAST_INTERACTIVE, "rq:queues"}
    assert left == {_names.UPLOAD_BYTES}
    assert broker.submit(of_url(), "c") != job_id


def test_leaving_cancels_nothing_that_has_begun(broker: Broker) -> None:
    job_id = broker.submit(of_url(), "a")
    broker.redis.lmove(broker.flights.queue.key, broker.flights.queue.intermediate_queue_key)
    assert not broker.leave(job_id, "a")
    assert broker.flights.queue.fetch_job(job_id) is not None
    assert broker.submit(of_url(), "b") == job_id


def test_askers_are_not_kept_for_ever(broker: Broker) -> None:
    job_id = broker.submit(of_url(), "a")
    job = begun(broker)
    broker.leave(job_id, "a")
    broker.submit(of_url(), "b")
    fail(broker.redis, job)
    assert broker.redis.smembers(_names.askers(job_id)) == {b"b"}
    assert 0 < broker.redis.ttl(_names.askers(job_id)) <= 6 * 3600


def test_the_states_of_a_check(broker: Broker) -> None:
    ahead = broker.submit(of_url(), "a")
    job_id = broker.submit(of_url(f"{URL}?2"), "a")
    assert (broker.state(ahead).state, broker.state(ahead).position) == ("queued", 1)
    assert (broker.state(job_id).state, broker.state(job_id).position) == ("queued", 2)
    begun(broker)
    job = begun(broker)
    assert broker.state(job_id).state == "fetching"
    broker.redis.hset(job.key, "stage", "analysing")
    assert broker.state(job_id).state == "analysing"
    answer = outcome(HASH)
    finish(broker.redis, job, answer)
    assert (broker.state(job_id).state, broker.state(job_id).outcome) == ("done", answer)
    broker.redis.delete(job.key)  # RQ forgets it after a minute
    assert broker.state(job_id).outcome == answer
    assert 3500 < broker.redis.ttl(_names.answer(job_id)) <= 3600


def test_a_problem_of_the_image_is_an_answer(broker: Broker) -> None:
    job_id = broker.submit(of_url(), "a")
    problem = Outcome.of(NotAnImageError("this is no image"))
    finish(broker.redis, begun(broker), problem)
    assert (broker.state(job_id).state, broker.state(job_id).outcome) == ("failed", problem)


def test_a_job_that_ended_its_workers_is_an_internal_problem(broker: Broker) -> None:
    job_id = broker.submit(of_url(), "a")
    fail(broker.redis, begun(broker))
    assert (broker.state(job_id).state, broker.state(job_id).outcome) == ("failed", INTERNAL)
    assert broker.wait(job_id, 60).outcome == INTERNAL


def test_an_answer_that_is_no_longer_kept(broker: Broker) -> None:
    state = broker.state(32 * "0")
    assert state.state == "failed"
    assert state.outcome is not None and state.outcome.problem is not None
    assert (state.outcome.problem["code"], state.outcome.problem["retryable"]) == ("expired", True)


def test_a_request_without_bytes_is_not_submitted(broker: Broker) -> None:
    with pytest.raises(ConfigurationError, match="store_upload"):
        broker.submit(CheckRequest.for_upload(HASH, FLEET), "a")


def test_the_workers_that_are_alive(broker: Broker) -> None:
    assert broker.workers() == []
    worker = WorkerInfo("w1", "seresnet50", "1", FLEET, "cpu", "host", 3, 1.5)
    for name in ("w1", "dead", "foreign"):
        broker.redis.sadd("rq:workers:checks", f"rq:worker:{name}")
    broker.redis.set(_names.worker("w1"), worker.to_json(), ex=HEARTBEAT_TTL)
    broker.redis.set(_names.worker("foreign"), '{"name": 1}')
    assert broker.workers() == [worker]


def test_the_fleet_is_that_of_the_shipped_model(settings: QueueSettings) -> None:
    from aidetect._engine import fleet_fingerprint

    broker = Broker(settings)
    assert broker.fleet == fleet_fingerprint()
    assert Broker(replace(settings, views="fast")).fleet == fleet_fingerprint(views="fast")
