"""Reads the bytes of an image from what a caller may give: bytes, a path, a binary file object."""

import os
import select
import stat
import sys
from typing import Any

from ._errors import (
    ConfigurationError,
    InputError,
    InputNotFoundError,
    NotAnImageError,
    TooLargeError,
)
from ._text import printable

_PART = 8_000_000
"""Bytes read at once."""

WRITER_SECONDS = 10.0
"""How long a pipe with a name may wait for somebody who writes into it."""


def name_of(image: Any) -> str | None:
    """What the caller would recognise the input by, in text; None where it has no name."""
    if isinstance(image, str | os.PathLike):
        return os.fsdecode(image)
    name = getattr(image, "name", None) or getattr(image, "filename", None)
    return name if isinstance(name, str) and name else None


def no_image(image: Any) -> str:
    """The message for what a caller took for an image."""
    return (
        f"cannot check a {type(image).__name__}: give a path, a URL, bytes, a binary file, a PIL image"
        " or a uint8 array of height×width×3"
    )


def read(image: Any, limit: int) -> bytes:
    """The bytes of an encoded image: bytes as they are, a path's file, or what a binary file object
    still holds. Raises TooLargeError above `limit` bytes, InputError where it cannot be read."""
    if isinstance(image, bytes):
        data = image
    elif isinstance(image, str | os.PathLike):
        data = _read_file(image, limit)
    else:
        data = _read_object(image, limit)
    if len(data) > limit:
        name = printable(name_of(image) or "the image")
        raise TooLargeError(
            f"{name}: larger than the limit of {limit:,} bytes. Use a smaller copy, or raise the limit."
        )
    return data


def _read_file(path: "str | os.PathLike[str]", limit: int) -> bytes:
    """At most `limit` + 1 bytes of a file."""
    name = printable(os.fsdecode(path)) or "(no name)"
    try:
        if sys.platform != "win32" and stat.S_ISFIFO(os.stat(path).st_mode):
            return _read_pipe(path, name, limit)
        with open(path, "rb") as file:
            return read_up_to(file, limit)
    except FileNotFoundError:
        raise InputNotFoundError(f"{name}: no such file. Check the path.") from None
    except IsADirectoryError:
        raise InputNotFoundError(
            f"{name}: a folder, not an image. Name its files, or use `aidetect check` on it."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{name}: cannot be read ({reason}). Check the path and its permissions."
        ) from None


def _read_pipe(path: "str | os.PathLike[str]", name: str, limit: int) -> bytes:
    """At most `limit` + 1 bytes of a pipe that has a name, be it that of a shell's `<(…)`.

    Opening one waits for a writer, for ever where none comes: so it is opened without waiting. A writer
    that is there may take its time, as on standard input: `<(…)` may well stand for a program that
    computes for minutes before its first byte, and whoever named it can end it. Raises InputError where
    there is no writer after WRITER_SECONDS.
    """

    def at_once(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NONBLOCK)

    with open(path, "rb", buffering=0, opener=at_once) as file:
        waiting = select.poll()
        waiting.register(file, select.POLLIN)
        came = waiting.poll(1000 * WRITER_SECONDS)
        first = file.read(1)  # None: there is a writer, who has not written yet
        if not came and first == b"":
            raise InputError(
                f"{name}: a pipe that nobody writes into; waited {WRITER_SECONDS:g} seconds. Start what"
                " writes into it first, or check a file."
            )
        os.set_blocking(file.fileno(), True)
        return (first or b"") + read_up_to(file, limit - len(first or b""))


def _read_object(file: Any, limit: int) -> bytes:
    """At most `limit` + 1 bytes of a caller's binary file, from where it stands."""
    name = printable(name_of(file) or "the file object")
    try:
        data = read_up_to(file, limit)
    except (OSError, ValueError) as error:
        reason = printable(str(error), 120).rstrip(".")
        raise InputError(f"{name}: cannot be read ({reason}). Open it again.") from None
    if not data:
        raise NotAnImageError(
            f"{name} is empty (0 bytes), or was read to its end before. Give a file that holds an"
            " image, at its start."
        )
    return data


def read_up_to(file: Any, limit: int) -> bytes:
    """At most `limit` + 1 bytes, in parts: a pipe gives fewer than it is asked for, and a generous
    limit should not cost its own size in memory."""
    parts = []
    while limit >= 0:
        part = file.read(min(limit + 1, _PART))
        if not isinstance(part, bytes):
            raise ConfigurationError(
                f"the file object gives {type(part).__name__}, not bytes; open it in binary mode ('rb')"
            )
        if not part:
            break
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)
