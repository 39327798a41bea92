"""Health, readiness, what the server says of itself, metrics."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from aidetect import ConfigurationError, ModelError, __version__
from aidetect_server import create_app
from aidetect_server._settings import ServerSettings
from aidetect_worker._broker import Broker

from ..worker.workers import PATIENCE
from .consumer import Consumer, beat
from .gunicorn_server import GunicornServer, bearer


def test_health_needs_neither_key_nor_redis(settings: ServerSettings) -> None:
    away = create_app(replace(settings, redis_url="unix:///nonexistent/redis.sock"))
    answer = away.test_client().get("/healthz")
    assert answer.status_code == 200 and answer.json == {"status": "ok"}


def test_not_ready_without_a_worker(app: Flask) -> None:
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert (
        answer.json["redis"] and not answer.json["ready"] and "aidetect worker" in answer.json["detail"]
    )


def test_ready_with_a_worker_of_the_fleets_model(app: Flask, broker: Broker) -> None:
    beat(broker, broker.fleet)
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {"ready": True, "redis": True, "workers": 1, "detail": ""}


def test_a_worker_with_another_model_is_named(app: Flask, broker: Broker) -> None:
    beat(broker, "f" * 16, "other\u202e")
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 503 and answer.json["workers"] == 0
    assert "f" * 16 in answer.json["detail"] and "AIDETECT_MODEL" in answer.json["detail"]
    beat(broker, broker.fleet, "good")
    both = app.test_client().get("/readyz")
    assert both.status_code == 200 and both.json["workers"] == 1 and "f" * 16 in both.json["detail"]


def test_a_dead_worker_does_not_count(app: Flask, broker: Broker, redis: Redis) -> None:
    beat(broker, broker.fleet, "dead")
    redis.delete("aidetect:worker:dead")
    assert app.test_client().get("/readyz").status_code == 503


def test_not_ready_without_redis(settings: ServerSettings) -> None:
    away = create_app(replace(settings, redis_url="unix:///nonexistent/redis.sock"))
    answer = away.test_client().get("/readyz")
    assert answer.status_code == 503 and not answer.json["redis"]
    assert "AIDETECT_REDIS_URL" in answer.json["detail"]


def test_the_server_says_what_it_is(
    client: FlaskClient, new_key: Callable[..., str], app: Flask
) -> None:
    answer = client.get("/v1/server").json
    assert answer["name"] == "aidetect" and answer["version"] == __version__
    assert set(answer["scopes"]) == {"check", "report", "metrics"}
    assert answer["limits"]["max_bytes"] == 20_000_000 and answer["limits"]["max_wait"] == 20
    assert len(answer["model"]["sha256"]) == 64
    other = app.test_client()
    other.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new_key('metrics')}"
    assert other.get("/v1/server").json["scopes"] == ["metrics"]
    assert other.post("/v1/checks", json={"url": "https://example.org"}).status_code == 403


def test_metrics_count_by_route(client: FlaskClient, consumer: Consumer) -> None:
    check = client.post("/v1/checks?wait=10", json={"url": "https://example.org/cat.jpg"}).json
    client.get(f"/v1/checks/{check['id']}")
    client.get("/nothing/here")
    text = client.get("/metrics").text
    assert 'aidetect_requests_total{method="GET",route="/v1/checks/<id>",status="200"}' in text
    assert 'route="none",status="404"' in text
    assert "aidetect_queue_length 0.0" in text and "aidetect_live_workers 1.0" in text
    assert check["id"] not in text and "example.org" not in text


def test_metrics_need_their_scope(app: Flask, new_key: Callable[..., str]) -> None:
    bare = app.test_client()
    assert bare.get("/metrics").status_code == 401
    bare.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new_key('check')}"
    assert bare.get("/metrics").status_code == 403


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_server_without_a_secret_does_not_start(settings: ServerSettings, secret: str) -> None:
    with pytest.raises(ConfigurationError, match="AIDETECT_SECRET"):
        create_app(ServerSettings.from_environment({"AIDETECT_SECRET": secret}))


def test_a_server_with_an_unknown_model_does_not_start(settings: ServerSettings) -> None:
    with pytest.raises(ModelError):
        create_app(replace(settings, model="no-such-model"))


def test_several_processes_tell_of_themselves_together(
    serve: Callable[..., GunicornServer], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    server = serve(processes=2)
    asked = 0
    deadline = time.monotonic() + 120
    while len({path.stem.rpartition("_")[2] for path in folder.glob("counter_*.db")}) < 2:
        assert time.monotonic() < deadline, "one of the two processes is never asked"
        with ThreadPoolExecutor(8) as pool:  # each on a connection of its own
            answers = pool.map(
                lambda _: requests.get(f"{server.url}/v1/server", headers=bearer(key), timeout=PATIENCE),
                range(16),
            )
            asked += sum(answer.status_code == 200 for answer in answers)
    for _ in range(4):  # whichever process answers
        text = requests.get(f"{server.url}/metrics", headers=bearer(key), timeout=PATIENCE).text
        assert f'{{method="GET",route="/v1/server",status="200"}} {asked}.0' in text
        assert f'aidetect_request_seconds_count{{route="/v1/server"}} {asked}.0' in text
        assert text.count("\naidetect_queue_length 0.0\n") == 1
