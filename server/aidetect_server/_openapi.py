"""Views that are checked by what they are annotated with; flask-openapi3 makes the OpenAPI 3.1 document
from the same annotations.

Requests are checked here and not by the library: it would check before the key is looked at, answer in
a form of its own, and build a JSON schema for each query that it reads (0.6 ms a request).
"""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, get_type_hints

from flask import request
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, ValidationError

from aidetect import __version__

from ._problems import TYPE, RequestError, UnknownCheckError
from ._schemas import Problem

JSON_LIMIT = 1_000_000
"""Bytes of a JSON body: a batch of a hundred of the longest URLs, and little more."""
SECURITY: list[dict[str, list[str]]] = [{"key": []}]
View = Callable[..., Any]

_ABOUT = (
    "Tells whether an image was made by AI. Every call but the public ones needs "
    "`Authorization: Bearer <id>.<secret>`. Errors are problem details with a stable `code`; "
    "every answer has an `X-Request-Id`. Strings that come from images and addresses are untrusted."
)


def operation_id(*, name: str, **_: str) -> str:
    """An operation is called as its view is; clients generated from the document then read well."""
    return name


def openapi_app(import_name: str, **options: Any) -> OpenAPI:
    """A Flask application that collects the document; the library's own pages are left out."""
    return OpenAPI(
        import_name,
        info=Info(title="aidetect", version=__version__, description=_ABOUT),
        security_schemes={"key": {"type": "http", "scheme": "bearer"}},
        validation_error_model=Problem,
        doc_ui=False,
        **options,
    )


def answers(*problems: int, **models: type[BaseModel] | dict[str, Any] | None) -> ResponseDict:
    """The `responses` of a view: `answers(404, _200=Check)`; every view may also answer 401, 403, 429,
    503 where it needs a key."""
    found: ResponseDict = {name.lstrip("_"): model for name, model in models.items()}
    for status in sorted({400, 422, 503, *problems}):
        found[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return found


def private(*problems: int, **models: type[BaseModel] | dict[str, Any] | None) -> ResponseDict:
    """`answers` of a view that needs a key."""
    return answers(401, 403, 429, *problems, **models)


def binary(media_type: str) -> dict[str, Any]:
    """An answer that is not JSON."""
    return {"description": "OK", "content": {media_type: {"schema": {"type": "string"}}}}


def validated(view: View) -> View:
    """Hands a view its checked `path`, `query` and `body`, each of the model that its annotation names.

    Raises RequestError for what does not fit; an id of the wrong form is one that is unknown.
    """
    models = get_type_hints(view)

    @wraps(view)
    def checked(**path: str) -> Any:
        given: dict[str, Any] = {}
        if "path" in models:
            given["path"] = _path(models["path"], path)
        if "header" in models:
            given["header"] = _header(models["header"])
        if "query" in models:
            given["query"] = _query(models["query"])
        if "body" in models:
            given["body"] = _body(models["body"])
        return view(**given)

    checked.__delay_validate_request__ = True  # type: ignore[attr-defined]
    return checked


def _header(model: type[BaseModel]) -> BaseModel:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return model.model_validate({name: request.headers.get(name) for name in names})


def _query(model: type[BaseModel]) -> BaseModel:
    asked = request.args.to_dict() if request.query_string else {}
    return _fitting(model.model_validate, asked)


def _path(model: type[BaseModel], path: dict[str, str]) -> BaseModel:
    try:
        return model.model_validate(path)
    except ValidationError:
        raise UnknownCheckError from None


def _body(model: type[BaseModel]) -> BaseModel:
    from ._service import services

    if request.mimetype != "application/json":
        raise RequestError(
            "The body has to be JSON. Send it with Content-Type: application/json.",
            status=415,
            code="unsupported_media_type",
        )
    return _fitting(model.model_validate_json, services().bodies.read(JSON_LIMIT))


def _fitting(validate: Callable[[Any], BaseModel], given: Any) -> BaseModel:
    try:
        return validate(given)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> RequestError:
    """What does not fit, by name, without repeating what was sent."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[:3]
    if any(each["type"] == "json_invalid" for each in first):
        return RequestError("The body is not JSON. Correct it.", status=400, code="bad_request")
    named = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in first)
    return RequestError(f"{named}. Compare with /docs.", status=422, code="invalid_request")
