"""All real parts together: Redis, workers, gunicorn, an origin; the real model and the stub."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from redis import Redis

from aidetect import Detector, Verdict
from aidetect._jws import Keys
from aidetect._protocol import CheckRequest
from aidetect_worker._broker import Broker

from ..sdk.origin import Origin
from ..worker.workers import PATIENCE
from .gunicorn_server import GunicornServer, bearer


def test_a_photograph_is_judged_as_the_detector_judges_it(
    serve: Callable[..., GunicornServer],
    key: str,
    run_worker: Callable[[str], None],
    photograph: Path,
) -> None:
    run_worker("aidetect_worker.BatchWorker")
    server = serve()
    assert requests.get(server.url + "/readyz", timeout=PATIENCE).json()["ready"]
    data = photograph.read_bytes()
    check = _post(server, key, "/v1/uploads?wait=20", data=data, type="image/jpeg")
    verdict, expected = Verdict.from_dict(check["verdict"]), Detector().check(photograph)
    assert verdict.label == expected.label
    assert verdict.probability == pytest.approx(expected.probability, abs=0.005)
    assert verdict.image.sha256 == hashlib.sha256(data).hexdigest()
    picture = requests.get(server.url + check["heatmap"], headers=bearer(key), timeout=PATIENCE)
    assert picture.ok and picture.content.startswith(b"\x89PNG")
    jwks = requests.get(server.url + "/.well-known/jwks.json", timeout=PATIENCE).content
    assert Keys.read(jwks).claims(check["signature"])["image"]["sha256"] == verdict.image.sha256
    with Origin() as origin:
        url = origin.serve("/photo.jpg", data, headers={"Content-Type": "image/jpeg"})
        fetched = _post(server, key, "/v1/checks?wait=20", data=json.dumps({"url": url}))
    assert fetched["verdict"]["probability"] == check["verdict"]["probability"]
    assert fetched["verdict"]["source"] == url


def test_a_waiter_is_woken_with_the_answer_itself(
    run_worker: Callable[[str], None], broker: Broker, redis: Redis
) -> None:
    """So that waiting takes one round trip; what other workers wrote takes a second one."""
    run_worker("fleet.FleetWorker")
    stored = broker.store_upload(b"an image", hashlib.sha256(b"an image").hexdigest())
    wanted = CheckRequest.for_upload(hashlib.sha256(b"an image").hexdigest(), broker.fleet, stored)
    job = broker.submit(wanted, "somebody")
    found = broker.wait(job, 60, submitted=True)
    assert found.state == "done" and found == broker.state(job)
    [(_, result)] = redis.xrange(f"rq:results:{job}")
    assert result[b"answer"] == redis.get(f"aidetect:answer:{job}")
    redis.xtrim(f"rq:results:{job}", maxlen=0)
    redis.xadd(f"rq:results:{job}", {"type": 1})
    assert broker.wait(job, 60, submitted=True) == found


def test_checks_by_url_end_with_verdicts_and_problems(
    serve: Callable[..., GunicornServer], key: str, run_worker: Callable[[str], None]
) -> None:
    run_worker("fleet.FleetWorker")
    server = serve()
    with Origin() as origin:
        good = origin.serve("/good.png", b"an image")
        urls = [
            good,
            origin.serve("/page.html", b"<html>", headers={"Content-Type": "text/html"}),
            origin.serve("/broken.png", b"corrupt"),
            origin.url("/missing.png"),
        ]
        batch = requests.post(
            server.url + "/v1/checks/batch", json={"urls": urls}, headers=bearer(key), timeout=PATIENCE
        ).json()["checks"]
        ended = [_read(server, each["id"], key) for each in batch]
        assert [each["state"] for each in ended] == ["done", "failed", "failed", "failed"]
        codes = [each["problem"]["code"] for each in ended[1:]]
        assert codes == ["not_an_image", "corrupt_image", "http_4xx"]
        assert ended[3]["problem"]["upstream_status"] == 404
        known = requests.post(
            server.url + "/v1/checks", json={"url": urls[3]}, headers=bearer(key), timeout=PATIENCE
        )
        assert known.status_code == 200 and known.json()["problem"]["code"] == "http_4xx"


def _post(
    server: GunicornServer, key: str, path: str, *, data: Any, type: str = "application/json"
) -> dict[str, Any]:
    """The check that this begins, once it is finished."""
    headers = bearer(key, **{"Content-Type": type})
    answer = requests.post(server.url + path, data=data, headers=headers, timeout=PATIENCE)
    assert answer.status_code in (200, 202), answer.text
    return _read(server, answer.json()["id"], key)


def _read(server: GunicornServer, id: str, key: str) -> dict[str, Any]:
    """The check once it is finished."""
    for _ in range(6):
        address = f"{server.url}/v1/checks/{id}?wait=20"
        check = requests.get(address, headers=bearer(key), timeout=PATIENCE).json()
        if check["state"] in ("done", "failed"):
            return check
    raise AssertionError(f"not finished: {check}")
