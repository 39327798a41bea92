"""Uploads: an image's bytes, raw or as a form's field `image`, become a check."""

import hashlib

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint

from aidetect._protocol import CheckRequest

from ._answers import key_id, respond
from ._checks import TAG, preferred
from ._keys import require_key
from ._openapi import SECURITY, operation_id, private, validated
from ._problems import RequestError
from ._schemas import Check, PreferHeader, UploadQuery
from ._service import services

uploads = APIBlueprint(
    "uploads",
    __name__,
    url_prefix="/v1/uploads",
    abp_tags=[TAG],
    abp_security=SECURITY,
    operation_id_callback=operation_id,
)

_FORM_OVERHEAD = 20_000
"""Bytes of a multipart body beside the image: boundaries, headers, other fields."""
_BINARY = {"type": "string", "format": "binary", "minLength": 1}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["image"], "properties": {"image": _BINARY}}
            },
        },
    }
}


@uploads.post(
    "",
    responses=private(408, 413, 415, _200=Check, _202=Check),
    openapi_extensions=_BODY,
)
@require_key("check")
@validated
def upload(query: UploadQuery, header: PreferHeader) -> Response:
    """Check an image's bytes: raw (`image/*`, `application/octet-stream`) or the form field `image`.

    200 where the answer is known or came within `wait`, else 202: ask again at `Location`."""
    here, key = services(), key_id()
    data = _image()
    digest = hashlib.sha256(data).hexdigest()
    here.records.note_image(key, digest)
    wanted = CheckRequest.for_upload(digest, here.broker.fleet)
    outcome = here.broker.known(wanted)
    if outcome is not None:
        return respond(here.finish(outcome, key))
    stored = here.broker.store_upload(data, digest)
    wanted = CheckRequest.for_upload(digest, here.broker.fleet, stored, priority=query.priority)
    return respond(here.submit(wanted, key, preferred(query.wait)))


def _image() -> bytes:
    """The bytes of the image in this request. What they are, the worker finds out."""
    here, kind = services(), request.mimetype
    limit = here.settings.max_bytes
    if kind == "multipart/form-data":
        _, files = here.bodies.read_form(limit + _FORM_OVERHEAD)
        data = files.get("image", b"")
    elif kind.startswith("image/") or kind == "application/octet-stream":
        data = here.bodies.read(limit)
    else:
        raise RequestError(
            "Send the image's bytes as image/* or application/octet-stream, or as the field `image` of "
            "a multipart form.",
            status=415,
            code="unsupported_media_type",
        )
    if not data:
        raise RequestError(
            "There is no image in the request. Send its bytes, or the form field `image`.",
            status=422,
            code="invalid_request",
        )
    return data
