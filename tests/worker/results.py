"""Answers for tests of what is done with them: pixel results, claims, and a worker's last step."""

import hashlib

from redis import Redis
from rq.job import JobStatus

from aidetect import ImageInfo, ModelInfo, Reason
from aidetect._protocol import Outcome
from aidetect._provenance import Finding, claims_from_dicts
from aidetect._result import PixelResult, assemble
from aidetect_worker._flights import RESULT_TTL, settle
from aidetect_worker._job import QUEUE, CheckJob, CheckQueue
from aidetect_worker._uploads import Uploads


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pixel_result(sha256: str, probability: float = 0.03, views: int = 9) -> PixelResult:
    """What the shipped model's engine could find in an image of that hash."""
    return PixelResult(
        label="real" if probability < 0.5 else "ai",
        because=None,
        probability=probability,
        reasons=(Reason("probability", "The pixels look like a photograph.", {"probability": 0.03}),),
        views=tuple(
            {"kind": "crop", "box": [7 * n, 9 * n, 224 + 7 * n, 224 + 9 * n], "probability": 0.0301}
            for n in range(views)
        ),
        image=ImageInfo(sha256, 640, 480, "JPEG", 123_456),
        model=ModelInfo("seresnet50", "1", "f" * 64),
        heat_map=b"\x89PNG of this image",
    )


def claims() -> tuple[Finding, ...]:
    """A camera's, as most photographs carry it."""
    return claims_from_dicts(
        [{"signal": "camera", "generator": None, "details": {"make": "Canon", "model": "EOS 5D"}}]
    )


def outcome(sha256: str) -> Outcome:
    return Outcome(assemble(pixel_result(sha256), claims()))


def begin(redis: Redis) -> CheckJob | None:
    """Takes the next job as a worker does."""
    queue = CheckQueue(QUEUE, connection=redis)
    job_id = redis.lmove(queue.key, queue.intermediate_queue_key, "LEFT", "RIGHT")
    if job_id is None:
        return None
    job = queue.fetch_job(job_id.decode())
    with redis.pipeline() as pipe:
        job.prepare_for_execution("a-worker", pipe)
        pipe.lrem(queue.intermediate_queue_key, 1, job.id)
        pipe.execute()
    return job


def finish(redis: Redis, job: CheckJob, outcome: Outcome, uploads: Uploads | None = None) -> None:
    """Answers a job that was begun, with RQ's own records."""
    with redis.pipeline() as pipe:
        settle(pipe, job.id, job.request(), outcome, uploads)
        job._handle_success(RESULT_TTL, pipe)
        job.cleanup(RESULT_TTL, pipe, remove_from_queue=False)
        pipe.execute()


def fail(redis: Redis, job: CheckJob) -> None:
    """Ends a job that was begun as one that killed its workers."""
    with redis.pipeline() as pipe:
        job.set_status(JobStatus.FAILED, pipeline=pipe)
        job._handle_failure("it died", pipe)
        pipe.execute()
