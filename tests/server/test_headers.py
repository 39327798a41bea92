"""Safe headers, request ids and logs: what every answer carries, and what no log line does."""

import io
import json
import logging
import re
from collections.abc import Callable

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from aidetect_server._logs import JsonFormatter, scrubbed

from .gunicorn_server import GunicornServer, bearer

PATHS = [
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/v1/server",
    "/nothing",
    "/v1/checks/x",
    "/metrics",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_told_to_browsers_as_harmless(app: Flask, path: str) -> None:
    headers = app.test_client().get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"]
    assert re.fullmatch("[0-9a-f]{16}", headers["X-Request-Id"])


def test_a_clients_request_id_is_kept_where_it_is_harmless(client: FlaskClient) -> None:
    def sent(id: str) -> str:
        return client.get("/healthz", headers={"X-Request-Id": id}).headers["X-Request-Id"]

    assert sent("from-the-proxy-0123") == "from-the-proxy-0123"
    for bad in ("short", "x" * 65, "a b c d e f g", "<script>alert(1)</script>", "aaaaaaaa;bbbb"):
        assert sent(bad) != bad


def test_a_problem_names_its_request(client: FlaskClient) -> None:
    answer = client.post("/v1/checks", json={}, headers={"X-Request-Id": "request-0001"})
    assert answer.json["instance"] == "request-0001" == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("PATCH", "/v1/checks", 405, "method_not_allowed"),
        ("GET", "/v1/checks/../../etc/passwd", 404, "not_found"),
        ("TRACE", "/v1/checks", 405, "method_not_allowed"),
        ("POST", "/v1/checks?wait=21", 422, "invalid_request"),
        ("POST", "/v1/checks?wait=-1", 422, "invalid_request"),
        ("POST", "/v1/checks?wait=nan", 422, "invalid_request"),
        ("POST", "/v1/checks?more=1", 422, "invalid_request"),
    ],
)
def test_errors_are_problems(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.open(path, method=method, json={"url": "https://example.org"})
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == status and answer.json["title"] and answer.json["type"]
    assert answer.json["detail"].endswith(".")


def test_a_problem_does_not_repeat_what_was_sent(client: FlaskClient) -> None:
    answer = client.post("/v1/checks", json={"url": 1, "<script>\u202e": "secret"})
    assert answer.status_code == 422 and "secret" not in answer.text


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("GET https://example.org/a.png?token=abc HTTP", "abc"),
        ("https://user:hunter2@example.org/", "hunter2"),
        ("Authorization: Bearer 0123456789ab." + "k" * 43, "kkkk"),
        ("key=0123456789ab." + "k" * 43, "kkkk"),
        ("a.key.0123456789ab." + "k" * 43 + " bearer 0123456789ab." + "K" * 43, "KKKK"),
        ("a.key.0123456789ab." + "k" * 43, "kkkk"),
        ("line\nbreak \x1b[31m \u202e", "\n"),
        ("https://example.org/#secret", "secret"),
    ],
)
def test_log_lines_are_scrubbed(text: str, gone: str) -> None:
    assert gone not in scrubbed(text)


def test_a_long_word_that_is_no_key_takes_no_longer() -> None:
    """Read anew from each of its letters, it would take hours."""
    assert scrubbed(1_000_000 * "a", limit=1_000_000) == 1_000_000 * "a"


def test_a_logged_error_has_no_query_and_is_one_line() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError("https://example.org/?token=abc\nsecond line")
    except ValueError:
        logger.exception("failed for %s", "https://example.org/x?token=abc")
    assert stream.getvalue().count("\n") == 1 and "abc" not in stream.getvalue()
    assert json.loads(stream.getvalue())["trace"]


def test_no_secret_and_no_query_reaches_the_log(serve: Callable[..., GunicornServer], key: str) -> None:
    server = serve()
    url = "https://user:hunter2@example.org/cat.jpg?signature=s3cr3t#frag"
    requests.post(server.url + "/v1/checks", json={"url": url}, headers=bearer(key))
    requests.post(server.url + f"/v1/checks?key={key}", json={"url": url}, headers=bearer(key))
    requests.post(server.url + "/v1/checks", data=url, headers=bearer(key))
    requests.get(server.url + f"/{key}/https://x/?q=s3cr3t", headers=bearer("wrong." + key))
    requests.post(server.url + "/v1/uploads", data=b"bytes of an image", headers=bearer(key))
    server.stop()
    logged = server.logged()
    assert logged.count('"message": "request"') >= 5
    for secret in (key, key.split(".")[1], "s3cr3t", "hunter2", "bytes of an image", "only for tests"):
        assert secret not in logged
    lines = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    assert key.split(".")[0] in logged, "the key's public name tells who asked"
