"""Keys: made, stored, found, revoked; and what a request without the right one gets."""

import hashlib
import json
import statistics
import string
import time
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from aidetect import ConfigurationError
from aidetect_server._keys import SCOPES, KeyStore

from .conftest import SECRET


@pytest.fixture
def store(redis: Redis) -> KeyStore:
    return KeyStore(redis, SECRET)


def test_a_key_is_found_by_its_text_alone(store: KeyStore) -> None:
    info, text = store.create("laptop")
    assert store.find(f"Bearer {text}") == info
    assert info.scopes == ("check", "report") and info.name == "laptop" and info.limit is None
    assert text.startswith(info.id + ".") and len(text) == 12 + 1 + 43


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_the_scheme_has_no_case(store: KeyStore, scheme: str) -> None:
    assert store.find(scheme + store.create("a")[1]) is not None


def test_nothing_of_the_secret_is_stored(store: KeyStore, redis: Redis) -> None:
    _, text = store.create("a")
    secret = text.split(".")[1]
    stored = b" ".join(redis.hvals("aidetect:keys")).decode()
    assert len(redis.keys()) == 1
    for form in (
        secret,
        hashlib.sha256(secret.encode()).hexdigest(),
        hashlib.sha256(text.encode()).hexdigest(),
    ):
        assert form not in stored


def test_secrets_have_256_bits_and_do_not_repeat(store: KeyStore) -> None:
    made = [store.create("a")[1].split(".") for _ in range(200)]
    assert len({id for id, _ in made}) == len({secret for _, secret in made}) == 200
    assert all(len(secret) * 6 >= 256 for _, secret in made)


def test_another_server_secret_finds_no_key(store: KeyStore, redis: Redis) -> None:
    _, text = store.create("a")
    assert KeyStore(redis, SECRET + "!").find(f"Bearer {text}") is None
    with pytest.raises(ConfigurationError, match="AIDETECT_SECRET"):
        KeyStore(redis, "")


def test_two_keys_do_not_lend_each_other_their_secrets(store: KeyStore) -> None:
    (_, one), (_, two) = store.create("a"), store.create("b")
    mixed = one.split(".")[0] + "." + two.split(".")[1]
    assert store.find(f"Bearer {mixed}") is None


def test_a_record_moved_to_another_id_opens_nothing(store: KeyStore, redis: Redis) -> None:
    """Who can write to Redis for a moment, but lacks the pepper, makes no key out of another's."""
    info, text = store.create("a")
    record = redis.hget("aidetect:keys", info.id)
    redis.hset("aidetect:keys", "0" * 12, record)
    assert store.find(f"Bearer {'0' * 12}.{text.split('.')[1]}") is None


def test_revocation_counts_at_once(
    store: KeyStore, client: FlaskClient, app: Flask, redis: Redis
) -> None:
    assert client.get("/v1/server").status_code == 200
    (info,) = store.list()
    KeyStore(redis, SECRET).revoke(info.id)  # as another process would
    answer = client.get("/v1/server")
    assert answer.status_code == 401 and answer.json["code"] == "key_invalid"
    with pytest.raises(ConfigurationError, match="keys list"):
        store.revoke(info.id)


def test_a_key_that_was_seen_before_is_opened_by_its_own_secret_alone(
    client: FlaskClient, store: KeyStore, key: str, redis: Redis
) -> None:
    """The process remembers it, to ask Redis once for the key and for its rate."""
    id, secret = key.split(".")
    assert [client.get("/v1/server").status_code for _ in range(2)] == [200, 200]
    for wrong in (secret[::-1], "A" * 43, secret[:-1] + ("A" if secret[-1] != "A" else "B")):
        asked = client.get("/v1/server", headers={"Authorization": f"Bearer {id}.{wrong}"})
        assert asked.status_code == 401
    left = client.get("/v1/server").headers["RateLimit"].split("r=")[1].split(";")[0]
    assert int(left) == 1000000 - 3, "a wrong secret is not counted for the key that it names"
    record = json.loads(redis.hget("aidetect:keys", id))
    redis.hset("aidetect:keys", id, json.dumps({**record, "scopes": ["metrics"]}))
    assert client.get("/v1/checks/x").status_code == 403, "what changed counts at once"
    record["mac"] = "0" * 64
    redis.hset("aidetect:keys", id, json.dumps(record))
    assert client.get("/v1/server").status_code == 401


def test_the_list_shows_all_but_secrets(store: KeyStore) -> None:
    made = [store.create(name, scopes)[0] for name, scopes in (("a", ["metrics"]), ("b", SCOPES))]
    assert sorted(store.list(), key=lambda key: key.name) == made
    assert made[1].scopes == SCOPES


@pytest.mark.parametrize(
    ("name", "scopes", "limit"),
    [("", ["check"], None), ("n" * 101, ["check"], None), ("a", [], None), ("a", ["admin"], None)]
    + [("a", ["check"], limit) for limit in ("0/minute", "fast", "-1/second", "5/year")],
)
def test_a_key_that_makes_no_sense_is_not_made(
    store: KeyStore, name: str, scopes: list[str], limit: str | None
) -> None:
    with pytest.raises(ConfigurationError):
        store.create(name, scopes, limit)
    assert store.list() == []


