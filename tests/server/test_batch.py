"""Batches: one entry for each URL, in order."""

import pytest
from flask.testing import FlaskClient

from aidetect_worker._broker import Broker

from .consumer import Consumer


def test_a_batch_answers_in_order(client: FlaskClient, broker: Broker) -> None:
    urls = [f"https://example.org/{number}.jpg" for number in range(100)]
    answer = client.post("/v1/checks/batch", json={"urls": urls})
    assert answer.status_code == 202
    checks = answer.json["checks"]
    assert len({check["id"] for check in checks}) == 100
    assert broker.queue_length() == 100
    positions = [client.get(f"/v1/checks/{check['id']}").json["position"] for check in checks[:3]]
    assert positions == [1, 2, 3]


def test_a_batch_has_problems_and_known_answers_in_their_places(
    client: FlaskClient, consumer: Consumer
) -> None:
    known = "https://example.org/known.jpg"
    client.post("/v1/checks?wait=10", json={"url": known})
    consumer.hold.set()
    answer = client.post(
        "/v1/checks/batch", json={"urls": ["ftp://example.org/x", known, "https://example.org/new"]}
    )
    refused, first, waiting = answer.json["checks"]
    assert refused["problem"]["code"] == "invalid_url" and "id" not in refused
    assert first["state"] == "done" and first["verdict"]["cached"]
    assert waiting["state"] == "queued"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"urls": []},
        {"urls": "https://example.org"},
        {"urls": ["https://example.org/x"] * 101},
        {"urls": [1]},
        {"urls": [""]},
        {"urls": ["https://example.org/" + "x" * 9000]},
        {"urls": ["https://example.org"], "more": 1},
        [],
        "text",
    ],
)
def test_what_is_no_batch_is_refused(client: FlaskClient, body: object, broker: Broker) -> None:
    answer = client.post("/v1/checks/batch", json=body)
    assert answer.status_code == 422 and answer.json["code"] == "invalid_request"
    assert broker.queue_length() == 0


def test_a_batch_of_nothing_but_mistakes_is_answered(client: FlaskClient) -> None:
    answer = client.post("/v1/checks/batch", json={"urls": ["x", "ftp://y"]})
    assert answer.status_code == 202
    assert [each["problem"]["code"] for each in answer.json["checks"]] == ["invalid_url"] * 2
