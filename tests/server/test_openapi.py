"""The OpenAPI document, its page, and what generated requests find."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import strategies as st

from ..worker.workers import PATIENCE
from .consumer import Consumer
from .gunicorn_server import GunicornServer

EXAMPLES = 8


def test_the_document_names_every_route_of_the_api(app: Flask, client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    assert document["openapi"].startswith("3.1.")
    routes = {
        (re.sub(r"<([^<>:]+:)?(\w+)>", r"{\2}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    unlisted = {"/", "/docs", "/openapi.json", "/static/page/{name}"}
    documented = {(path, method) for path, item in document["paths"].items() for method in item}
    assert {route for route in routes if route[0] not in unlisted} == documented


def test_operations_have_names_texts_and_say_whether_they_need_a_key(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    operations = [each for item in document["paths"].values() for each in item.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"] for each in operations)
    open_ = {each["operationId"] for each in operations if not each.get("security")}
    assert {"healthz", "readyz"} <= open_ and "begin_check" not in open_


def test_the_library_leaves_checking_requests_to_us(client: FlaskClient) -> None:
    # It would check before the key is looked at, and answer in a form of its own.
    bare = client.application.test_client()
    assert bare.post("/v1/checks", data=b"junk").status_code == 401


class References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.scripts += tag == "script"
        self.found += [given[name] or "" for name in ("href", "src") if name in given]
        if given.get("id"):
            self.ids.append(given["id"] or "")


def test_the_page_loads_nothing_and_links_to_what_is_there(app: Flask) -> None:
    answer = app.test_client().get("/docs")
    assert answer.status_code == 200 and "style-src 'nonce-" in answer.headers["Content-Security-Policy"]
    page = References()
    page.feed(answer.text)
    assert page.scripts == 0 and "/openapi.json" in page.found
    inside = [each for each in page.found if each.startswith("#")]
    assert len(inside) == len(page.found) - 1 and set(inside) <= {f"#{id}" for id in page.ids}
    assert len(page.ids) == len(set(page.ids))
    for text in ("/v1/checks/{id}/heatmap.png", "Problem", "Verdict", "needs no key"):
        assert text.lower() in answer.text.lower()


@pytest.mark.slow
def test_generated_requests_find_no_error_of_ours(
    serve: Callable[..., GunicornServer], key: str, consumer: Consumer
) -> None:
    """schemathesis, kept short: every operation, right and wrong values of every field."""
    server = serve()
    schema: Any = schemathesis.openapi.from_url(server.url + "/openapi.json")
    deadline = hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )
    tried = []
    for operation in schema.get_all_operations():
        case = operation.ok()
        if case.path.endswith("/events"):
            continue  # ends when the check does: see test_events

        @deadline
        @hypothesis.given(case=case.as_strategy())
        def run(case: Any) -> None:
            case.call_and_validate(
                headers={"Authorization": f"Bearer {key}"}, excluded_checks=EXCLUDED, timeout=PATIENCE
            )

        run()
        tried.append(case.label)
    assert len(tried) >= 12


EXCLUDED: list[Any] = []


@hypothesis.settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    data=st.binary(max_size=2000),
    kind=st.sampled_from(
        [
            "image/png",
            "application/octet-stream",
            "multipart/form-data; boundary=x",
            "application/json",
            "",
        ]
    ),
    path=st.sampled_from(
        ["/v1/uploads", "/v1/checks", "/v1/checks/batch", "/v1/reports", "/v1/pairings"]
    ),
)
def test_no_body_is_an_error_of_ours(client: FlaskClient, data: bytes, kind: str, path: str) -> None:
    answer = client.post(path, data=data, content_type=kind)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.content_type == "application/problem+json" and answer.json["detail"]


@hypothesis.settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@hypothesis.given(url=st.text(max_size=200) | st.from_regex(r"https?://[^ ]{0,60}", fullmatch=True))
def test_no_url_is_an_error_of_ours(client: FlaskClient, url: str) -> None:
    for path, body in (("/v1/checks", {"url": url}), ("/v1/checks/batch", {"urls": [url]})):
        answer = client.post(path, json=body)
        assert answer.status_code in (200, 202, 400, 422), answer.text
