"""The one job of the one queue, and why nothing else can run here.

RQ finds a job's function by its import path, loads what a serializer makes of its payload and calls
callbacks and webhooks that the job names: whoever can write to Redis could run code in the workers.
`CheckJob` looks nothing up. It knows one function by name, reads its payload as JSON, and has neither
callbacks nor webhooks; `CheckQueue` keeps its jobs so wherever RQ makes a queue of its own.
"""

import json
import zlib
from typing import Any, NoReturn

from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from aidetect._errors import ConfigurationError
from aidetect._protocol import CheckRequest

QUEUE = "checks"
FUNCTION = "aidetect_worker.check"
RETRIES = 2
"""How often a job runs again after its worker died of it, or beside it."""
MAX_PAYLOAD = 65_536
"""Bytes of a job's payload; the longest URL that is fetched makes a tenth of it."""


class ForeignJobError(ConfigurationError):
    """A job that is not a check: never run, never retried."""

    code = "foreign_job"


def check(*_request: object, **_options: object) -> NoReturn:
    """What the name in a job's payload resolves to under a stock worker class: a refusal."""
    raise ForeignJobError(
        "jobs of this queue run in batches: start `rq worker -w aidetect_worker.BatchWorker checks`, or "
        "`aidetect worker`"
    )


def read_request(payload: bytes) -> CheckRequest:
    """The check that a payload asks for. Raises ForeignJobError, or as `CheckRequest.from_dict` does."""
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(payload, MAX_PAYLOAD) if payload[:1] == b"\x78" else payload
        if len(text) > MAX_PAYLOAD or reader.unconsumed_tail:
            raise ValueError("it is too long")
        function, instance, arguments, options = json.loads(text)
        [request] = arguments
        if function != FUNCTION or instance or options:
            raise ValueError("it names something else")
    except (ValueError, TypeError, RecursionError, zlib.error):
        raise ForeignJobError("a job that is not a check was refused. Enqueue through Broker.") from None
    return CheckRequest.from_dict(request)


class CheckJob(Job):
    """An RQ job that can only be a check."""

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:
        super().__init__(id, connection=connection, serializer=JSONSerializer)

    def request(self) -> CheckRequest:
        """The check that is asked for; raises as `read_request` does."""
        return read_request(self.data)

    @property
    def func(self) -> Any:
        """`check` for a check, whatever is importable under that name; for all else an error."""
        read_request(self.data)
        return check

    success_callback = failure_callback = stopped_callback = property(lambda self: None)

    def restore(self, raw_data: Any) -> Any:
        super().restore({key: value for key, value in raw_data.items() if key != b"webhooks"})
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None


class CheckQueue(Queue):
    """A queue whose jobs are checks, whatever it is asked for: `rq worker` passes stock classes."""

    job_class = CheckJob

    def __init__(self, *args: Any, **options: Any) -> None:
        options.update(job_class=CheckJob, serializer=JSONSerializer)
        super().__init__(*args, **options)
