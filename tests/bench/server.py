"""The server under gunicorn: against a bare route, against its worker, with 500 that wait, over time.

All parts share this machine's cores: Redis, origin, worker, server and the clients. Ratios are of runs
that alternate. `--full` measures longer and watches memory over 100,000 checks instead of 5,000.
"""

import argparse
import hashlib
import itertools
import json
import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [
    str(HERE),
    str(HERE.parent / "worker"),
    str(HERE.parent / "sdk"),
    str(HERE.parent / "server"),
]

from _figures import Figures, at_least, at_most, print_figures  # noqa: E402
from _server_parts import SECRET, Load, gunicorn, litserve_app, request, resident, worker  # noqa: E402
from _server_steps import print_steps  # noqa: E402
from _worker_parts import FORWARD, origin  # noqa: E402
from redis import Redis  # noqa: E402
from redis_server import RedisServer  # noqa: E402

from aidetect._fetch import Fetcher  # noqa: E402
from aidetect._protocol import CheckRequest  # noqa: E402
from aidetect_server._keys import KeyStore  # noqa: E402
from aidetect_worker._broker import Broker  # noqa: E402
from aidetect_worker._settings import QueueSettings  # noqa: E402

ORIGIN_SECONDS = 0.05
CLIENTS = 64
WARMING = 5_000
"""Checks before memory is looked at."""
JSON, PNG = "Content-Type: application/json\r\n", "Content-Type: image/png\r\n"


@dataclass
class Bench:
    """Redis, keys and the environment of the processes."""

    folder: Path
    redis: Redis
    broker: Broker
    keys: list[str]
    environ: dict[str, str]

    def key(self, client: int) -> str:
        return self.keys[client % len(self.keys)]

    @contextmanager
    def server(self) -> Iterator[tuple[int, int]]:
        with gunicorn("aidetect_server:create_app()", self.folder, **self.environ) as found:
            yield found

    @contextmanager
    def stub_worker(self) -> Iterator[None]:
        with worker("fleet.FleetWorker", self.folder, self.broker.workers, **self.environ):
            yield

    def upload(self, port: int, data: bytes) -> str:
        """The SHA-256 of an image that each key has sent and that is known."""
        for key in self.keys:
            asked = request("POST", "/v1/uploads?wait=20", key, data, PNG)
            load = Load(port, 1, lambda _, asked=asked: asked, lambda _, key=key: key)
            load.run(count=1)
            load.close()
        return hashlib.sha256(data).hexdigest()


