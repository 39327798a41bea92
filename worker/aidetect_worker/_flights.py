"""Single flight: however many ask for the same image at once, one job computes the answer.

Joining, enqueueing and leaving are one script each, so that a process that dies at any point leaves
either all of it or nothing. `aidetect:flight:…` names the job that is under way; whether it still is,
the job's own hash says, so that a flight never has to be tidied up.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from redis.client import Pipeline
from redis.exceptions import NoScriptError
from rq import Retry

from aidetect._protocol import CheckRequest, Outcome

from . import _names
from ._job import FUNCTION, QUEUE, RETRIES, CheckQueue
from ._redis import Client
from ._uploads import LUA_DROP, Uploads

ANSWER_TTL = 3600
"""Seconds for which an answer can be had by its job."""
RESULT_TTL = 60
FAILURE_TTL = 86400
"""RQ's own records: of an answered job only to wake waiters, of a failed one for `rq requeue`."""
JOB_TIMEOUT = 180
_FLIGHT_TTL = 6 * 3600
"""After a flight of this many seconds, the same request is computed again: its job must be lost."""

_SUBMIT = (
    LUA_DROP
    + """
local flight, queue, job, askers, queues, last = unpack(KEYS)
local id, asker, interactive, limit, ttl, upload = unpack(ARGV, 1, 6)

local function enqueue(id)
    if interactive == '0' then
        return redis.call('RPUSH', queue, id)
    end
    local before = redis.call('GET', last)
    local by = before and redis.call('HGET', 'rq:job:' .. before, 'worker_name')
    if not (before and (by or '') == '' and redis.call('LINSERT', queue, 'AFTER', before, id) > 0) then
        redis.call('LPUSH', queue, id)
    end
    redis.call('SET', last, id, 'EX', ttl)
end

local running = redis.call('GET', flight)
if running then
    local its = 'rq:job:' .. running
    local status, priority, kept = unpack(redis.call('HMGET', its, 'status', 'priority', 'upload'))
    if status == 'queued' or status == 'started' or status == 'scheduled' or status == 'deferred' then
        if status == 'queued' and priority == 'bulk' and interactive == '1'
                and redis.call('LREM', queue, 1, running) == 1 then
            enqueue(running)
            redis.call('HSET', its, 'priority', 'interactive')
        end
        if upload ~= '' and upload ~= kept then
            drop_upload(upload)
        end
        redis.call('SADD', 'aidetect:askers:' .. running, asker)
        redis.call('EXPIRE', 'aidetect:askers:' .. running, ttl)
        return running
    end
end
if redis.call('LLEN', queue) >= tonumber(limit) then
    if upload ~= '' then
        drop_upload(upload)
    end
    return false
end
redis.call('HSET', job, unpack(ARGV, 7))
redis.call('SADD', queues, queue)
enqueue(id)
redis.call('SET', flight, id, 'EX', ttl)
redis.call('SADD', askers, asker)
redis.call('EXPIRE', askers, ttl)
return id
"""
)
"""The id of the job that answers, old or new; nil where the queue is full."""
_SUBMIT_KEYS = 6

_LEAVE = (
    LUA_DROP
    + """
local askers, job, queue = unpack(KEYS)
local id, asker = unpack(ARGV)
if redis.call('SREM', askers, asker) == 0 or redis.call('SCARD', askers) > 0 then
    return 0
end
local status, flight, upload = unpack(redis.call('HMGET', job, 'status', 'flight', 'upload'))
if status ~= 'queued' or redis.call('LREM', queue, 1, id) == 0 then
    return 0
end
if flight and redis.call('GET', flight) == id then
    redis.call('DEL', flight)
end
if upload and upload ~= '' then
    drop_upload(upload)
end
redis.call('DEL', job)
return 1
"""
)


class Flights:
    """The jobs of one queue by what they answer."""

    def __init__(self, redis: Client, max_queue: int) -> None:
        self.queue = CheckQueue(QUEUE, connection=redis)
        self._redis, self._max_queue = redis, max_queue
        self._submit = redis.register_script(_SUBMIT)
        self._leave = redis.register_script(_LEAVE)

    def submit(self, asked: Sequence[tuple[CheckRequest, str]]) -> list[str | None]:
        """The ids of the jobs that answer, for pairs of request and asker; None where the queue is full.
        One round trip."""
        commands = [self._arguments(request, asker) for request, asker in asked]
        try:
            ids = self._send(commands)
        except NoScriptError:  # Redis was restarted; nothing of it has happened
            self._redis.script_load(self._submit.script)
            ids = self._send(commands)
        return [None if job_id is None else job_id.decode() for job_id in ids]

    def _send(self, commands: list[list[Any]]) -> list[bytes | None]:
        if len(commands) == 1:  # a pipeline of one costs as much again
            return [self._redis.evalsha(self._submit.sha, _SUBMIT_KEYS, *commands[0])]
        with self._redis.pipeline(transaction=False) as pipe:
            for arguments in commands:
                pipe.evalsha(self._submit.sha, _SUBMIT_KEYS, *arguments)
            return list(pipe.execute())

    def _arguments(self, request: CheckRequest, asker: str) -> list[Any]:
        """Keys and arguments of `_SUBMIT`. An interactive check is taken a tenth beyond the queue's
        limit, so that a bulk that fills it does not shut people out."""
        job_id = secrets.token_hex(16)
        flight = _names.flight(request.flight)
        interactive = request.priority == "interactive"
        limit = self._max_queue + (max(1, self._max_queue // 10) if interactive else 0)
        fields = {
            **self._job_fields(job_id, request),
            "flight": flight,
            "upload": request.target if request.kind == "upload" else "",
            "priority": request.priority,
        }
        keys = [
            flight,
            self.queue.key,
            _names.job(job_id),
            _names.askers(job_id),
            self.queue.redis_queues_keys,
            _names.LAST_INTERACTIVE,
        ]
        upload = str(fields["upload"])
        flat = [part for pair in fields.items() for part in pair]
        return [*keys, job_id, asker, int(interactive), limit, _FLIGHT_TTL, upload, *flat]

    def _job_fields(self, job_id: str, request: CheckRequest) -> dict[str, Any]:
        """The hash that RQ itself would write for this job, but for fields that are empty."""
        job = self.queue.create_job(
            FUNCTION,
            args=(request.to_dict(),),
            timeout=JOB_TIMEOUT,
            result_ttl=RESULT_TTL,
            failure_ttl=FAILURE_TTL,
            description=job_id,
            job_id=job_id,
            retry=Retry(max=RETRIES, enqueue_at_front=True),
        )
        self.queue._prepare_for_queue(job)
        return {name: value for name, value in job.to_dict().items() if value not in (None, "")}

    def leave(self, job_id: str, asker: str) -> bool:
        """Whether the job was cancelled: it had not begun, and nobody else asks for it."""
        keys = [_names.askers(job_id), _names.job(job_id), self.queue.key]
        return bool(self._leave(keys=keys, args=[job_id, asker]))


def settle(
    pipe: Pipeline, job_id: str, request: CheckRequest, outcome: Outcome, uploads: Uploads | None = None
) -> None:
    """Adds to a worker's transaction what ends a flight: the answer, and nothing left behind it.

    The transaction has to hold RQ's own result too, which wakes the waiters.
    """
    pipe.set(_names.answer(job_id), _names.pack(outcome.to_dict()), ex=ANSWER_TTL)
    pipe.delete(_names.flight(request.flight), _names.askers(job_id))
    if uploads is not None and request.kind == "upload" and request.target:
        uploads.drop(request.target, pipe)
