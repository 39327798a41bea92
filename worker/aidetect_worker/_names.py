"""Every name in Redis that belongs to the queue and its caches, and how JSON is kept under them.

RQ's own keys begin with `rq:`, these with `aidetect:`. `docs/operating.md` lists them with their lives.
"""

import json
import zlib
from typing import Any
from urllib.parse import urlsplit

JOB = "rq:job:"
ASKERS = "aidetect:askers:"
UPLOADS = "aidetect:uploads"
"""Sorted set of the keys of waiting uploads by the time at which they are given up."""
UPLOAD_BYTES = "aidetect:uploads:bytes"
"""Their bytes together; changed only together with the set."""
LAST_INTERACTIVE = "aidetect:interactive"
"""Id of the interactive job enqueued last: the next one goes behind it, and before all bulk ones."""


def job(job_id: str) -> str:
    return JOB + job_id


def rq_result(job_id: str) -> str:
    """RQ's stream of a job's results, which waiters read."""
    return f"rq:results:{job_id}"


def askers(job_id: str) -> str:
    return ASKERS + job_id


def answer(job_id: str) -> str:
    return f"aidetect:answer:{job_id}"


def flight(flight_id: str) -> str:
    return f"aidetect:flight:{flight_id}"


def upload(key: str) -> str:
    return f"aidetect:upload:{key}"


def worker(name: str) -> str:
    return f"aidetect:worker:{name}"


def pixels(fleet: str, sha256: str) -> str:
    return f"aidetect:pixels:{fleet}:{sha256}"


def claims(readers: str, sha256: str) -> str:
    return f"aidetect:claims:{readers}:{sha256}"


def url(identity: str) -> str:
    return f"aidetect:url:{identity}"


def failed(fleet: str, identity: str) -> str:
    return f"aidetect:failed:{fleet}:{identity}"


def held(host: str) -> str:
    """Where a host has asked to be left alone: the time until when."""
    return f"aidetect:held:{host}"


def host_of(url: str) -> str:
    """The host that a URL names, in lower case; empty where it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def pack(value: Any) -> bytes:
    """JSON, deflated: a verdict of nine views shrinks to a third.

    With small tables: making zlib's usual ones ready takes five times as long as the compression itself.
    """
    deflate = zlib.compressobj(level=6, wbits=13, memLevel=5)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return deflate.compress(text.encode()) + deflate.flush()


def unpack(data: bytes) -> Any:
    """Inverse of `pack`; ValueError for what it did not write."""
    try:
        return json.loads(zlib.decompress(data))
    except (zlib.error, RecursionError) as error:
        raise ValueError(str(error)) from None
