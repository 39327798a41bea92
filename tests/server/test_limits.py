"""How often a key and an address may ask, what they are told, and that nobody pays for a neighbour."""

import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from werkzeug.test import TestResponse

from aidetect import ConfigurationError
from aidetect_server._keys import KeyStore
from aidetect_server._rates import Rate, Rates
from aidetect_server._settings import ServerSettings

from ..worker.workers import PATIENCE
from .changed import changed
from .conftest import SECRET
from .gunicorn_server import GunicornServer


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("600/10 seconds", Rate(600, 10)),
        ("600/10seconds", Rate(600, 10)),
        ("5000/minute", Rate(5000, 60)),
        ("20 per 2 hours", Rate(20, 7200)),
        ("1/day", Rate(1, 86400)),
    ],
)
def test_rates_are_read_as_people_write_them(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate and Rate.parse(str(rate)) == rate


@pytest.mark.parametrize(
    "text", ["", "fast", "0/second", "-1/second", "1.5/second", "1/month", "1/2 days", "9" * 99]
)
def test_a_rate_that_cannot_be_names_its_variable(text: str) -> None:
    with pytest.raises(ValueError, match="give a rate"):
        Rate.parse(text)
    if text:
        with pytest.raises(ConfigurationError, match="AIDETECT_KEY_LIMIT"):
            ServerSettings.from_environment({"AIDETECT_KEY_LIMIT": text})


@given(st.text(max_size=40))
def test_any_text_is_a_rate_or_a_value_error(text: str) -> None:
    try:
        rate = Rate.parse(text)
    except ValueError:
        return
    assert rate.amount > 0 and 0 < rate.seconds <= 86400


def test_a_window_lets_its_amount_pass_and_then_the_next_begins(redis: Redis) -> None:
    now = 1_000_000.25
    rates = Rates(redis, clock=lambda: now)
    rate = Rate(3, 10)
    used = [rates.spend("key", "a", rate) for _ in range(5)]
    assert [each.left for each in used] == [2, 1, 0, -1, -2]
    assert [each.exceeded for each in used] == [False, False, False, True, True]
    assert not rates.spend("key", "b", rate).exceeded  # another's window
    assert not rates.spend("address", "a", rate).exceeded  # another policy
    wait = used[0].seconds
    assert 1 <= wait <= 10 and {each.seconds for each in used} == {wait}
    now += wait - 1
    assert rates.spend("key", "a", rate).exceeded
    now += 1
    assert rates.spend("key", "a", rate).left == 2


def test_windows_of_different_keys_begin_at_different_times(redis: Redis) -> None:
    rates = Rates(redis, clock=lambda: 1_000_000.0)
    assert len({rates.spend("key", f"key {n}", Rate(9, 60)).seconds for n in range(40)}) > 10


def test_counts_end_by_themselves(redis: Redis) -> None:
    Rates(redis).spend("key", "a", Rate(3, 10))
    (name,) = redis.keys("aidetect:rate:*")
    assert 0 < redis.ttl(name) <= 10


@pytest.fixture
def limited(settings: ServerSettings) -> Iterator[Callable[..., FlaskClient]]:
    """Clients, without a key, of applications with other limits."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(changed(settings, **changes))


def refused(answer: TestResponse) -> bool:
    """Whether it is a whole 429, and not another answer."""
    if answer.status_code != 429:
        return False
    assert answer.content_type == "application/problem+json"
    assert answer.json["code"] == "rate_limited" and answer.json["status"] == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 86400
    assert re.fullmatch(r'"\w+";r=0;t=\d+', answer.headers["RateLimit"])
    return True


def test_a_key_over_its_rate_is_told_how_long_to_wait(
    limited: Callable[..., FlaskClient], new_key: Callable[..., str]
) -> None:
    client = limited(key_limit="3/3600 seconds")
    mine, other = ({"Authorization": f"Bearer {new_key()}"} for _ in range(2))
    answers = [client.get("/v1/server", headers=mine) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [re.search(r"r=(\d+)", answer.headers["RateLimit"])[1] for answer in answers] == list("21000")
    assert answers[0].headers["RateLimit-Policy"] == '"key";q=3;w=3600'
    assert all(refused(answer) for answer in answers[3:])
    assert client.get("/v1/server", headers=other).status_code == 200


def test_a_key_may_have_a_rate_of_its_own(limited: Callable[..., FlaskClient], redis: Redis) -> None:
    client = limited(key_limit="1/3600 seconds")
    text = KeyStore(redis, SECRET).create("bulk", limit="5/hour")[1]
    headers = {"Authorization": f"Bearer {text}"}
    assert [client.get("/v1/server", headers=headers).status_code for _ in range(6)] == [200] * 5 + [429]


def test_a_batch_pays_for_each_of_its_urls(
    limited: Callable[..., FlaskClient], new_key: Callable[..., str]
) -> None:
    client = limited(key_limit="50/3600 seconds")
    headers = {"Authorization": f"Bearer {new_key()}"}
    urls = [f"https://example.org/{n}.jpg" for n in range(30)]
    first = client.post("/v1/checks/batch", json={"urls": urls}, headers=headers)
    assert first.status_code == 202 and "r=20;" in first.headers["RateLimit"]
    assert refused(client.post("/v1/checks/batch", json={"urls": urls}, headers=headers))


def test_without_a_key_the_address_pays(
    limited: Callable[..., FlaskClient], new_key: Callable[..., str]
) -> None:
    client = limited(address_limit="3/3600 seconds")
    here, there = {"REMOTE_ADDR": "203.0.113.1"}, {"REMOTE_ADDR": "203.0.113.2"}
    answers = [client.get("/openapi.json", environ_base=here) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429] and refused(answers[3])
    assert refused(client.get("/v1/server", environ_base=here))
    assert client.get("/openapi.json", environ_base=there).status_code == 200
    # Neither a neighbour with a key nor a health check is starved.
    headers = {"Authorization": f"Bearer {new_key()}"}
    assert client.get("/v1/server", environ_base=here, headers=headers).status_code == 200
    assert client.get("/healthz", environ_base=here).status_code == 200
    assert client.options("/v1/checks", environ_base=here).status_code == 200


def test_guesses_at_keys_are_counted_for_the_address_alone(
    limited: Callable[..., FlaskClient], new_key: Callable[..., str]
) -> None:
    client = limited(failure_limit="3/3600 seconds")
    good = {"Authorization": f"Bearer {new_key()}"}
    for path in ("/v1/server", "/openapi.json", "/v1/nothing", "/v1/server"):
        wrong = {"Authorization": f"Bearer {'0' * 12}.{'A' * 43}"}
        answer = client.get(path, headers=wrong)
        assert answer.status_code == 401 or refused(answer)
    assert refused(client.get("/v1/server", headers=wrong))
    assert client.get("/v1/server", headers=good).status_code == 200


def test_no_header_buys_another_address(limited: Callable[..., FlaskClient]) -> None:
    client = limited(address_limit="3/3600 seconds", proxy_hops=0)
    names = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP")
    answers = [
        client.get("/openapi.json", headers={name: f"198.51.100.{n}" for name in names})
        for n in range(5)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]


def test_behind_a_proxy_its_own_entry_counts(limited: Callable[..., FlaskClient]) -> None:
    client = limited(address_limit="3/3600 seconds", proxy_hops=1)

    def ask(forged: str, real: str) -> int:
        return client.get("/openapi.json", headers={"X-Forwarded-For": f"{forged}, {real}"}).status_code

    assert [ask(f'198.51.100.{n}, "', "203.0.113.5") for n in range(5)] == [200, 200, 200, 429, 429]
    assert ask("203.0.113.5", "203.0.113.6") == 200


@pytest.mark.slow
def test_a_burst_is_refused_and_starves_nobody(
    serve: Callable[..., GunicornServer], new_key: Callable[..., str]
) -> None:
    """1,000 requests of one key over two processes, in the middle of which another key asks quietly."""
    server = serve(processes=2, threads=16, key_limit="200/1 day")
    greedy, quiet = ({"Authorization": f"Bearer {new_key()}"} for _ in range(2))
    statuses: list[int] = []
    answers: list[requests.Response] = []

    def burst() -> None:
        with requests.Session() as session:
            for _ in range(125):
                statuses.append(
                    session.get(server.url + "/v1/server", headers=greedy, timeout=PATIENCE).status_code
                )

    threads = [threading.Thread(target=burst) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        answers.append(requests.get(server.url + "/v1/server", headers=quiet, timeout=PATIENCE))
        threads[0].join(0.05)
    for thread in threads:
        thread.join()
    assert Counter(statuses) == {200: 200, 429: 800}
    assert answers and {answer.status_code for answer in answers[:200]} == {200}
    assert math.ceil(max(answer.elapsed.total_seconds() for answer in answers)) <= 10


def test_redis_away_is_503_and_lets_nobody_in(limited: Callable[..., FlaskClient]) -> None:
    gone = limited(redis_url="unix:///nowhere/redis.sock")
    for headers in ({}, {"Authorization": f"Bearer {'0' * 12}.{'A' * 43}"}):
        answer = gone.get("/v1/server", headers=headers)
        assert answer.status_code == 503 and "Retry-After" in answer.headers