def known(bench: Bench, rounds: int, seconds: float) -> Figures:
    """The verdict of a known image by its hash, and a bare route, in turns; 64 clients."""
    bench.redis.set("bare", b"{}")
    shares, rates, bares, taken = [], [], [], []
    with (
        bench.server() as (port, _),
        gunicorn("_server_parts:bare()", bench.folder, **bench.environ) as (base, _),
    ):
        with bench.stub_worker():
            sha256 = bench.upload(port, b"an image")
        body = json.dumps({"sha256": sha256}).encode()
        asks = [
            request("POST", "/v1/checks", key, body, "Content-Type: application/json\r\n")
            for key in bench.keys
        ]
        ours = Load(port, CLIENTS, lambda client: asks[client % len(asks)], bench.key)
        bare = Load(base, CLIENTS, lambda _: request("GET", "/"))
        for load in (ours, bare):
            load.run(seconds / 2)
        for _ in range(rounds):
            ours.seconds.clear()
            rates.append(ours.run(seconds))
            taken += ours.seconds
            bares.append(bare.run(seconds))
            shares.append(rates[-1] / bares[-1])
        assert set(ours.statuses) == {200}, ours.statuses
        ours.close()
        bare.close()
    print_steps(bench.environ, bench.redis, bench.keys[0], sha256, 300 * rounds, bench.folder)
    ranked = sorted(taken)
    middle, late = ranked[len(ranked) // 2], ranked[int(0.99 * len(ranked))]
    print(f"known image: {statistics.median(rates):.0f}/s, bare route: {statistics.median(bares):.0f}/s")
    print(f"p50 {1000 * middle:.1f} ms, p99 {1000 * late:.1f} ms at {CLIENTS} clients")
    return {
        "known_over_bare_route": at_least(statistics.median(shares), 0.35),
        "known_p99_over_p50": at_most(late / middle, 5),
    }


def urls(bench: Bench, rounds: int, checks: int) -> Figures:
    """URL checks through the server and straight to the worker, in turns; then by one client."""
    each: list[float] = []
    shares, rates = [], []
    with (
        origin(ORIGIN_SECONDS) as address,
        bench.server() as (port, _),
        bench.stub_worker(),
    ):
        numbers = itertools.count()

        def ask(client: int) -> bytes:
            body = json.dumps({"url": f"{address}/{next(numbers)}.jpg"}).encode()
            return request("POST", "/v1/checks?wait=20", bench.key(client), body, JSON)

        for _ in range(rounds):
            load = Load(port, CLIENTS, ask, bench.key)
            rates.append(load.run(count=checks))
            assert set(load.statuses) <= {200, 202}, load.statuses
            load.close()
            time.sleep(0.5)
            shares.append(
                rates[-1] / straight(bench, [f"{address}/{next(numbers)}.jpg" for _ in range(checks)])
            )
        single = Load(port, 1, ask, bench.key)
        single.run(count=40)
        each = single.seconds[5:]
        single.close()
        fetch = fetching(f"{address}/0.jpg")
    print(f"URL checks: {statistics.median(rates):.0f}/s, fetch alone {1000 * fetch:.0f} ms")
    print(f"one client: p50 {1000 * statistics.median(each):.0f} ms")
    return {
        "urls_over_worker_alone": at_least(statistics.median(shares), 0.6),
        "one_client_p50_over_fetch_and_model": at_most(statistics.median(each) / (fetch + FORWARD), 1.6),
    }


def litserve(bench: Bench, checks: int) -> Figures:
    """The same URL checks through LitServe, which fetches in `decode_request`; 64 clients, in turns."""
    interpreter = os.environ.get("AIDETECT_LITSERVE")
    if not interpreter:
        print("LitServe: not measured; AIDETECT_LITSERVE names an interpreter that has it")
        return {}
    numbers = itertools.count()
    with (
        origin(ORIGIN_SECONDS) as address,
        litserve_app(interpreter, bench.folder) as peer,
        bench.server() as (port, _),
        bench.stub_worker(),
    ):

        def ask(path: str, key: Callable[[int], str]) -> Callable[[int], bytes]:
            def asked(client: int) -> bytes:
                body = json.dumps({"url": f"{address}/{next(numbers)}.jpg"}).encode()
                return request("POST", path, key(client), body, JSON)

            return asked

        ours, theirs = [], []
        for _ in range(2):
            load = Load(port, CLIENTS, ask("/v1/checks?wait=20", bench.key), bench.key)
            ours.append(load.run(count=checks))
            load.close()
            load = Load(peer, CLIENTS, ask("/predict", lambda _: ""))
            theirs.append(load.run(seconds=8))
            assert set(load.statuses) == {200}, load.statuses
            load.close()
    print(f"URL checks: {statistics.median(ours):.0f}/s, LitServe {statistics.median(theirs):.0f}/s")
    ratio = statistics.median(ours) / statistics.median(theirs)
    return {"urls_over_litserve": at_least(ratio, 1)}


def straight(bench: Bench, addresses: list[str]) -> float:
    """Checks a second of the worker alone: all of them queued, until the last is answered."""
    wanted = [CheckRequest.for_url(url, bench.broker.fleet) for url in addresses]
    begun = time.perf_counter()
    jobs = [job or "" for job in bench.broker.submit_many([(each, "bench") for each in wanted])]
    for job in reversed(jobs):
        assert bench.broker.wait(job, 60).state == "done"
    return len(jobs) / (time.perf_counter() - begun)


def fetching(url: str) -> float:
    """Median seconds of one fetch."""
    taken = []
    with Fetcher(allow_private=True) as fetcher:
        for _ in range(11):
            begun = time.perf_counter()
            fetcher.fetch(url)
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def waiting(bench: Bench, clients: int, seconds: float) -> Figures:
    """/healthz while so many clients wait for checks that no worker answers."""
    with bench.server() as (port, _):
        numbers = itertools.count()

        def ask(client: int) -> bytes:
            body = json.dumps({"url": f"https://example.org/{next(numbers)}.jpg"}).encode()
            return request("POST", "/v1/checks?wait=20", bench.key(client), body, JSON)

        waiters = Load(port, clients, ask, bench.key)
        health = Load(port, 1, lambda _: request("GET", "/healthz"))
        thread = threading.Thread(target=waiters.run, args=(seconds,))
        thread.start()
        time.sleep(3)  # the first questions of all of them are a burst of work, not waiting
        while thread.is_alive():
            health.run(count=1)
            time.sleep(0.1)
        thread.join()
        waiters.close()
        health.close()
    ranked = [1000 * each for each in sorted(health.seconds)]
    print(f"healthz beside {clients} that wait: p50 {ranked[len(ranked) // 2]:.0f} ms")
    late = ranked[int(0.99 * len(ranked))]
    return {f"healthz_p99_ms_beside_{clients}_waiting": at_most(late, 100)}


def memory(bench: Bench, checks: int) -> Figures:
    """Bytes that the server's process grows by with each check, once it is warm. A check's verdict alone
    takes 2 kB, so that a process that kept a tenth of it would be seen. Its allocator settles only after
    some thousand checks: in a run over 40,000 it grew by 100 bytes a check in the first 12,000, and by
    13 in the rest."""
    with bench.server() as (port, pid), bench.stub_worker():

        def ask(client: int) -> bytes:
            kind = "Content-Type: image/png\r\n"
            return request(
                "POST", "/v1/uploads?wait=20", bench.key(client), secrets.token_bytes(2000), kind
            )

        load = Load(port, 16, ask, bench.key)
        load.run(count=WARMING)
        sizes = [resident(pid)]
        for _ in range(20):
            load.run(count=checks // 20)
            sizes.append(resident(pid))
        load.close()
    places = [checks / 20 * number for number in range(len(sizes))]
    slope = statistics.linear_regression(places, sizes).slope
    print(f"memory over {checks} checks, MB:", *(f"{size / 1e6:.1f}" for size in sizes))
    return {"bytes_grown_per_check": at_most(slope, 200)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", help="one part: known, urls, litserve, waiting, memory")
    parser.add_argument("--checks", type=int, help="checks of the part memory")
    options = parser.parse_args()
    full: bool = options.full
    parts: dict[str, Callable[[Bench], Figures]] = {
        "known": lambda bench: known(bench, 5 if full else 3, 10 if full else 4),
        "urls": lambda bench: urls(bench, 5 if full else 2, 2000 if full else 600),
        "litserve": lambda bench: litserve(bench, 400),
        "waiting": lambda bench: waiting(bench, 500, 60 if full else 25),
        "memory": lambda bench: memory(bench, options.checks or (100_000 if full else 5_000)),
    }
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name, RedisServer(Path(name)) as server:
        folder, environ = Path(name), environment(server.url, Path(name))
        settings = QueueSettings(redis_url=server.url, secret=SECRET, max_queue=10**6)
        redis, broker = Redis.from_url(server.url), Broker(settings)
        for part, measure in parts.items():
            if options.only in (None, part):
                redis.flushall()
                keys = [KeyStore(redis, SECRET).create(f"client {n}")[1] for n in range(8)]
                figures |= measure(Bench(folder, redis, broker, keys, environ))
    print_figures(figures)


def environment(url: str, folder: Path) -> dict[str, str]:
    return {
        "AIDETECT_REDIS_URL": url,
        "RQ_REDIS_URL": url,
        "AIDETECT_SECRET": SECRET,
        "AIDETECT_SIGNING_FOLDER": str(folder / "signing"),
        "AIDETECT_KEY_LIMIT": "1000000/60 seconds",
        "AIDETECT_MAX_QUEUE": "1000000",
        "AIDETECT_ALLOW_PRIVATE": "1",
        "AIDETECT_HOST_CONNECTIONS": "128",
        "AIDETECT_FETCH_THREADS": "128",
        "OMP_NUM_THREADS": "1",
    }


if __name__ == "__main__":
    main()
