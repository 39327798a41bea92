"""The parts that `aidetect up` runs on this computer, and how each shows that it works."""

import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError

from redis.exceptions import RedisError

from aidetect._errors import ConfigurationError
from aidetect_worker._fleet import workers
from aidetect_worker._redis import connect

from ._embedded import find_program, prepare
from ._home import Home
from ._parts import Part

_RELEASE_SECONDS = 60.0


@contextmanager
def local_parts(home: Home, environ: dict[str, str], verbose: bool, served: int) -> Iterator[list[Part]]:
    """Redis (where none is named), worker and server, which holds the lock `served`; completes `environ`
    with the Redis's address."""
    logs = home.folder_of("logs")

    def log(name: str) -> Path | None:
        return None if verbose else logs / f"{name}.log"

    with ExitStack() as stack:
        parts = []
        if not environ.get("AIDETECT_REDIS_URL", "").strip():
            redis = stack.enter_context(prepare(home, find_program()))
            environ["AIDETECT_REDIS_URL"] = redis.url
            held = stack.enter_context(lock_of(home, "redis"))
            store = Part("Redis", redis.command, environ, redis.ready, log("redis"), keeps=[held])
            parts.append(store)
        else:
            _require_redis(environ["AIDETECT_REDIS_URL"])
        home.write("redis.url", environ["AIDETECT_REDIS_URL"])  # for `aidetect keys` and the like
        after = [part.name for part in parts]
        aidetect = [sys.executable, "-m", "aidetect"]
        worker = Part(
            "the worker",
            [*aidetect, "worker"],
            environ,
            lambda: _worker_lives(environ["AIDETECT_REDIS_URL"], worker.age),
            log("worker"),
            grace=20.0,
            orphaned=signal.SIGKILL,
            after=after,
        )
        server = Part(
            "the server",
            [*aidetect, "serve"],
            environ,
            lambda: _answers(f"http://{environ['AIDETECT_BIND']}/healthz"),
            log("server"),
            orphaned=signal.SIGQUIT,
            after=after,
            keeps=[served],
        )
        yield [*parts, worker, server]


@contextmanager
def lock_of(home: Home, part: str) -> Iterator[int]:
    """Held by that part as long as it runs, also where it outlives a killed `aidetect up` for a moment:
    two must never write the same files, or want the same port."""
    until = time.monotonic() + _RELEASE_SECONDS
    while True:
        with home.lock(f"{part}.lock") as held:
            if held is not None:
                yield held
                return
        if time.monotonic() > until:
            raise ConfigurationError(
                f"the {part} of an earlier `aidetect up` still runs in {home.folder}; end it"
            )
        time.sleep(0.1)


def _require_redis(url: str) -> None:
    """Raises ConfigurationError where the Redis that was named does not answer."""
    client = connect(url, retries=0)
    try:
        client.ping()
    except RedisError as error:
        raise ConfigurationError(
            f"the Redis of AIDETECT_REDIS_URL does not answer ({type(error).__name__}): start it, "
            "correct the address, or unset that for one of `aidetect up`'s own"
        ) from None
    finally:
        client.close()


def _worker_lives(url: str, age: float) -> bool:
    """Whether a worker that began within the last `age` seconds has a heartbeat."""
    client = connect(url, timeout=2, retries=0)
    try:
        return any(one.since >= time.time() - age - 1 for one in workers(client))
    except RedisError:
        return False
    finally:
        client.close()


def _answers(address: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError, ValueError):
        return False
