"""What each step of answering for a known image costs, and what answering for the first time adds.

One thread asks the application in this process, with the real Redis and without gunicorn. Processor
time, which a busy machine stretches less than time on the clock; a step's is without the steps in it.
"""

import io
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from _server_parts import bare
from flask import Flask
from redis import Redis
from werkzeug.test import create_environ

from aidetect_server import _checks, _openapi, create_app
from aidetect_server._bodies import Bodies
from aidetect_server._keys import KeyStore
from aidetect_server._rates import Rates
from aidetect_server._records import Records
from aidetect_server._reports import ReportStore
from aidetect_server._service import EXTENSION
from aidetect_server._settings import ServerSettings
from aidetect_worker._broker import Broker

ROUNDS = 5
HOOKS = {
    "bound_silence": "limit on silence",
    "begin": "request id",
    "check_host": "Host",
    "answer_preflight": "preflight or not",
    "_admit": "who comes in",
    "count": "metrics",
    "allow_every_origin": "CORS headers",
    "tell": "rate headers",
    "end": "log line",
}
STEPS: tuple[tuple[Any, str, str], ...] = (
    (Flask, "full_dispatch_request", "Flask: matching, dispatching, hooks"),
    (KeyStore, "held", "key compared (HMAC)"),
    (Rates, "spend_where", "key's record and rate, one round trip"),
    (_openapi, "_fitting", "body and query checked"),
    (Bodies, "read", "body read"),
    (Records, "sent", "what this key was answered, one round trip"),
    (_checks, "finished", "response with ETag"),
    (Broker, "known", "verdict from the cache, one round trip"),
    (ReportStore, "mark", "disputed or not"),
    (Records, "save", "record, one round trip"),
    (_checks, "wire", "verdict to JSON"),
    (Records, "note_answer", "answer noted, one round trip"),
)


class Steps:
    """Seconds of processor time by step, each without what it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []

    def timed(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            begun = time.thread_time()
            self._inside.append(0.0)
            try:
                return step(*args, **options)
            finally:
                taken = time.thread_time() - begun
                self.seconds[name] = self.seconds.get(name, 0) + taken - self._inside.pop()
                if self._inside:
                    self._inside[-1] += taken

        return run


@contextmanager
def watched(app: Flask) -> Iterator[Steps]:
    """The steps of an application's answers, as they are taken."""
    steps, here = Steps(), app.extensions[EXTENSION]
    with ExitStack() as stack:
        for target, name, words in STEPS:
            stack.enter_context(patch.object(target, name, steps.timed(words, getattr(target, name))))
        for hooks in (app.before_request_funcs, app.after_request_funcs):
            timed = [steps.timed(HOOKS[hook.__name__], hook) for hook in hooks[None]]
            stack.enter_context(patch.dict(hooks, {None: timed}))
        signing = replace(here, sign=steps.timed("signature", here.sign))
        stack.enter_context(patch.dict(app.extensions, {EXTENSION: signing}))
        stack.enter_context(patch.object(app, "wsgi_app", steps.timed("Flask: the rest", app.wsgi_app)))
        yield steps


def print_steps(
    environ: dict[str, str], redis: Redis, key: str, sha256: str, count: int, folder: Path
) -> None:
    """`key` has sent the image `sha256`, whose verdict the caches hold."""
    settings = ServerSettings.from_environment(environ)
    body = f'{{"sha256": "{sha256}"}}'.encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    question = create_environ("/v1/checks", "http://localhost", method="POST", headers=headers)
    ours, theirs = socket.socketpair()
    question |= {"CONTENT_LENGTH": str(len(body)), "gunicorn.socket": ours}
    noted = f"aidetect:answered:{key.split('.')[0]}:{sha256}"
    with ours, theirs, (folder / "steps.log").open("w") as log, redirect_stderr(log):
        app, plain = create_app(settings), bare(settings.redis_url)

        def again() -> None:
            _ask(app, question, body)

        def first() -> None:
            redis.delete(noted)
            again()

        base = create_environ("/")
        bases, wholes = [], []
        for _ in range(ROUNDS):
            bases.append(_mean(lambda: _ask(plain, base, b""), count))
            wholes.append(_mean(again, count))
        with watched(app) as steps:
            _mean(again, count)
        with watched(app) as more:
            _mean(first, count)
    print("known image, µs of processor time in one thread, without gunicorn:")
    print(f"  {min(wholes):6.0f}  in all; a bare route: {min(bases):.0f}")
    _table(steps.seconds, count)
    print("  and where this key asks for the first time:")
    _table({name: more.seconds[name] for name in more.seconds.keys() - steps.seconds.keys()}, count)


def _ask(app: Flask, environ: dict[str, Any], body: bytes) -> None:
    statuses: list[str] = []

    def start(status: str, _headers: Any, _exc_info: Any = None) -> None:
        statuses.append(status)

    asked = {**environ, "wsgi.input": io.BytesIO(body)}
    b"".join(app.wsgi_app(asked, start))  # type: ignore[arg-type]
    assert statuses == ["200 OK"], statuses


def _mean(ask: Callable[[], None], count: int) -> float:
    """µs of processor time."""
    begun = time.thread_time()
    for _ in range(count):
        ask()
    return 1e6 * (time.thread_time() - begun) / count


def _table(seconds: dict[str, float], count: int) -> None:
    for name, taken in sorted(seconds.items(), key=lambda each: -each[1]):
        print(f"  {1e6 * taken / count:6.0f}    {name}")
