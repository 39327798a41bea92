"""What browsers are told about pages and extensions of other origins."""

import pytest
from flask.testing import FlaskClient

ORIGINS = [
    "https://evil.example",
    "chrome-extension://abcdefghijklmnop",
    "null",
    "http://localhost:8787\r\nX: y",
]
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.mark.parametrize(
    "path", ["/v1/checks", "/v1/uploads", "/v1/nothing", "/v1/checks/x/heatmap.png"]
)
def test_a_preflight_is_answered_without_a_key(client: FlaskClient, path: str) -> None:
    del client.environ_base["HTTP_AUTHORIZATION"]
    answer = client.options(path, headers={**PREFLIGHT, "Origin": "moz-extension://uuid"})
    assert answer.status_code == 204 and answer.data == b""
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert {"Authorization", "Content-Type", "Prefer"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert set(answer.headers["Access-Control-Allow-Methods"].split(", ")) == {"GET", "POST", "DELETE"}
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("origin", ORIGINS[:3])
def test_no_origin_is_echoed_and_credentials_stay_off(client: FlaskClient, origin: str) -> None:
    for answer in (
        client.get("/v1/server", headers={"Origin": origin}),
        client.options("/v1/server", headers={**PREFLIGHT, "Origin": origin}),
        client.get("/v1/checks/nothing", headers={"Origin": origin}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert origin not in str(answer.headers)


def test_a_page_may_read_what_it_needs_of_errors_too(client: FlaskClient) -> None:
    del client.environ_base["HTTP_AUTHORIZATION"]
    answer = client.get("/v1/server", headers={"Origin": "https://page.example"})
    assert answer.status_code == 401
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"ETag", "Location", "RateLimit", "Retry-After", "X-Request-Id"} <= exposed


@pytest.mark.parametrize("path", ["/", "/metrics", "/docs"])
def test_what_is_for_people_and_operators_is_not_shared(client: FlaskClient, path: str) -> None:
    with client.get(path, headers={"Origin": "https://page.example"}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers
    preflight = client.options(path, headers={**PREFLIGHT, "Origin": "https://page.example"})
    assert "Access-Control-Allow-Origin" not in preflight.headers
