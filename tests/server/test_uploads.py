"""Uploads in this process: raw bytes, forms, what is refused, what is kept."""

import gzip
import hashlib
import io
from dataclasses import replace

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.datastructures import MultiDict

from aidetect_server import create_app
from aidetect_server._settings import ServerSettings
from aidetect_worker._broker import Broker

from .consumer import Consumer

IMAGE = b"\xff\xd8\xff\xe0 an image of a test"


@pytest.mark.parametrize("kind", ["image/jpeg", "image/x-anything", "application/octet-stream"])
def test_raw_bytes_are_checked(client: FlaskClient, consumer: Consumer, kind: str) -> None:
    answer = client.post("/v1/uploads?wait=10", data=IMAGE, content_type=kind)
    assert answer.status_code == 200, answer.text
    assert answer.json["verdict"]["image"]["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    assert answer.json["verdict"]["source"] is None


def test_a_forms_field_is_checked(client: FlaskClient, consumer: Consumer) -> None:
    form = {"image": (io.BytesIO(IMAGE), "<script>.jpg"), "other": "ignored"}
    answer = client.post("/v1/uploads?wait=10", data=form)
    assert answer.status_code == 200, answer.text
    assert answer.json["verdict"]["image"]["sha256"] == hashlib.sha256(IMAGE).hexdigest()


def test_the_same_bytes_are_not_computed_twice(client: FlaskClient, consumer: Consumer) -> None:
    first = client.post("/v1/uploads?wait=10", data=IMAGE, content_type="image/jpeg")
    second = client.post("/v1/uploads", data=IMAGE, content_type="image/jpeg")
    assert second.status_code == 200 and second.json["id"] != first.json["id"]
    assert consumer.answered == 1


def test_uploads_are_gone_after_the_verdict(
    client: FlaskClient, consumer: Consumer, redis: Redis, broker: Broker
) -> None:
    client.post("/v1/uploads?wait=10", data=IMAGE, content_type="image/jpeg")
    assert broker.uploads.waiting() == 0
    assert not list(redis.scan_iter("aidetect:upload:*"))


def test_waiting_bytes_are_encrypted(client: FlaskClient, redis: Redis) -> None:
    client.post("/v1/uploads", data=IMAGE, content_type="image/jpeg")
    [name] = list(redis.scan_iter("aidetect:upload:*"))
    assert IMAGE not in (redis.get(name) or b"")


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"{}", "application/json", 415, "unsupported_media_type"),
        (b"x", "text/html", 415, "unsupported_media_type"),
        (b"x", "", 415, "unsupported_media_type"),
        (b"", "image/png", 422, "invalid_request"),
        (b"not a form", "multipart/form-data; boundary=x", 400, "bad_request"),
        (b"a=b", "multipart/form-data", 400, "bad_request"),
        (
            b"--x\r\nContent-Disposition: form-data; name=image",
            "multipart/form-data; boundary=x",
            400,
            "bad_request",
        ),
        (b"--x--", "multipart/form-data; boundary=x", 422, "invalid_request"),
    ],
)
def test_what_is_no_image_is_refused(
    client: FlaskClient, data: bytes, kind: str, status: int, code: str
) -> None:
    answer = client.post("/v1/uploads", data=data, content_type=kind)
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_a_form_of_many_parts_is_refused(client: FlaskClient) -> None:
    form = {f"field{number}": (io.BytesIO(b"x"), "x") for number in range(50)}
    assert client.post("/v1/uploads", data=form).status_code == 413


@pytest.mark.parametrize("again", [IMAGE, b"another"], ids=["the same", "another"])
def test_a_form_with_two_images_is_refused(client: FlaskClient, again: bytes) -> None:
    form = MultiDict(("image", (io.BytesIO(data), "a.jpg")) for data in (IMAGE, again))
    answer = client.post("/v1/uploads", data=form)
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert "`image` 2 times" in answer.json["detail"]


