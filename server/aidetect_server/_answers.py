"""What a check looks like on the wire, and the answer that carries it."""

import hashlib
import json
from http import HTTPStatus

from flask import Response, g, request, url_for

from ._problems import TYPE_BLANK, status_for
from ._records import Answer
from ._schemas import Wire
from ._service import Look
from ._waiting import retry_after

FINISHED = ("done", "failed")


def key_id() -> str:
    """The id of the key that asks."""
    id: str = g.key.id
    return id


def wire(look: Look) -> Wire:
    """The check object of API v1."""
    record, state, outcome = look.record, look.state, look.record.outcome
    verdict = outcome.verdict if outcome else None
    return {
        "id": record.id,
        "state": state.state,
        "position": state.position,
        "created_at": record.created_at,
        "verdict": verdict.to_dict() if verdict else None,
        "signature": record.signature,
        "problem": _problem(outcome.problem) if outcome and outcome.problem else None,
        "heatmap": url_for("checks.heat_map", id=record.id) if verdict else None,
    }


def _problem(found: Wire) -> Wire:
    """What ended a check, as a problem. `status` is the one that a request of its own would get."""
    status = status_for(str(found["code"]))
    problem = {
        "type": TYPE_BLANK,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": found["message"],
        "code": found["code"],
        "retryable": found["retryable"],
    }
    if "input" in found:
        problem["input"] = found["input"]
    if "status" in found:
        problem["upstream_status"] = found["status"]
    return problem


def respond(look: Look) -> Response:
    """200 for a finished check, else 202 with where and when to ask again."""
    body = json.dumps(wire(look)).encode()
    if look.state.state in FINISHED:
        return finished(answer_of(body))
    response = Response(body, 202, content_type="application/json")
    response.headers["Location"] = url_for("checks.read_check", id=look.record.id)
    response.headers["Retry-After"] = str(retry_after(look.state.position, look.crowded))
    return response


def answer_of(body: bytes) -> Answer:
    return Answer(body, hashlib.sha256(body).hexdigest()[:32])


def finished(answer: Answer) -> Response:
    """The answer with a finished check; it has an ETag, and is 304 where the client has it already."""
    response = Response(answer.body, content_type="application/json")
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(answer.etag)
    response.make_conditional(request)  # does nothing but for GET and HEAD
    return response
