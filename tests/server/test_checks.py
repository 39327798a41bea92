"""Checks by URL and by hash, in this process: states, waiting, who may read what."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from aidetect import UnreachableError, Verdict
from aidetect._protocol import CheckRequest
from aidetect_worker._broker import Broker

from .consumer import Consumer

URL = "https://example.org/cat.jpg?token=abc"


def test_a_check_waits_in_the_queue_while_no_worker_is_there(client: FlaskClient) -> None:
    answer = client.post("/v1/checks", json={"url": URL})
    assert answer.status_code == 202
    check = answer.json
    assert check["state"] == "queued" and check["verdict"] is None and check["problem"] is None
    assert re.fullmatch("[0-9a-f]{32}", check["id"])
    assert answer.headers["Location"] == f"/v1/checks/{check['id']}"
    assert int(answer.headers["Retry-After"]) >= 1
    again = client.get(answer.headers["Location"])
    assert again.status_code == 202 and again.json["position"] == 1


def test_a_check_waits_for_its_verdict(client: FlaskClient, consumer: Consumer) -> None:
    answer = client.post("/v1/checks?wait=10", json={"url": URL})
    assert answer.status_code == 200, answer.text
    assert answer.json["state"] == "done"
    verdict = Verdict.from_dict(answer.json["verdict"])
    assert verdict.label == "ai" and verdict.source == URL
    read = client.get(f"/v1/checks/{answer.json['id']}")
    assert read.json == answer.json and read.status_code == 200


def test_prefer_asks_for_the_same_wait(client: FlaskClient, consumer: Consumer) -> None:
    answer = client.post("/v1/checks", json={"url": URL}, headers={"Prefer": "respond-async, wait=10"})
    assert answer.status_code == 200 and answer.json["state"] == "done"


def test_an_image_that_cannot_be_had_is_a_failed_check(client: FlaskClient, broker: Broker) -> None:
    def unreachable(request: CheckRequest) -> None:
        raise UnreachableError("example.org: no complete answer in time. Try again.", code="timeout")

    with Consumer(broker, unreachable):  # type: ignore[arg-type]
        answer = client.post("/v1/checks?wait=10", json={"url": URL})
    assert answer.status_code == 200 and answer.json["state"] == "failed"
    problem = answer.json["problem"]
    assert problem["code"] == "timeout" and problem["retryable"] and "Try again" in problem["detail"]
    assert answer.json["heatmap"] is None and answer.json["signature"] is None


def test_the_same_question_is_answered_from_the_cache(client: FlaskClient, consumer: Consumer) -> None:
    first = client.post("/v1/checks?wait=10", json={"url": URL})
    second = client.post("/v1/checks", json={"url": URL + "#fragment"})
    assert second.status_code == 200 and second.json["verdict"]["cached"]
    assert second.json["id"] != first.json["id"] and consumer.answered == 1


def test_a_finished_check_has_an_etag(client: FlaskClient, consumer: Consumer) -> None:
    answer = client.post("/v1/checks?wait=10", json={"url": URL})
    location = f"/v1/checks/{answer.json['id']}"
    read = client.get(location)
    assert read.headers["ETag"] == answer.headers["ETag"]
    unchanged = client.get(location, headers={"If-None-Match": read.headers["ETag"]})
    assert unchanged.status_code == 304 and not unchanged.data
    waiting = client.post("/v1/checks", json={"url": "https://example.org/other.jpg"})
    assert "ETag" not in waiting.headers or waiting.status_code == 200


def test_a_known_hash_asked_again_is_the_same_check_until_that_is_deleted(
    client: FlaskClient, consumer: Consumer
) -> None:
    sent = client.post("/v1/uploads?wait=10", data=b"an image", content_type="image/jpeg").json
    question = {"sha256": sent["verdict"]["image"]["sha256"]}
    first, second = (client.post("/v1/checks", json=question) for _ in range(2))
    assert first.status_code == 200 and second.data == first.data
    assert client.get(f"/v1/checks/{first.json['id']}").data == first.data
    assert client.delete(f"/v1/checks/{first.json['id']}").status_code == 204
    third = client.post("/v1/checks", json=question)
    assert third.status_code == 200 and third.json["id"] != first.json["id"]


def test_a_dispute_is_told_at_the_next_question(
    app: Flask, client: FlaskClient, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aidetect_server._reports.MARKS_SECONDS", 0.0)
    sent = client.post("/v1/uploads?wait=10", data=b"an image", content_type="image/jpeg").json
    question = {"sha256": sent["verdict"]["image"]["sha256"]}
    before = client.post("/v1/checks", json=question).json
    report = client.post("/v1/reports", json={"check": before["id"], "label": "real"}).json["id"]
    app.extensions["aidetect"].reports.confirm(report)
    after = client.post("/v1/checks", json=question).json
    assert "disputed" in {reason["code"] for reason in after["verdict"]["reasons"]}


def test_the_heat_map_is_a_png(client: FlaskClient, consumer: Consumer) -> None:
    check = client.post("/v1/checks?wait=10", json={"url": URL}).json
    assert check["heatmap"] == f"/v1/checks/{check['id']}/heatmap.png"
    picture = client.get(check["heatmap"])
    assert picture.data.startswith(b"\x89PNG") and picture.mimetype == "image/png"


def test_there_is_no_heat_map_before_the_verdict(client: FlaskClient) -> None:
    location = client.post("/v1/checks", json={"url": URL}).headers["Location"]
    answer = client.get(location + "/heatmap.png")
    assert answer.status_code == 404 and answer.json["code"] == "no_heat_map"


def test_another_keys_check_is_not_there(
    app: Flask, client: FlaskClient, new_key: Callable[..., str]
) -> None:
    location = client.post("/v1/checks", json={"url": URL}).headers["Location"]
    other = app.test_client()
    other.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new_key()}"
    for path in (location, location + "/heatmap.png", location + "/events"):
        answer = other.get(path)
        assert answer.status_code == 404 and answer.json["code"] == "unknown_check"
    assert other.delete(location).status_code == 404
    assert client.get(location).status_code == 202
    unknown = other.get("/v1/checks/" + "0" * 32).json
    known = other.get(location).json
    assert {**unknown, "instance": ""} == {**known, "instance": ""}


@pytest.mark.parametrize(
    "id",
    [
        "",
        "x",
        "0" * 31,
        "0" * 33,
        "A" * 32,
        "..%2f..%2fetc",
        "%00" * 32,
        "0" * 31 + "%0a",
        "*" * 32,
        "é" * 32,
    ],
)
def test_ids_of_the_wrong_form_are_not_there(client: FlaskClient, id: str) -> None:
    answer = client.get(f"/v1/checks/{id}")
    assert answer.status_code in (404, 405), answer.text
    assert answer.mimetype == "application/problem+json"


def test_a_deleted_check_is_gone_and_its_job_cancelled(client: FlaskClient, broker: Broker) -> None:
    first = client.post("/v1/checks", json={"url": URL}).headers["Location"]
    second = client.post("/v1/checks", json={"url": URL}).headers["Location"]
    assert broker.queue_length() == 1
    assert client.delete(first).status_code == 204
    assert client.get(first).status_code == 404
    assert broker.queue_length() == 1, "the other asker still waits"
    assert client.delete(second).status_code == 204
    assert broker.queue_length() == 0


def test_an_unknown_hash_is_asked_for_as_an_upload(client: FlaskClient, consumer: Consumer) -> None:
    answer = client.post("/v1/checks", json={"sha256": "a" * 64})
    assert answer.status_code == 404 and answer.json["code"] == "unknown_image"
    assert "/v1/uploads" in answer.json["detail"]


def test_a_hash_answers_only_whoever_sent_the_image(
    app: Flask, client: FlaskClient, consumer: Consumer, new_key: Callable[..., str]
) -> None:
    sent = client.post("/v1/uploads?wait=10", data=b"an image", content_type="image/jpeg").json
    digest = sent["verdict"]["image"]["sha256"]
    again = client.post("/v1/checks", json={"sha256": digest})
    assert again.status_code == 200 and again.json["verdict"]["cached"]
    other = app.test_client()
    other.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new_key()}"
    assert other.post("/v1/checks", json={"sha256": digest}).json["code"] == "unknown_image"


def test_fresh_asks_again(client: FlaskClient, consumer: Consumer) -> None:
    client.post("/v1/checks?wait=10", json={"url": URL})
    before = consumer.answered
    client.post("/v1/checks?wait=10", json={"url": URL, "fresh": True})
    assert consumer.answered == before + 1
