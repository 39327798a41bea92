"""One JSON object a line on stderr. No image, no query of any address, no credentials.

What could hold one of these passes through `scrubbed`, which takes out everything behind a question
mark in a URL, whatever looks like a key, and characters that would steer a terminal.
"""

import json
import logging
import random
import re
import sys
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from flask import Flask, Response, g, request

from aidetect._text import printable
from aidetect_worker._logs import entry
from aidetect_worker._logs import scrubbed as scrubbed_urls

_KEY = re.compile(r"(?i)(bearer\s+)?(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{6,}+\.[A-Za-z0-9_-]{40,}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")
_PLAIN = re.compile(r"[a-z0-9/_]{1,80}")
"""Paths in which there is nothing to scrub: no dot, so no key; no colon, so no URL."""
_log = logging.getLogger("aidetect_server.access")


def scrubbed(text: str, limit: int = 2000) -> str:
    """`text` without queries, passwords and keys, on one line."""
    return printable(_KEY.sub("…", scrubbed_urls(text[: 4 * limit])), limit)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = entry(record, scrubbed(record.getMessage()))
        if g and (request_id := g.get("request_id")):
            line.setdefault("request", request_id)
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = scrubbed(repr(record.exc_info[1]), 500)
            frames = traceback.extract_tb(record.exc_info[2])[-12:]
            line["trace"] = [f"{f.filename}:{f.lineno} {f.name}" for f in frames]
        return json.dumps(line, ensure_ascii=False)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time, which a process manager or a test may replace."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _stream: TextIO) -> None:
        pass


def init_logs(app: Flask, level: str) -> None:
    """Structured logs for the packages of aidetect, a line a request, and a request id on each answer.

    The id is the client's own (`X-Request-Id`) where it is harmless, so that a proxy's log and this
    one can be laid beside each other.
    """
    logger = logging.getLogger("aidetect_server")
    logger.setLevel(level.upper())
    if not any(isinstance(handler, _Stderr) for handler in logger.handlers):
        handler = _Stderr()
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.propagate = False

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
        g.started = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        if _log.isEnabledFor(logging.INFO):
            _write_request(response.status_code)
        return response


def _write_request(status: int) -> None:
    """A request's line. Not through `logging`, whose records and locks take twice as long as all else
    that is done for it."""
    path, key = request.path, g.get("key")
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": "info",
        "logger": _log.name,
        "message": "request",
        "method": request.method if request.method.isalpha() else "?",
        "path": path if _PLAIN.fullmatch(path) else scrubbed(path, 200),
        "status": status,
        "ms": round(1000 * (time.perf_counter() - g.started), 1),
        **({"key": key.id} if key else {}),
        "request": g.request_id,
    }
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")
