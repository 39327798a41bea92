"""The worker as it is started: `aidetect worker` and `rq worker`, with the shipped model."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from redis import Redis

from aidetect import __version__
from aidetect_worker import Broker
from aidetect_worker._settings import QueueSettings

from ..sdk.origin import Origin, closed_port
from .conftest import SECRET
from .redis_server import RedisServer
from .workers import PATIENCE, until

AIDETECT = [sys.executable, "-m", "aidetect", "worker"]
RQ = [sys.executable, "-m", "rq.cli"]


def environment(url: str) -> dict[str, str]:
    return {**os.environ, "AIDETECT_REDIS_URL": url, "AIDETECT_SECRET": SECRET,
            "RQ_REDIS_URL": url, "AIDETECT_ALLOW_PRIVATE": "1", "OMP_NUM_THREADS": "1"}  # fmt: skip


@pytest.mark.parametrize("command", [[*AIDETECT, "--log-format", "json"], [*RQ, "worker", "checks"]])
def test_checks_a_url_with_the_shipped_model(
    redis: Redis, shared_server: RedisServer, photograph: Path, root: Path, command: list[str]
) -> None:
    url, port = shared_server.url, closed_port()
    rq = command[:3] == RQ
    variables = {**environment(url), "AIDETECT_METRICS_PORT": str(port)}
    if rq:
        variables["RQ_WORKER_CLASS"] = "aidetect_worker.BatchWorker"
    broker = Broker(QueueSettings(redis_url=url, secret=SECRET))
    process = subprocess.Popen(
        command, env=variables, stderr=subprocess.PIPE, text=True, stdout=subprocess.PIPE
    )
    try:
        until(broker.workers)
        with Origin() as origin:
            image = origin.serve("/photo.jpg", photograph.read_bytes())
            verdict = broker.check(image).verdict
            assert broker.check(image).verdict is not None
            line = re.search(r"from aidetect_worker import Broker.*", (root / "README.md").read_text())
            assert line is not None
            code = line[0].replace("https://…/photo.jpg", image)
            asked = subprocess.run(
                [sys.executable, "-c", code], env=variables, capture_output=True, text=True
            )
            assert asked.stdout.startswith(f"{image}: "), asked.stderr
        assert verdict is not None and not verdict.cached
        assert verdict.model.name == "default" and verdict.image.width == 640
        [info] = broker.workers()
        assert info.version == __version__ and info.fingerprint == broker.fleet
        listed = subprocess.run(
            [*RQ, "info", "-u", url], env=environment(url), capture_output=True, text=True
        )
        assert info.name in listed.stdout and "1 workers" in listed.stdout, listed.stderr
        metrics = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
        assert 'aidetect_worker_jobs_total{outcome="verdict"} 1.0' in metrics
        assert "aidetect_worker_batch_images_count 1.0" in metrics
        process.send_signal(signal.SIGTERM)
        written = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 0, written
        if not rq:
            assert all(json.loads(line)["level"] for line in written.splitlines())
        until(lambda: not broker.workers())
    finally:
        process.kill()
        process.communicate()
        broker.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-batch", "many"], "AIDETECT_MAX_BATCH"),
        (["--device", "tpu"], "device"),
        (["--redis", "nonsense"], "redis://"),
        (["--redis", f"redis://127.0.0.1:{closed_port()}"], "AIDETECT_REDIS_URL"),
    ],
)
def test_says_what_is_wrong(
    redis: Redis, shared_server: RedisServer, options: list[str], said: str
) -> None:
    done = subprocess.run(
        [*AIDETECT, *options], env=environment(shared_server.url), capture_output=True, text=True
    )
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
