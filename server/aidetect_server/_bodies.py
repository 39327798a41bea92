"""Reads request bodies: bounded in bytes, in silence and in total time.

gunicorn's sockets wait for ever once a request has begun. Each request's socket therefore gets a
limit on silence, and a body's socket is shut for reading once its total time is over: the reader
then sees an early end, whatever loop of gunicorn's or Werkzeug's it sits in, and the answer can
still be sent. Slow headers are the reverse proxy's to cut (docs/operating.md).
"""

import io
import select
import socket
import struct
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from aidetect import TooLargeError
from aidetect._text import printable

from ._problems import RequestError

SILENCE_SECONDS = 10.0
_PIECE = 1 << 20
_CLOSE = {"Connection": "close"}
_DISCARDED = 65_536
"""Bytes of a body that nobody read which gunicorn discards; of more, it closes the connection."""
_FORM_PARTS, _FIELD_BYTES = 8, 100_000  # Werkzeug counts files in it that come in a piece of 64 kB


@dataclass(eq=False, slots=True)
class _Watched:
    deadline: float
    socket: socket.socket
    over: bool = False
    done: bool = False


class _Watchdog:
    """Shuts sockets for reading at their deadlines. One thread, begun by the first body, so that a
    process that gunicorn forks later has one of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: deque[_Watched] = deque()
        self._changed = threading.Condition()
        self._idle = False
        self._thread: threading.Thread | None = None

    def watch(self, of: socket.socket) -> _Watched:
        watched = _Watched(time.monotonic() + self.seconds, of)
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="aidetect-bodies", daemon=True)
                self._thread.start()
            self._waiting.append(watched)
            if self._idle:  # else it looks again by itself, before this deadline
                self._changed.notify()
        return watched

    def release(self, watched: _Watched) -> None:
        with self._changed:  # the socket must not be shut once it serves the next request
            watched.done = True
            while self._waiting and self._waiting[0].done:
                self._waiting.popleft()

    def _run(self) -> None:
        with self._changed:
            while True:
                left = self._waiting[0].deadline - time.monotonic() if self._waiting else None
                if left is None or left > 0:
                    self._idle = left is None
                    self._changed.wait(left)
                    continue
                watched = self._waiting.popleft()
                watched.over = True
                with suppress(OSError):
                    watched.socket.shutdown(socket.SHUT_RD)


class Bodies:
    """Reads the current request's body; `seconds` is the total time that one may take."""

    def __init__(self, seconds: float) -> None:
        self._watchdog = _Watchdog(seconds)

    def read(self, limit: int) -> bytes:
        """The raw body. Raises TooLargeError, or RequestError where it is late, cut short or packed."""
        if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise RequestError(
                "A body with a Content-Encoding is not unpacked here. Send it as it is.",
                status=415,
                code="unsupported_media_type",
                headers={"Accept-Encoding": "identity"},
            )
        declared = request.content_length
        if declared is not None and declared > limit:
            raise _too_large(limit)
        request.max_content_length = limit + 1  # Werkzeug refuses a body of the very limit
        of = request.environ.get("gunicorn.socket")
        watched = self._watchdog.watch(of) if isinstance(of, socket.socket) else None
        try:
            data = _read_all(request.stream, limit if declared is None else declared)
        except RequestEntityTooLarge:
            raise _too_large(limit) from None
        except (HTTPException, OSError, EOFError) as error:
            raise _broken(error, watched) from None
        except Exception as error:
            # gunicorn's own errors for malformed chunks, without importing gunicorn
            if type(error).__module__.startswith("gunicorn."):
                raise _broken(error, watched) from None
            raise
        finally:
            if watched is not None:
                self._watchdog.release(watched)
        if declared is not None and len(data) < declared:
            raise _broken(None, watched)
        g.body_read = True
        return data

    def read_form(self, limit: int) -> tuple[dict[str, str], dict[str, bytes]]:
        """Fields and files of a multipart body. All of it stays in memory: nobody's image is written
        to a disk. Raises what `read` does, and RequestError where a name is there twice."""
        data = self.read(limit)
        parser = FormDataParser(
            stream_factory=lambda *_, **__: io.BytesIO(),
            max_form_memory_size=_FIELD_BYTES,
            max_form_parts=_FORM_PARTS,
            silent=False,
        )
        try:
            _, fields, files = parser.parse(
                io.BytesIO(data), request.mimetype, len(data), request.mimetype_params
            )
        except RequestEntityTooLarge:
            raise RequestError(
                f"The form has more than {_FORM_PARTS} parts, or a text field of more than "
                f"{_FIELD_BYTES:,} bytes. Send less.",
                status=413,
                code="too_large",
            ) from None
        except (ValueError, LookupError):
            raise RequestError(
                "The body is no multipart form. Correct it.", status=400, code="bad_request"
            ) from None
        names = [name for part in (fields, files) for name, _ in part.items(multi=True)]
        for name, times in Counter(names).items():
            if times > 1:
                raise RequestError(
                    f"The form has the field `{printable(name, 100)}` {times} times. Send it once; "
                    "each image is a request of its own.",
                    status=400,
                    code="bad_request",
                )
        return dict(fields.items()), {name: file.read() for name, file in files.items()}


def _read_all(stream: IO[bytes], limit: int) -> bytes:
    """All of it, and where that is more than `limit` bytes RequestEntityTooLarge."""
    parts, left = [], limit
    while left > 0 and (part := stream.read(min(left, _PIECE))):
        parts.append(part)
        left -= len(part)
    if left == 0 and request.content_length is None and stream.read(1):
        raise RequestEntityTooLarge
    return b"".join(parts)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The request is larger than the limit of {limit:,} bytes. Send a smaller one.")


def _broken(error: Exception | None, watched: _Watched | None) -> RequestError:
    # Werkzeug raises an error of its own over what the socket raised.
    silent = isinstance(error and (error.__context__ or error), BlockingIOError | TimeoutError)
    if silent or (watched is not None and watched.over):
        return RequestError(
            "The body did not arrive in time. Send it again, over a better line or as a smaller file.",
            status=408,
            code="request_timeout",
            headers=_CLOSE,
        )
    return RequestError(
        "The body broke off or is malformed. Send it again, whole, with its right length.",
        status=400,
        code="truncated",
        headers=_CLOSE,
    )


def client_left() -> bool:
    """Whether the current request's client has closed its connection, as far as this server can see."""
    of = request.environ.get("gunicorn.socket")
    if not isinstance(of, socket.socket):
        return False
    try:
        return bool(select.select([of], [], [], 0)[0]) and not of.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True


def init_bodies(app: Flask) -> None:
    """Bounds the silence that every request's socket allows, for reading and for writing: by the
    kernel, since a time-out of Python's own asks the kernel once more for each call. Says where a
    connection ends with an answer, so that no client sends its next request on it."""
    silence = struct.pack("ll", int(SILENCE_SECONDS), 0)

    @app.before_request
    def bound_silence() -> None:
        of = request.environ.get("gunicorn.socket")
        if isinstance(of, socket.socket):
            of.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, silence)
            of.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, silence)

    @app.after_request
    def tell_the_end(response: Response) -> Response:
        much = (request.content_length or 0) > _DISCARDED or "Transfer-Encoding" in request.headers
        if much and "body_read" not in g:
            response.headers.update(_CLOSE)
        return response
