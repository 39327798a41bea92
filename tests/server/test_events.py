"""Event streams: every change of state, then the end."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
from flask.testing import FlaskClient

from ..worker.workers import PATIENCE
from .consumer import Consumer
from .gunicorn_server import GunicornServer, bearer


def read(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The data of the events `state`."""
    for line in lines:
        if line == "event: state":
            yield json.loads(next(lines).removeprefix("data: "))


def events_of_a_check(server: GunicornServer, key: str) -> str:
    """The address of the event stream of a new check."""
    asked = {"url": "https://example.org/cat.jpg"}
    check = requests.post(server.url + "/v1/checks", json=asked, headers=bearer(key)).json()
    return f"{server.url}/v1/checks/{check['id']}/events"


def test_a_stream_tells_each_state_and_ends(
    serve: Callable[..., GunicornServer], key: str, consumer: Consumer
) -> None:
    consumer.hold.set()
    server = serve()
    address = events_of_a_check(server, key)
    with requests.get(address, headers=bearer(key), stream=True, timeout=PATIENCE) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        states = read(stream.iter_lines(decode_unicode=True))
        first = next(states)
        assert first["state"] == "queued" and first["position"] == 1
        consumer.hold.clear()
        rest = list(states)
    assert rest[-1]["state"] == "done" and rest[-1]["verdict"]["label"] == "ai"


def test_streams_are_bounded(serve: Callable[..., GunicornServer], key: str) -> None:
    server = serve(max_streams=2)
    address = events_of_a_check(server, key)
    with requests.get(address, headers=bearer(key), stream=True, timeout=PATIENCE) as one:
        next(one.iter_lines())
        refused = requests.get(address, headers=bearer(key), timeout=PATIENCE)
        assert refused.status_code == 503 and refused.json()["code"] == "too_many_streams"
        assert int(refused.headers["Retry-After"]) > 0


def test_a_stream_whose_client_left_frees_its_place(
    serve: Callable[..., GunicornServer], key: str
) -> None:
    server = serve(max_streams=2)
    address = events_of_a_check(server, key)
    with requests.get(address, headers=bearer(key), stream=True, timeout=PATIENCE) as one:
        next(one.iter_lines())
    deadline = time.monotonic() + PATIENCE  # the server notices at its next ping
    while time.monotonic() < deadline:
        with requests.get(address, headers=bearer(key), stream=True, timeout=PATIENCE) as again:
            if again.status_code == 200:
                return
        time.sleep(0.5)
    raise AssertionError("the place is still taken")


def test_another_finished_check_streams_once(client: FlaskClient, consumer: Consumer) -> None:
    check = client.post("/v1/checks?wait=10", json={"url": "https://example.org/z"}).json
    answer = client.get(f"/v1/checks/{check['id']}/events")
    assert answer.text.count("event: state") == 1
