"""Pairing: one code, one key, few tries, little time; and no web page that tries."""

import re
import threading

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from aidetect_server._keys import KeyStore
from aidetect_server._pairing import MAX_WAITING, SECONDS, TRIES, Pairings
from aidetect_server._settings import ServerSettings

from .changed import changed
from .conftest import SECRET


@pytest.fixture
def pairings(redis: Redis) -> Pairings:
    return Pairings(redis, SECRET)


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    """Asks without a key."""
    return app.test_client()


def pair(client: FlaskClient, code: object, **headers: str) -> TestResponse:
    return client.post("/v1/pairings", json={"code": code}, headers=headers)


def wrong(*codes: str) -> str:
    """A code that is none of these."""
    return next(code for n in range(10) if (code := f"{n:06d}") not in codes)


def test_a_code_buys_one_key_that_works(stranger: FlaskClient, pairings: Pairings, redis: Redis) -> None:
    code = pairings.create("my browser")
    assert re.fullmatch("[0-9]{6}", code) and pairings.state(code) == "waiting"
    answer = pair(stranger, code)
    assert answer.status_code == 201 and set(answer.json) == {"key"}
    assert answer.headers["Cache-Control"] == "no-store"
    key = answer.json["key"]
    assert stranger.get("/v1/server", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    (info,) = KeyStore(redis, SECRET).list()
    assert info.name == "my browser" and info.scopes == ("check", "report")
    assert pairings.state(code) == "used"
    again = pair(stranger, code)
    assert again.status_code == 403 and again.json["code"] == "pairing_code_wrong"


def test_the_code_itself_is_not_stored(pairings: Pairings, redis: Redis) -> None:
    code = pairings.create()
    dumped = b" ".join(part for kept in redis.hgetall("aidetect:pairings").items() for part in kept)
    assert code.encode() not in dumped and 0 < redis.ttl("aidetect:pairings") <= SECONDS


def test_a_code_ends_after_five_tries(stranger: FlaskClient, pairings: Pairings) -> None:
    code = pairings.create()
    for _ in range(TRIES - 1):
        assert pair(stranger, wrong(code)).status_code == 403
    assert pairings.state(code) == "waiting"
    assert pair(stranger, wrong(code)).status_code == 403
    assert pairings.state(code) == "gone"
    assert pair(stranger, code).status_code == 403


def test_the_fifth_try_may_still_be_right(stranger: FlaskClient, pairings: Pairings) -> None:
    code = pairings.create()
    for _ in range(TRIES - 1):
        pair(stranger, wrong(code))
    assert pair(stranger, code).status_code == 201


def test_a_wrong_guess_costs_every_waiting_code_a_try(pairings: Pairings) -> None:
    codes = [pairings.create() for _ in range(2)]
    for _ in range(TRIES):
        assert pairings.redeem(wrong(*codes)) is None
    assert [pairings.state(code) for code in codes] == ["gone", "gone"]


def test_a_code_ends_after_two_minutes(redis: Redis) -> None:
    now = 1_000_000.0
    pairings = Pairings(redis, SECRET, clock=lambda: now)
    early, late = pairings.create(), pairings.create()
    now += SECONDS - 0.5
    assert pairings.redeem(early) is not None
    now += 1
    assert pairings.state(late) == "gone" and pairings.redeem(late) is None


def test_more_codes_than_may_wait_replace_the_oldest(redis: Redis) -> None:
    now = 1_000_000.0
    pairings = Pairings(redis, SECRET, clock=lambda: now)
    codes = []
    for _ in range(MAX_WAITING + 1):
        codes.append(pairings.create())
        now += 1
    assert [pairings.state(code) for code in codes] == ["gone"] + ["waiting"] * MAX_WAITING


def test_two_who_come_at_once_get_one_key(pairings: Pairings, redis: Redis) -> None:
    for _ in range(20):
        code = pairings.create()
        got: list[object] = []
        barrier = threading.Barrier(4)

        def redeem(code: str = code, got: list[object] = got, at: threading.Barrier = barrier) -> None:
            at.wait()
            got.append(pairings.redeem(code))

        threads = [threading.Thread(target=redeem) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(each is not None for each in got) == 1


@pytest.mark.parametrize(
    "code",
    [
        "",
        "12345",
        "1234567",
        "12345a",
        "123 456",
        "１２３４５６",
        "١٢٣٤٥٦",
        "12345\n",
        "123456\n",
        " 123456",
        "+12345",
        "12345.",
        "1e5000",
        123456,
        None,
        ["123456"],
        {"$ne": ""},
        "1" * 100_000,
    ],
    ids=range(18),
)
def test_what_is_no_code_is_refused_and_costs_no_try(
    stranger: FlaskClient, pairings: Pairings, code: object
) -> None:
    waiting = pairings.create()
    for _ in range(TRIES):
        assert pair(stranger, code).status_code == 422
    assert pair(stranger, waiting).status_code == 201


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://localhost:9999", "null", "http://127.0.0.1", "file://", ""],
)
def test_a_web_page_cannot_pair(stranger: FlaskClient, pairings: Pairings, origin: str) -> None:
    code = pairings.create()
    for _ in range(TRIES + 1):
        answer = pair(stranger, wrong(code), Origin=origin)
        assert answer.status_code == 403 and answer.json["code"] == "origin_not_allowed"
    assert pair(stranger, code, Origin=origin).json["code"] == "origin_not_allowed"
    assert pairings.state(code) == "waiting"


@pytest.mark.parametrize(
    "origin", ["chrome-extension://abc", "moz-extension://u-u-i-d", "http://localhost"]
)
def test_an_extension_and_the_servers_own_page_can(
    stranger: FlaskClient, pairings: Pairings, origin: str
) -> None:
    assert pair(stranger, pairings.create(), Origin=origin).status_code == 201


def test_a_form_of_a_page_is_no_request_to_pair(stranger: FlaskClient, pairings: Pairings) -> None:
    """What a browser sends across origins without asking first."""
    code = pairings.create()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = stranger.post("/v1/pairings", data=f'{{"code":"{code}"}}', content_type=kind)
        assert answer.status_code == 415
    assert pairings.state(code) == "waiting"


def test_another_secret_knows_no_code(pairings: Pairings, redis: Redis) -> None:
    assert Pairings(redis, SECRET + "!").redeem(pairings.create()) is None


def test_guessing_is_slowed_for_the_address(settings: ServerSettings) -> None:
    with changed(settings, failure_limit="3/3600 seconds") as client:
        assert [pair(client, "000000").status_code for _ in range(5)] == [403, 403, 403, 429, 429]
