"""Errors as problem details (RFC 9457): a stable `code` for programs, a sentence that says what to do.

ServerError
├── RequestError             the request cannot be answered; `status` says how
├── UnknownCheckError        no such check, or another key's: the same answer, so that ids tell nothing
└── UnknownImageError        no answer for this SHA-256 that this key may have
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from aidetect import AidetectError, ConfigurationError, InputError, ModelError
from aidetect._text import printable
from aidetect_worker._redis import UNAVAILABLE

_log = logging.getLogger(__name__)

TYPE = "application/problem+json"
TYPE_BLANK = "about:blank"
"""Problem type of errors that `code` names, as RFC 9457 has it for those without a page of their own."""
UNAVAILABLE_SECONDS = 5
"""Retry-After of an answer 503 that names no better time."""
_STATUS = {
    "too_large": 413,
    "unsupported_format": 415,
    "not_an_image": 415,
    "internal": 500,
}
_ADVICE = {
    400: ("bad_request", "The request cannot be understood. Compare it with /docs."),
    404: ("not_found", "There is nothing at this address. /docs lists all there is."),
    405: ("method_not_allowed", "This address takes other methods; the header Allow names them."),
    408: ("request_timeout", "The request did not arrive in time. Send it again, over a better line."),
    413: ("too_large", "The request is larger than the server takes. Send a smaller image."),
    415: ("unsupported_media_type", "This content type is not taken here. Compare with /docs."),
    416: ("range_not_satisfiable", "Ask for the whole answer, without Range."),
}


class ServerError(AidetectError):
    """Root of what the server itself refuses. `status` is that of HTTP; `headers` go with the answer."""

    code = "internal"
    status = 500

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})


class RequestError(ServerError):
    def __init__(
        self, message: str, *, status: int, code: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, headers=headers)
        self.status, self.code = status, code


class UnknownCheckError(ServerError):
    code = "unknown_check"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such check, or no longer. Ask for a new one with POST /v1/checks.")


class UnknownImageError(ServerError):
    code = "unknown_image"
    status = 404

    def __init__(self) -> None:
        super().__init__(
            "There is no answer for this SHA-256 among what this key has sent. "
            "Upload the image with POST /v1/uploads."
        )


def status_of(error: AidetectError) -> int:
    """The HTTP status that stands for an error of any part of aidetect."""
    if isinstance(error, ServerError):
        return error.status
    if isinstance(error, InputError):
        return status_for(error.code)
    if isinstance(error, ConfigurationError | ModelError):
        return 500
    return 503 if error.retryable else 500


def status_for(code: str) -> int:
    """The HTTP status that stands for what is wrong with one image."""
    return _STATUS.get(code, 422)


def body_of(code: str, message: str, status: int, input: str | None = None) -> dict[str, Any]:
    """A problem's members. `instance` is the request's id, where there is a request."""
    found: dict[str, Any] = {
        "type": TYPE_BLANK,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
    }
    if request_id := g.get("request_id") if g else None:
        found["instance"] = request_id
    if input is not None:
        found["input"] = printable(input)
    return found


def problem(error: AidetectError) -> Response:
    """The answer for an error that was raised on purpose."""
    status = status_of(error)
    if status == 500:
        _log.error("%s: %s", type(error).__name__, error.message)
        return respond(
            body_of("internal", "The server is not set up right; its log says what is wrong.", 500)
        )
    headers = dict(getattr(error, "headers", {}))
    if status == 503:
        headers.setdefault("Retry-After", str(UNAVAILABLE_SECONDS))
    return respond(body_of(error.code, error.message, status, error.input), headers)


def respond(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A problem's members as an answer, with the status that they name."""
    return Response(json.dumps(body), int(body["status"]), dict(headers or {}), content_type=TYPE)


def init_problems(app: Flask) -> None:
    """Every error leaves the server as a problem; what nobody foresaw is logged and told nobody."""
    app.register_error_handler(AidetectError, problem)
    app.register_error_handler(HTTPException, _http)
    for away in UNAVAILABLE:
        app.register_error_handler(away, _redis)
    app.register_error_handler(Exception, _unforeseen)


def _http(error: HTTPException) -> Response:
    if error.response is not None:  # an answer that was raised, such as a redirect
        return error.get_response()  # type: ignore[return-value]
    status = error.code or 500
    code, advice = _ADVICE.get(status, ("error", "The request cannot be answered. Compare with /docs."))
    headers = {name: value for name, value in error.get_headers() if name not in ("Content-Type",)}
    if isinstance(error, RequestEntityTooLarge):
        headers["Connection"] = "close"
    return respond(body_of(code, advice, status), headers)


def _redis(error: Exception) -> Response:
    _log.warning("redis does not answer: %s", type(error).__name__)
    message = "The server cannot reach its store at the moment. Try again shortly."
    return problem(RequestError(message, status=503, code="unavailable"))


def _unforeseen(error: Exception) -> Response:
    _log.exception("unforeseen %s", type(error).__name__)
    return respond(
        body_of(
            "internal",
            "Something went wrong here, and was logged under the request's id. Try again.",
            500,
        )
    )
