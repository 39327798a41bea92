"""Reports of wrong verdicts: who may send which, how much is kept, and what a confirmed one changes."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from aidetect import ConfigurationError, ImageInfo, ModelInfo, Reason, Verdict
from aidetect._jws import Keys
from aidetect_server import _reports
from aidetect_server._problems import RequestError
from aidetect_server._reports import SECONDS, ReportStore
from aidetect_server._settings import ServerSettings
from aidetect_worker._broker import Broker

from .changed import changed
from .conftest import SECRET
from .consumer import Consumer

URL = "https://example.org/cat.jpg"
IMAGE = b"\xff\xd8\xff an image"
NASTY = '=HYPERLINK("http://evil.example","x")\x1b[2J\u202e<script>alert(1)</script>\n,"\x00'


@pytest.fixture
def store(redis: Redis, settings: ServerSettings) -> ReportStore:
    return ReportStore(redis, settings)


@pytest.fixture
def check(client: FlaskClient, consumer: Consumer) -> dict[str, Any]:
    """A finished check of the image IMAGE."""
    answer = client.post("/v1/uploads?wait=10", data=IMAGE, content_type="image/jpeg")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def send(client: FlaskClient, **fields: Any) -> TestResponse:
    return client.post("/v1/reports", json={"label": "real", **fields})


def send_form(client: FlaskClient, image: bytes | None, **fields: str) -> TestResponse:
    data: dict[str, Any] = {"label": "real", **fields}
    if image is not None:
        data["image"] = (io.BytesIO(image), "../../evil.php")
    return client.post("/v1/reports", data=data, content_type="multipart/form-data")


def test_a_report_is_kept_without_the_image(
    client: FlaskClient, check: dict[str, Any], store: ReportStore, redis: Redis
) -> None:
    answer = send(client, check=check["id"], note="I painted this.")
    assert answer.status_code == 201
    (report,) = store.list()
    assert report.id == answer.json["id"] and report.note == "I painted this." and report.label == "real"
    assert report.sha256 == hashlib.sha256(IMAGE).hexdigest() and report.verdict == "ai"
    assert not report.has_image and store.image(report) is None and report.confirmed_at is None
    assert SECONDS - 60 < redis.ttl(f"aidetect:report:{report.id}") <= SECONDS


def test_an_image_is_kept_where_it_is_sent_and_encrypted(
    client: FlaskClient,
    check: dict[str, Any],
    store: ReportStore,
    redis: Redis,
    settings: ServerSettings,
) -> None:
    assert send_form(client, IMAGE, check=check["id"], note="mine").status_code == 201
    (report,) = store.list()
    assert report.has_image and store.image(report) == IMAGE
    (name,) = redis.keys("aidetect:report-image:*")
    sealed = redis.get(name)
    assert isinstance(sealed, bytes) and IMAGE[3:] not in sealed
    assert SECONDS - 60 < redis.ttl(name) <= SECONDS
    other = ReportStore(redis, replace(settings, secret=SECRET + "!"))
    with pytest.raises(ConfigurationError, match="AIDETECT_SECRET"):
        other.image(report)


def test_sealed_images_cannot_be_exchanged(
    client: FlaskClient, check: dict[str, Any], store: ReportStore, redis: Redis
) -> None:
    send_form(client, IMAGE, check=check["id"])
    (report,) = store.list()
    with pytest.raises(ConfigurationError):
        sealed = redis.get(f"aidetect:report-image:{report.id}")
        redis.set("aidetect:report-image:other", sealed)  # type: ignore[arg-type]
        store.image(replace(report, id="other"))


def test_another_image_than_the_one_checked_is_refused(
    client: FlaskClient, check: dict[str, Any], store: ReportStore
) -> None:
    answer = send_form(client, IMAGE + b"!", check=check["id"])
    assert answer.status_code == 422 and answer.json["code"] == "image_mismatch"
    assert store.list() == []


def test_a_form_that_says_a_thing_twice_is_refused(client: FlaskClient, check: dict[str, Any]) -> None:
    both = MultiDict([("check", check["id"]), ("label", "real"), ("label", "ai")])
    answer = client.post("/v1/reports", data=both, content_type="multipart/form-data")
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")
    assert "`label` 2 times" in answer.json["detail"]


def test_a_form_needs_no_image(client: FlaskClient, check: dict[str, Any]) -> None:
    assert send_form(client, None, check=check["id"]).status_code == 201


def test_a_later_report_of_the_same_image_replaces_the_earlier_one(
    client: FlaskClient, check: dict[str, Any], store: ReportStore, redis: Redis
) -> None:
    first = send_form(client, IMAGE, check=check["id"], note="first")
    second = send(client, check=check["id"], label="ai", note="second")
    assert first.json == second.json
    (report,) = store.list()
    assert report.note == "second" and report.label == "ai" and not report.has_image
    assert redis.keys("aidetect:report-image:*") == [] and redis.zcard("aidetect:reports:images") == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"check": "0" * 31},
        {"check": "../../etc/passwd"},
        {"check": None},
        {"label": "uncertain"},
        {"label": 1},
        {"note": "x" * 1001},
        {"note": None},
        {"more": 1},
    ],
    ids=str,
)
def test_what_is_no_report_is_refused(
    client: FlaskClient, check: dict[str, Any], fields: dict[str, Any]
) -> None:
    assert send(client, **{"check": check["id"], **fields}).status_code == 422


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/jpeg", ""])
def test_other_content_is_refused(client: FlaskClient, check: dict[str, Any], kind: str) -> None:
    answer = client.post("/v1/reports", data=f"check={check['id']}&label=ai", content_type=kind)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"[" * 5000, b"\xff", b'{"check": "\\ud800"}']
)
def test_a_broken_body_is_refused(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/v1/reports", data=body, content_type="application/json")
    assert answer.status_code in (400, 422)


def test_only_the_keys_own_finished_checks_can_be_reported(
    client: FlaskClient, app: Flask, check: dict[str, Any], new_key: Callable[..., str], broker: Broker
) -> None:
    stranger = app.test_client()
    stranger.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new_key()}"
    assert send(stranger, check=check["id"]).json["code"] == "unknown_check"
    assert send(client, check="f" * 32).status_code == 404
    stranger.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new_key('check')}"
    assert send(stranger, check=check["id"]).json["code"] == "scope_missing"


def test_a_check_without_a_verdict_cannot_be_reported(client: FlaskClient) -> None:
    waiting = client.post("/v1/checks", json={"url": URL}).json
    answer = send(client, check=waiting["id"])
    assert answer.status_code == 409 and answer.json["code"] == "no_verdict"


def verdict(n: int) -> Verdict:
    """One of the image number n."""
    return Verdict(
        "ai", 0.9, "model", None, (Reason("probability", "AI."),), (),
        ImageInfo(f"{n:064x}", 640, 480, "JPEG", 10), ModelInfo("m", "1", "f" * 64),
        _reports.datetime.now(_reports.UTC), 1.0,
    )  # fmt: skip


def test_a_key_has_its_share_and_takes_nobody_elses(redis: Redis, settings: ServerSettings) -> None:
    store = ReportStore(redis, replace(settings, max_reports=8, max_reports_per_key=3))
    for n in range(3):
        store.keep(verdict(n), "greedy", "real", "", None)
    with pytest.raises(RequestError) as refused:
        store.keep(verdict(3), "greedy", "real", "", None)
    assert refused.value.status == 429 and refused.value.code == "reports_full"
    store.keep(verdict(0), "greedy", "ai", "again", None)  # its own may be replaced
    store.keep(verdict(3), "quiet", "real", "", None)
    assert len(store.list()) == 4


def test_all_reports_together_are_bounded(redis: Redis, settings: ServerSettings) -> None:
    store = ReportStore(redis, replace(settings, max_reports=5, max_reports_per_key=3))
    kept = 0
    for n in range(30):
        try:
            store.keep(verdict(n), f"key{n % 10}", "real", "", None)
            kept += 1
        except RequestError as error:
            assert error.status == 503
    assert kept == 5 == len(store.list())


def test_their_images_are_bounded_in_bytes(redis: Redis, settings: ServerSettings) -> None:
    store = ReportStore(redis, replace(settings, max_report_bytes=1000))
    image = b"x" * 300  # and 28 bytes of nonce and tag each
    ids = [store.keep(verdict(n), "k", "real", "", image) for n in range(3)]
    with pytest.raises(RequestError) as refused:
        store.keep(verdict(9), "k", "real", "", image)
    assert refused.value.status == 503
    store.keep(verdict(9), "k", "real", "", None)
    store.delete(ids[0])
    store.keep(verdict(10), "k", "real", "", image)
    total = sum(redis.strlen(name) for name in redis.keys("aidetect:report-image:*"))
    assert total == 3 * 328


def test_what_has_expired_counts_no_more(
    redis: Redis, settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ReportStore(redis, replace(settings, max_reports=1, max_report_bytes=400))
    monkeypatch.setattr(_reports, "SECONDS", -1)
    store.keep(verdict(0), "k", "real", "", b"x" * 300)
    monkeypatch.setattr(_reports, "SECONDS", SECONDS)
    assert store.list() == []
    store.keep(verdict(1), "k", "real", "", b"x" * 300)
    assert len(store.list()) == 1


def test_a_flood_over_http_is_bounded(
    settings: ServerSettings, consumer: Consumer, new_key: Callable[..., str]
) -> None:
    with changed(settings, max_reports_per_key=2) as client:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new_key()}"
        statuses = []
        for n in range(4):
            answer = client.post(
                "/v1/uploads?wait=10", data=IMAGE + bytes([n]), content_type="image/png"
            )
            statuses.append(send(client, check=answer.json["id"]).status_code)
    assert statuses == [201, 201, 429, 429]


def test_a_confirmed_report_marks_later_verdicts_and_they_are_signed_so(
    client: FlaskClient, check: dict[str, Any], store: ReportStore, settings: ServerSettings
) -> None:
    id = send(client, check=check["id"]).json["id"]
    assert store.marks() == {}
    assert store.confirm(id).confirmed_at is not None
    with changed(settings) as other:  # another process, with no memory of the marks
        other.environ_base = client.environ_base
        again = other.post("/v1/checks", json={"sha256": hashlib.sha256(IMAGE).hexdigest()})
    reason = again.json["verdict"]["reasons"][0]
    assert reason["code"] == "disputed" and reason["params"] == {"label": "real"}
    assert "operator" in reason["text"]
    assert again.json["verdict"]["label"] == check["verdict"]["label"]
    Keys.read(client.get("/.well-known/jwks.json").data).verify(
        again.json["verdict"], again.json["signature"]
    )


def test_the_mark_outlives_the_report_and_goes_when_it_is_told_to(
    store: ReportStore, redis: Redis, settings: ServerSettings
) -> None:
    one = verdict(1)
    id = store.keep(one, "k", "real", "", None)
    store.confirm(id)
    redis.delete(f"aidetect:report:{id}")  # as after ninety days
    assert store.mark(one).reasons[0].code == "disputed"
    store.delete(one.image.sha256)
    assert ReportStore(redis, settings).mark(one) is one
    with pytest.raises(ConfigurationError, match="reports list"):
        store.delete(one.image.sha256)


def test_deleting_a_report_leaves_nothing_of_it(store: ReportStore, redis: Redis) -> None:
    other = store.keep(verdict(2), "k", "real", "", None)
    before = sorted(redis.keys())
    id = store.keep(verdict(1), "k", "real", "note", b"image")
    store.confirm(id)
    store.delete(id)
    assert sorted(redis.keys()) == before and [report.id for report in store.list()] == [other]


def test_deleting_one_report_leaves_the_mark_of_another(store: ReportStore) -> None:
    one = verdict(1)
    confirmed = store.keep(one, "a", "real", "", None)
    other = store.keep(one, "b", "ai", "", None)
    store.confirm(confirmed)
    store.delete(other)
    assert store.marks() == {one.image.sha256: "real"}


def test_marks_are_read_anew_soon_and_not_for_each_verdict(
    store: ReportStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = verdict(1)
    read: list[int] = []
    monkeypatch.setattr(ReportStore, "marks", lambda self: read.append(1) or {})
    for _ in range(100):
        assert store.mark(one) is one
    assert len(read) == 1
    monkeypatch.setattr(_reports, "MARKS_SECONDS", 0.0)
    store.mark(one)
    assert len(read) == 2


def test_reporters_words_are_kept_as_they_are(
    client: FlaskClient, check: dict[str, Any], store: ReportStore
) -> None:
    assert send(client, check=check["id"], note=NASTY).status_code == 201
    assert store.list()[0].note == NASTY
