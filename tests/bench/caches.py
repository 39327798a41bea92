"""What asking costs Redis: memory of each thing kept, round trips, commands and bytes of each question.

Figures of memory are used_memory of a real redis-server, divided by the number of entries, so that
keys, expiry and allocation are in them. Commands are as Redis counts them, those inside scripts too.
`--full` keeps 100,000 entries of a kind instead of 10,000. The results are those of the shipped engine
for a picture made here.
"""

import argparse
import dataclasses
import io
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _figures import at_most, print_figures
from PIL import Image, ImageFilter
from redis import Redis

from aidetect._engine import Engine
from aidetect._protocol import CheckRequest, Outcome
from aidetect._provenance import claims_from_dicts
from aidetect._result import PixelResult, assemble
from aidetect_worker import _names
from aidetect_worker._broker import Broker
from aidetect_worker._cache import VerdictCache
from aidetect_worker._freshness import Remembered
from aidetect_worker._settings import QueueSettings

sys.path.insert(0, str(Path(__file__).parent.parent / "worker"))
from redis_server import RedisServer

CAMERA = claims_from_dicts(
    [{"signal": "camera", "generator": None, "details": {"make": "Canon", "model": "EOS 5D"}}]
)
MAP = 1024
"""Bytes of the heat map that memory is measured with: what a photograph's takes, or more."""


def answer_of_the_engine() -> tuple[str, PixelResult]:
    """The fingerprint and one real result, with its heat map."""
    noise = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3)).save(file, "JPEG", quality=90)
    engine = Engine(threads=1)
    return engine.fingerprint, engine.judge([engine.prepare(file.getvalue())], heat_maps=True)[0]


def another(result: PixelResult, heat_map: bytes | None) -> PixelResult:
    """The same of another image: hash and probabilities differ, so that nothing packs too well."""
    views = tuple({**view, "probability": secrets.randbelow(10_000) / 10_000} for view in result.views)
    image = dataclasses.replace(result.image, sha256=secrets.token_hex(32))
    return dataclasses.replace(result, views=views, image=image, heat_map=heat_map)


