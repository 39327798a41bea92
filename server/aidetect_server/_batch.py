"""A batch: up to a hundred URLs at once, each a check of its own, after everybody's single checks."""

import json

from flask import Response

from aidetect import AidetectError, InputError
from aidetect._protocol import CheckRequest
from aidetect_worker._errors import QueueFullError

from ._answers import key_id, wire
from ._checks import checks
from ._keys import require_key
from ._limits import charge
from ._openapi import private, validated
from ._problems import body_of, status_of
from ._schemas import Batch, NewBatch, Wire
from ._service import services

_FULL = QueueFullError("Too many checks are waiting. Send this one again in some seconds.")


@checks.post("/batch", responses=private(413, 415, _202=Batch))
@require_key("check")
@validated
def begin_batch(body: NewBatch) -> Response:
    """Check up to 100 URLs. The answer has one entry for each, in order: a check, or a problem."""
    charge(len(body.urls) - 1)
    wanted = [_request(url) for url in body.urls]
    fit = [each for each in wanted if isinstance(each, CheckRequest)]
    begun = services().begin_many(fit, key_id()) if fit else []
    if begun and not any(begun):
        raise _FULL
    looks = iter(begun)
    found: list[Wire] = []
    for each in wanted:
        if isinstance(each, InputError):
            found.append(_refused(each))
        else:
            look = next(looks)
            found.append(wire(look) if look else _refused(_FULL))
    return Response(json.dumps({"checks": found}), 202, content_type="application/json")


def _request(url: str) -> CheckRequest | InputError:
    try:
        return CheckRequest.for_url(url, services().broker.fleet, priority="bulk")
    except InputError as error:
        return error


def _refused(error: AidetectError) -> Wire:
    problem = body_of(error.code, error.message, status_of(error), error.input)
    return {"problem": {**problem, "retryable": error.retryable}}
