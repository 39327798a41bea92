"""The OpenAPI document at /openapi.json, and at /docs a page to read it that needs no script and loads
nothing, from here or elsewhere."""

import json
import secrets
from typing import Any

from flask import Response, render_template
from flask_openapi3.openapi import OpenAPI

Row = dict[str, str]


def init_docs(app: OpenAPI) -> None:
    """Adds both. To be called last: the document is made here, from the routes that there are."""
    spec = app.api_doc
    text = json.dumps(spec, ensure_ascii=False)
    schemas = sorted(spec["components"]["schemas"].items())
    operations = [
        _operation(path, method, each)
        for path, item in spec["paths"].items()
        for method, each in item.items()
    ]

    @app.route("/openapi.json", endpoint="openapi")
    def document() -> Response:
        return Response(text, content_type="application/json")

    @app.route("/docs")
    def docs() -> Response:
        nonce = secrets.token_urlsafe(16)
        page = render_template(
            "docs.html", spec=spec, operations=operations, schemas=schemas, nonce=nonce
        )
        response = Response(page, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'; "
            "form-action 'none'"
        )
        return response


def _operation(path: str, method: str, each: dict[str, Any]) -> dict[str, Any]:
    """What the page says of one operation."""
    rows: list[Row] = [
        _row(f"{parameter['in']} {parameter['name']}", parameter["schema"], parameter.get("description"))
        for parameter in each.get("parameters", [])
    ]
    for kind, content in each.get("requestBody", {}).get("content", {}).items():
        rows.append(_row("body", content.get("schema", {}), kind))
    for status, answer in sorted(each.get("responses", {}).items()):
        for kind, content in answer.get("content", {"": {}}).items():
            meaning = f"{answer.get('description', '')} {kind}".strip()
            rows.append(_row(f"answer {status}", content.get("schema", {}), meaning))
    text = " ".join(each.get(part, "").replace("<br/>", " ") for part in ("summary", "description"))
    return {
        "id": each["operationId"],
        "method": method.upper(),
        "path": path,
        "text": text.strip(),
        "key": bool(each.get("security")),
        "rows": rows,
    }


def _row(part: str, schema: dict[str, Any], meaning: str | None) -> Row:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    bounds = [
        f"{word} {schema[key]}"
        for word, key in (("from", "minimum"), ("to", "maximum"))
        if key in schema
    ]
    options = [" or ".join(map(str, schema["enum"]))] if "enum" in schema else []
    form = " ".join([str(schema.get("type", "")), *options, *bounds]).strip()
    return {
        "part": part,
        "form": name or form or "any",
        "link": f"form-{name}" if name else "",
        "meaning": meaning or "",
    }
