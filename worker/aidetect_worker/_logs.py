"""Logs that carry no secrets: URLs without their queries, whoever wrote the line.

The filter is on the loggers' handlers, since RQ, urllib3 and tracebacks write lines too.
"""

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_URL = re.compile(r"(://[^\s?#'\"]*+)([?#][^\s'\"]*?(?=>?(?:[\s'\"]|$)))?")
"""A query goes on to the end of the word, but for a bracket that may stand around the URL. A URL without
one matches too, so that each character is read once, however many URLs a line seems to hold."""
_USER = re.compile(r"(://)[^\s/@'\"]*@")
_EXTRA = ("job", "worker", "outcome", "code", "seconds", "images")


def scrubbed(text: str) -> str:
    """`text` with the queries, fragments, users and passwords of its URLs cut out."""
    return _USER.sub(r"\1…@", _URL.sub(lambda url: url[1] + ("?…" if url[2] else ""), text))


def scrubbed_traceback(error: BaseException) -> str:
    """The traceback of `error` and its causes, without queries."""
    return scrubbed("".join(traceback.format_exception(error)))


def entry(record: logging.LogRecord, message: str) -> dict[str, Any]:
    """What a line of JSON begins with, here and in the server's log."""
    return {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": message,
    }


class Text(logging.Formatter):
    """One line a record, and its traceback."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return scrubbed(super().format(record))


class Json(logging.Formatter):
    """One JSON object a line: time, level, message, and what else the record was given."""

    def format(self, record: logging.LogRecord) -> str:
        line = entry(record, scrubbed(record.getMessage()))
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = scrubbed_traceback(record.exc_info[1])
        line.update({key: getattr(record, key) for key in _EXTRA if hasattr(record, key)})
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up(form: str, level: int | str = logging.INFO) -> None:
    """Sends the worker's and RQ's records to stderr. Handlers that somebody has set up stay as they are,
    but write no queries any more."""
    for name in ("aidetect.worker", "rq.worker", "rq.job", "rq.queue", "rq.registry"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.StreamHandler(sys.stderr))
            logger.propagate = False
        for handler in logger.handlers:
            if not isinstance(handler.formatter, Json | Text):
                handler.setFormatter(Json() if form == "json" else Text())
    logging.getLogger("aidetect.worker").setLevel(level)