@pytest.mark.parametrize(
    ("path", "kind", "data"),
    [
        ("/v1/uploads", "image/jpeg", gzip.compress(IMAGE)),
        ("/v1/uploads", "multipart/form-data; boundary=x", b"--x--"),
        ("/v1/checks", "application/json", gzip.compress(b'{"url": "https://example.org/"}')),
        ("/v1/reports", "application/json", gzip.compress(b"{}")),
    ],
    ids=["image", "form", "check", "report"],
)
def test_a_packed_body_is_refused_and_what_is_taken_is_told(
    client: FlaskClient, path: str, kind: str, data: bytes
) -> None:
    answer = client.post(path, data=data, content_type=kind, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in answer.json["detail"]
    assert answer.headers["Accept-Encoding"] == "identity"


def test_a_body_may_be_said_to_be_as_it_is(client: FlaskClient) -> None:
    plain = {"Content-Encoding": "Identity"}
    answer = client.post("/v1/uploads", data=IMAGE, content_type="image/jpeg", headers=plain)
    assert answer.status_code == 202


def test_an_upload_may_be_as_large_as_the_limit_not_larger(settings: ServerSettings, key: str) -> None:
    small = create_app(replace(settings, max_bytes=100_000)).test_client()
    small.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    fits = small.post("/v1/uploads", data=b"x" * 100_000, content_type="image/png")
    assert fits.status_code == 202
    over = small.post("/v1/uploads", data=b"x" * 100_001, content_type="image/png")
    assert over.status_code == 413 and over.json["code"] == "too_large"
    assert "100,000" in over.json["detail"]
    form = small.post("/v1/uploads", data={"image": (io.BytesIO(b"x" * 130_000), "x.png")})
    assert form.status_code == 413


def test_bytes_that_wait_are_bounded(settings: ServerSettings, key: str) -> None:
    app = create_app(replace(settings, max_upload_bytes=1000))
    full = app.test_client()
    full.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    assert full.post("/v1/uploads", data=b"x" * 900, content_type="image/png").status_code == 202
    answer = full.post("/v1/uploads", data=b"y" * 900, content_type="image/png")
    assert answer.status_code == 503 and answer.json["code"] == "uploads_full"
    assert int(answer.headers["Retry-After"]) > 0


def test_the_queue_is_bounded(settings: ServerSettings, key: str) -> None:
    app = create_app(replace(settings, max_queue=1))
    full = app.test_client()
    full.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    answers = [
        full.post("/v1/checks", json={"url": f"https://example.org/{number}"}) for number in range(4)
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 503, 503]
    assert answers[-1].json["code"] == "queue_full" and int(answers[-1].headers["Retry-After"]) > 0
    answer = full.post("/v1/checks/batch", json={"urls": ["https://example.org/batch"]})
    assert answer.status_code == 503 and answer.json["code"] == "queue_full"
    uploaded = full.post("/v1/uploads", data=IMAGE, content_type="image/png")
    assert uploaded.status_code == 503


def test_bulk_waits_behind_interactive(client: FlaskClient, broker: Broker) -> None:
    bulk = client.post("/v1/uploads?priority=bulk", data=b"bulk", content_type="image/png")
    now = client.post("/v1/uploads", data=b"now", content_type="image/png")
    assert client.get(bulk.headers["Location"]).json["position"] == 2
    assert client.get(now.headers["Location"]).json["position"] == 1


def test_without_a_key_nothing_is_read(app: Flask) -> None:
    answer = app.test_client().post("/v1/uploads", data=b"x" * 30_000_000, content_type="image/png")
    assert answer.status_code == 401


@pytest.mark.parametrize("data", [bytes(5_000_000), b"\r\n--" * 1_000_000, b"\r\n" * 2_000_000])
def test_a_large_image_fits_into_a_form(client: FlaskClient, data: bytes) -> None:
    form = requests.Request("POST", "http://localhost", files={"image": data}).prepare()
    answer = client.post("/v1/uploads", data=form.body, content_type=form.headers["Content-Type"])
    assert answer.status_code == 202, answer.text
    assert client.get(answer.headers["Location"]).json["state"] == "queued"