def test_a_wrong_secret_takes_no_other_time_than_an_unknown_id(store: KeyStore) -> None:
    """Medians of alternating calls."""
    info, _ = store.create("a")
    texts = {"known": f"Bearer {info.id}.{'A' * 43}", "unknown": f"Bearer {'0' * 12}.{'A' * 43}"}
    times: dict[str, list[float]] = {name: [] for name in texts}
    for _ in range(300):
        for name, text in texts.items():
            started = time.perf_counter()
            assert store.find(text) is None
            times[name].append(time.perf_counter() - started)
    known, unknown = (statistics.median(times[name]) for name in ("known", "unknown"))
    assert 0.5 < known / unknown < 2


KEYLIKE = st.text(alphabet=string.ascii_letters + string.digits + "-_. ", max_size=80)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.one_of(st.text(max_size=200), KEYLIKE.map("Bearer ".__add__)))
def test_no_other_text_is_a_key(store: KeyStore, text: str) -> None:
    store.create("a")
    assert store.find(text) is None


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text + "=",
        lambda text: text + "A",
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: "\N{NO-BREAK SPACE}" + text,
        lambda text: text + " ",
        lambda text: text.replace(".", ".\u200b"),
        lambda text: text.replace(".", "\N{FULLWIDTH FULL STOP}"),
        lambda text: text + "," + text,
        lambda text: f'"{text}"',
    ],
    ids=range(11),
)
def test_a_text_near_a_key_is_none(store: KeyStore, change: Callable[[str], str]) -> None:
    _, text = store.create("a")
    assert store.find("Bearer " + change(text)) is None
    assert store.find(change("Bearer " + text)) is None


PUBLIC = ["/", "/healthz", "/openapi.json", "/docs", "/.well-known/jwks.json"]
PRIVATE = ["/v1/server", "/metrics", "/v1/checks/" + "0" * 32, "/v1/checks/" + "0" * 32 + "/heatmap.png"]


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "203.0.113.9"])
def test_no_key_no_answer_from_any_address(app: Flask, path: str, address: str) -> None:
    answer = app.test_client().get(path, environ_base={"REMOTE_ADDR": address})
    assert answer.status_code == 401 and answer.json["code"] == "key_missing"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "aidetect keys create" in answer.json["detail"]


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Basic dXNlcjpwYXNz", "Bearer x.y", "Bearer " + "A" * 8000, "Bearer ￿"]
)
@pytest.mark.parametrize("path", [*PRIVATE, *PUBLIC[2:]])
def test_a_wrong_key_is_refused_everywhere(app: Flask, path: str, header: str) -> None:
    value = header.encode().decode("latin-1")
    answer = app.test_client().get(path, environ_base={"HTTP_AUTHORIZATION": value})
    assert answer.status_code == 401 and answer.json["code"] == "key_invalid"
    assert "A" * 20 not in answer.text


@pytest.mark.parametrize("path", PUBLIC)
def test_what_is_public_needs_none(app: Flask, path: str) -> None:
    with app.test_client().get(path) as answer:
        assert answer.status_code == 200


def test_every_other_route_needs_one(app: Flask) -> None:
    """All there are, so that a new view cannot forget its key."""
    client = app.test_client()
    known = {*PUBLIC, "/readyz", "/v1/pairings"}
    for rule in app.url_map.iter_rules():
        if rule.rule in known or rule.rule.startswith("/static"):
            continue
        path = rule.rule.replace("<id>", "0" * 32)
        for method in rule.methods - {"OPTIONS", "HEAD"}:
            answer = client.open(path, method=method, json={} if method == "POST" else None)
            assert answer.status_code == 401, (method, path)


@pytest.mark.parametrize(
    ("scope", "path", "status"),
    [
        ("metrics", "/metrics", 200),
        ("check", "/metrics", 403),
        ("report", "/metrics", 403),
        ("metrics", "/v1/checks/" + "0" * 32, 403),
        ("report", "/v1/checks/" + "0" * 32, 403),
        ("check", "/v1/checks/" + "0" * 32, 404),
        ("metrics", "/v1/server", 200),
    ],
)
def test_a_key_opens_what_its_scopes_name(
    app: Flask, new_key: Callable[..., str], scope: str, path: str, status: int
) -> None:
    answer = app.test_client().get(path, headers={"Authorization": f"Bearer {new_key(scope)}"})
    assert answer.status_code == status
    if status == 403:
        assert answer.json["code"] == "scope_missing" and "insufficient_scope" in str(answer.headers)


def test_a_key_in_the_query_or_a_cookie_is_none(app: Flask, key: str) -> None:
    client = app.test_client()
    client.set_cookie("key", key)
    for path in (f"/v1/server?key={key}", f"/v1/server?access_token={key}", f"/v1/server#{key}"):
        assert client.get(path).status_code == 401


def test_names_are_kept_as_they_are_and_json_stays_json(store: KeyStore, redis: Redis) -> None:
    name = '"},\x1b[2J\u202e{"a":"'
    info, text = store.create(name)
    found = store.find(f"Bearer {text}")
    assert found is not None and found.name == name
    assert json.loads(redis.hget("aidetect:keys", info.id))["name"] == name  # type: ignore[arg-type]
