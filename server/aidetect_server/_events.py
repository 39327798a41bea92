"""A check's states as they change, as server-sent events."""

import json
import time
from collections.abc import Iterator

from flask import Response, stream_with_context

from ._answers import FINISHED, key_id, wire
from ._bodies import client_left
from ._checks import checks
from ._keys import require_key
from ._openapi import binary, private, validated
from ._problems import RequestError
from ._records import Record
from ._schemas import CheckPath
from ._service import Services, services

STEP = 1.0
"""Seconds between two looks at the state; the answer itself wakes the stream."""
PING = 10.0
LONGEST = 300.0


@checks.get("/<id>/events", responses=private(404, _200=binary("text/event-stream")))
@require_key("check")
@validated
def events(path: CheckPath) -> Response:
    """Follow a check: an event `state` with the check at each change; it ends with the last one."""
    here = services()
    record = here.records.load(path.id, key_id())
    with here.streams.slot(record.key) as free:
        if not free:
            raise RequestError(
                "Too many event streams are open. Close some, or use GET /v1/checks/{id}?wait=.",
                status=503,
                code="too_many_streams",
                headers={"Retry-After": "5"},
            )
    response = Response(stream_with_context(_follow(here, record)), content_type="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _follow(here: Services, record: Record) -> Iterator[str]:
    """The events. Holds its place among the streams until it ends or the client leaves."""
    with here.streams.slot(record.key):
        last, pinged, end = "", time.monotonic(), time.monotonic() + LONGEST
        while time.monotonic() < end and not client_left():
            look = here.look(record)
            text = json.dumps(wire(look))
            if text != last:
                last, pinged = text, time.monotonic()
                yield f"event: state\ndata: {text}\n\n"
            elif time.monotonic() - pinged >= PING:
                pinged = time.monotonic()
                yield ": still there\n\n"
            if look.state.state in FINISHED or record.job is None:
                return
            here.broker.wait(record.job, STEP)
