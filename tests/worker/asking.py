"""A process that asks: `python asking.py redis-url mode …`; a test of several processes runs some."""

import json
import random
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from aidetect._protocol import CheckRequest
from aidetect_worker._broker import Broker
from aidetect_worker._settings import QueueSettings

FLEET = "0123456789abcdef"


def together(broker: Broker, url: str, askers: str) -> None:
    """Asks `askers` times at once for one URL, once the key `go` is there; prints the jobs' ids."""

    def ask(number: int) -> str:
        while not broker.redis.exists("go"):
            time.sleep(0.001)
        return broker.submit(CheckRequest.for_url(url, FLEET), f"{secrets.token_hex(8)}-{number}")

    with ThreadPoolExecutor(int(askers)) as pool:
        print(json.dumps(list(pool.map(ask, range(int(askers))))))


def endlessly(broker: Broker, _: str, __: str) -> None:
    """Submits URLs and uploads until it is killed; prints one line first."""
    print("asking", flush=True)
    while True:
        data = secrets.token_bytes(random.randrange(1, 5000))
        sha256 = secrets.token_hex(32)
        key = broker.store_upload(data, sha256)
        broker.submit(CheckRequest.for_upload(sha256, FLEET, key), "me")
        broker.submit(CheckRequest.for_url(f"http://example.org/{sha256}", FLEET), "me")


def to_and_fro(broker: Broker, url: str, rounds: str) -> None:
    """Joins and leaves `rounds` times; prints how often that cancelled the job."""
    cancelled = 0
    for number in range(int(rounds)):
        asker = f"{secrets.token_hex(4)}-{number}"
        cancelled += broker.leave(broker.submit(CheckRequest.for_url(url, FLEET), asker), asker)
    print(json.dumps(cancelled))


if __name__ == "__main__":
    redis_url, mode, *arguments = sys.argv[1:]
    settings = QueueSettings(redis_url=redis_url, secret="only for tests: " + 32 * "s", max_queue=10**6)
    {"together": together, "endlessly": endlessly, "to_and_fro": to_and_fro}[mode](
        Broker(settings, fleet=FLEET), *arguments
    )
