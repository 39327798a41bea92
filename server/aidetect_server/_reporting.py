"""POST /v1/reports: "this verdict is wrong", with the image where its sender wants that."""

import hashlib
import json
from typing import Annotated, Any, Literal

from flask import Response, g, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from aidetect import Verdict

from ._keys import require_key
from ._openapi import JSON_LIMIT, SECURITY, invalid, operation_id, private
from ._problems import RequestError
from ._reports import ReportStore
from ._schemas import CHECK_ID
from ._service import services

_FORM_OVERHEAD = 20_000
"""Bytes of a multipart body beside the image."""


class NewReport(BaseModel):
    """What is wrong: the image of this check is, says the reporter, `ai` or `real`."""

    model_config = ConfigDict(extra="forbid")

    check: Annotated[
        str,
        StringConstraints(pattern=f"^{CHECK_ID}$", strict=True),
        Field(description="The id of a finished check of this key."),
    ]
    label: Literal["ai", "real"]
    note: Annotated[
        str,
        StringConstraints(max_length=1000, strict=True),
        Field(description="In the reporter's own words; read by the server's operator."),
    ] = ""


class Reported(BaseModel):
    id: str


def _documented() -> dict[str, Any]:
    schema = NewReport.model_json_schema()
    file = {"type": "string", "format": "binary"}
    form = {**schema, "properties": {**schema["properties"], "image": file}}
    content = {"application/json": {"schema": schema}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


def reports_blueprint(store: ReportStore) -> APIBlueprint:
    reports = APIBlueprint(
        "reports",
        __name__,
        abp_tags=[Tag(name="reports", description="Wrong verdicts")],
        abp_security=SECURITY,
        operation_id_callback=operation_id,
    )

    @reports.post(
        "/v1/reports",
        responses=private(404, 408, 409, 413, 415, _201=Reported),
        openapi_extensions=_documented(),
    )
    @require_key("report")
    def report() -> Response:
        """Report that a verdict is wrong: as JSON, or as a form with the field `image`, the file that
        was checked, which is then kept for the server's operator to look at, encrypted, for 90 days."""
        given, image = _given()
        verdict = _verdict(given.check)
        if image is not None and hashlib.sha256(image).hexdigest() != verdict.image.sha256:
            raise RequestError(
                "The image is not the one that was checked. Send the same file, or none.",
                status=422,
                code="image_mismatch",
            )
        id = store.keep(verdict, g.key.id, given.label, given.note, image)
        return Response(json.dumps({"id": id}), 201, content_type="application/json")

    return reports


def _given() -> tuple[NewReport, bytes | None]:
    bodies, limit = services().bodies, services().settings.max_bytes
    try:
        if request.mimetype == "application/json":
            return NewReport.model_validate_json(bodies.read(JSON_LIMIT)), None
        if request.mimetype == "multipart/form-data":
            fields, files = bodies.read_form(limit + _FORM_OVERHEAD)
            return NewReport.model_validate(fields), files.get("image")
    except ValidationError as error:
        raise invalid(error) from None
    raise RequestError(
        "Send the report as application/json, or as multipart/form-data with the field `image`.",
        status=415,
        code="unsupported_media_type",
    )


def _verdict(check: str) -> Verdict:
    """That of a check of the asking key. Raises UnknownCheckError, or RequestError where it has none."""
    here = services()
    outcome = here.look(here.records.load(check, g.key.id)).record.outcome
    if outcome is None or outcome.verdict is None:
        raise RequestError(
            "This check has no verdict to report. Wait until its state is done.",
            status=409,
            code="no_verdict",
        )
    return outcome.verdict
