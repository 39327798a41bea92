"""Checks: begin one by URL or hash, read it, wait for it, see its heat map, leave it."""

import json
import re

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from aidetect._protocol import CheckRequest

from ._answers import answer_of, finished, key_id, respond, wire
from ._keys import require_key
from ._openapi import SECURITY, binary, operation_id, private, validated
from ._problems import RequestError, UnknownImageError
from ._schemas import Check, CheckPath, CheckURL, NewCheck, PreferHeader, WaitQuery
from ._service import services
from ._waiting import MAX_WAIT

TAG = Tag(name="checks", description="One image, one check")
checks = APIBlueprint(
    "checks",
    __name__,
    url_prefix="/v1/checks",
    abp_tags=[TAG],
    abp_security=SECURITY,
    operation_id_callback=operation_id,
)

_PREFERRED_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\b", re.IGNORECASE)


@checks.post("", responses=private(404, 413, 415, _200=Check, _202=Check))
@require_key("check")
@validated
def begin_check(body: NewCheck, query: WaitQuery, header: PreferHeader) -> Response:
    """Check a URL, or ask for the verdict of an image that this key has sent before.

    200 where the answer is known or came within `wait`, else 202: ask again at `Location`."""
    asked = body.root
    if isinstance(asked, CheckURL):
        wanted = CheckRequest.for_url(asked.url, services().broker.fleet, fresh=asked.fresh)
        return respond(services().begin(wanted, key_id(), preferred(query.wait)))
    return _remembered(asked.sha256)


def _remembered(sha256: str) -> Response:
    """The verdict of an image by its hash. Raises UnknownImageError: a hash proves nothing about who
    has the image, so it answers only whoever has sent the bytes, unless the operator opens that.

    Asked again, it gives the same check, as long as that can be read."""
    here, key = services(), key_id()
    stamp = here.stamp(sha256)
    sent, noted = here.records.sent(key, sha256, stamp)
    if not (sent or here.settings.open_hashes):
        raise UnknownImageError
    if noted is None:
        outcome = here.broker.known(CheckRequest.for_upload(sha256, here.broker.fleet))
        if outcome is None:
            raise UnknownImageError
        noted = answer_of(json.dumps(wire(here.finish(outcome, key))).encode())
        here.records.note_answer(key, sha256, stamp, noted)
    return finished(noted)


@checks.get("/<id>", responses=private(404, _200=Check, _202=Check, _304=None))
@require_key("check")
@validated
def read_check(path: CheckPath, query: WaitQuery, header: PreferHeader) -> Response:
    """Where a check stands, at once or after at most `wait` seconds; finished ones have an ETag."""
    here = services()
    return respond(here.look(here.records.load(path.id, key_id()), preferred(query.wait)))


@checks.delete("/<id>", responses=private(404, _204=None))
@require_key("check")
@validated
def leave_check(path: CheckPath) -> Response:
    """Forget a check. The work is cancelled where nobody else asks for it and it has not begun."""
    here = services()
    here.leave(here.records.load(path.id, key_id()))
    return Response(status=204)


@checks.get("/<id>/heatmap.png", responses=private(404, _200=binary("image/png")))
@require_key("check")
@validated
def heat_map(path: CheckPath) -> Response:
    """Which parts of the image speak for AI, as a small PNG to lay over it."""
    here = services()
    look = here.look(here.records.load(path.id, key_id()))
    outcome = look.record.outcome
    verdict = outcome.verdict if outcome else None
    picture = here.broker.heat_map(verdict.image.sha256) if verdict else None
    if picture is None:
        raise RequestError("This check has no heat map, or not yet.", status=404, code="no_heat_map")
    response = Response(picture, content_type="image/png")
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


def preferred(wait: float) -> float:
    """Seconds to wait: those of the query, else those of the header `Prefer`, within bounds."""
    found = _PREFERRED_WAIT.search(request.headers.get("Prefer", ""))
    return wait or (min(float(found[1]), MAX_WAIT) if found else 0.0)