def memory(redis: Redis, entries: int, put: Callable[[Any], object]) -> float:
    """Bytes that one entry takes."""
    redis.flushall()
    before = redis.info("memory")["used_memory"]
    for _ in range(entries // 500):
        with redis.pipeline(transaction=False) as pipe:
            for _ in range(500):
                put(pipe)
            pipe.execute()
    return round((redis.info("memory")["used_memory"] - before) / (entries // 500 * 500))


def kept(redis: Redis, entries: int) -> dict[str, float]:
    """Bytes of memory of one of each."""
    cache = VerdictCache(redis, 86400)
    fleet, result = answer_of_the_engine()
    packed = _names.pack(Outcome(assemble(result, CAMERA, source="https://example.org/a.png")).to_dict())

    def remember(pipe: Any) -> None:
        etag, date = f'"{secrets.token_hex(8)}"', "Sat, 21 Nov 2026 10:00:00 GMT"
        named = Remembered(secrets.token_hex(32), etag, date, time.time(), 60.0, secrets.token_hex(32))
        cache.keep_url(pipe, secrets.token_hex(32), named, time.time())

    def result_of(size: int) -> Callable[[Any], None]:
        def put(pipe: Any) -> None:
            cache.keep_result(pipe, fleet, another(result, secrets.token_bytes(size) if size else None))

        return put

    def answer(pipe: Any) -> None:
        pipe.set(_names.answer(secrets.token_hex(16)), packed + secrets.token_bytes(8), ex=3600)

    found = {
        "result without heat map": memory(redis, entries, result_of(0)),
        "result with heat map of 1 KB": memory(redis, entries, result_of(MAP)),
        "claims": memory(
            redis, entries, lambda pipe: cache.keep_claims(pipe, secrets.token_hex(32), CAMERA)
        ),
        "URL": memory(redis, entries, remember),
        "answer": memory(redis, entries, answer),
    }
    redis.config_set("hash-max-listpack-value", 8192)
    found["result with heat map of 1 KB, listpack"] = memory(redis, entries, result_of(MAP))
    assert result.heat_map is not None
    found["size of a real heat map"] = len(result.heat_map)
    return found


def per_call(redis: Redis, times: int, work: Callable[[int], object]) -> dict[str, float]:
    """Of one call: commands and bytes both ways by the server's count, and CPU of this process."""

    def totals() -> list[int]:
        stats = redis.info("stats")
        names = "total_commands_processed", "total_net_input_bytes", "total_net_output_bytes"
        return [int(stats[name]) for name in names]

    work(-1)
    before, started = totals(), time.process_time()
    for number in range(times):
        work(number)
    seconds = time.process_time() - started
    commands, bytes_in, bytes_out = (b - a for a, b in zip(before, totals(), strict=True))
    return {
        "commands": round(commands / times, 1),
        "bytes": round((bytes_in + bytes_out) / times),
        "CPU ms": round(1000 * seconds / times, 3),
    }


def asked(broker: Broker, redis: Redis, times: int) -> dict[str, dict[str, float]]:
    """What each question costs, in one thread."""
    fleet, result = broker.fleet, answer_of_the_engine()[1]
    identity = CheckRequest.for_url("https://example.org/known.jpg", fleet).identity
    with broker.cache.pipeline() as pipe:
        broker.cache.keep_result(pipe, fleet, result)
        broker.cache.keep_claims(pipe, result.image.sha256, CAMERA)
        named = Remembered(result.image.sha256, "", "", time.time() + 3600, 3600, 64 * "0")
        broker.cache.keep_url(pipe, identity, named, time.time())
        pipe.execute()
    known = CheckRequest.for_url("https://example.org/known.jpg", fleet)
    by_hash = CheckRequest.for_upload(result.image.sha256, fleet)
    if broker.known(known) is None or broker.known(by_hash) is None:
        raise SystemExit("what was kept is not known")
    data = secrets.token_bytes(200_000)

    def url(number: int) -> CheckRequest:
        return CheckRequest.for_url(f"https://example.org/photos/{number}.jpg", fleet)

    def submit_many(number: int) -> None:
        broker.submit_many([(url(1000 * number + n), "asker") for n in range(100)])

    def store(_: int) -> None:
        broker.uploads.drop(broker.store_upload(data, result.image.sha256))

    return {
        "known URL": per_call(redis, times, lambda _: broker.known(known)),
        "known hash": per_call(redis, times, lambda _: broker.known(by_hash)),
        "unknown URL": per_call(redis, times, lambda n: broker.known(url(n))),
        "submit": per_call(redis, times, lambda n: broker.submit(url(n), "asker")),
        "join": per_call(redis, times, lambda n: broker.submit(url(0), f"asker-{n}")),
        "state of a queued check": per_call(redis, times, lambda _: broker.state(32 * "0")),
        "submit 100 together": per_call(redis, max(2, times // 100), submit_many),
        "store and drop 200 KB": per_call(redis, max(2, times // 10), store),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="100,000 entries of a kind")
    full = parser.parse_args().full
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(Path(folder)) as server,
        Redis.from_url(server.url) as redis,
    ):
        bytes_kept = kept(redis, 100_000 if full else 10_000)
        redis.flushall()
        broker = Broker(QueueSettings(redis_url=server.url, secret=64 * "s", max_queue=10**6))
        costs = asked(broker, redis, 5000 if full else 1000)
        redis.flushall()
        before = redis.info("memory")["used_memory"]
        for number in range(2000):
            broker.submit(CheckRequest.for_url(f"https://example.org/{number}", broker.fleet), "a")
        waiting = round((redis.info("memory")["used_memory"] - before) / 2000)
        broker.close()
    for name, value in [*bytes_kept.items(), ("waiting check", waiting)]:
        print(f"{name:40} {value:8.0f} bytes")
    for name, cost in costs.items():
        print(f"{name:40} {cost}")
    verdict = bytes_kept["result with heat map of 1 KB"] + bytes_kept["claims"]
    figures = {
        "bytes of a cached verdict, map of 1 KB": (verdict, 2800),
        "bytes of a waiting check": (waiting, 3000),
        "commands of a known URL": (costs["known URL"]["commands"], 3),
        "commands of a submit": (costs["submit"]["commands"], 12),
        "bytes over the wire of a submit": (costs["submit"]["bytes"], 2500),
    }
    print_figures({name: at_most(value, most) for name, (value, most) in figures.items()})


if __name__ == "__main__":
    main()
