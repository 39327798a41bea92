"""The report of a scan: one HTML file that holds all it needs, or a folder with the pictures beside it.

Rows are compressed and written as they are read, so that memory stays flat and a hundred thousand fit
into a few megabytes; the page unpacks and lists them itself. Nothing of a file's name, metadata or
pixels is ever markup: rows are data that the page shows as text, and its policy allows no script, style
or address but its own.
"""

import base64
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from importlib import resources
from itertools import islice
from typing import Any, TextIO

from .._errors import ConfigurationError
from .._text import printable
from ._journal import Journal, Row
from ._tables import whole

PICTURED = 500
"""Rows with the highest probability that get a picture, and as many of the least sure ones."""

MAX_BYTES = 25_000_000
"""Of a report in one file. Pictures are left out where it would grow beyond."""

_PATH_LIMIT = 1000
_LABELS = {"ai": 0, "uncertain": 1, "real": 2, None: 3}

Picture = tuple[bytes, bytes | None]
"""A JPEG of the image, and a PNG with alpha to lay over it."""


def check_report(path: str, *, folder: bool) -> None:
    """Raises ConfigurationError, before hours of work, where the report could not be written."""
    if folder and os.path.exists(path) and not os.path.isdir(path):
        raise ConfigurationError(f"{printable(path)}: is a file. Name a folder for the report.")
    if not folder and os.path.isdir(path):
        raise ConfigurationError(f"{printable(path)}: is a folder. Name a file, or use --report-dir.")
    if not (folder or path.lower().endswith((".html", ".htm"))):
        raise ConfigurationError(f"{printable(path)}: reports end with .html. Name such a file.")
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise ConfigurationError(f"{printable(path)}: there is no such folder. Make it first.")


def pictured(journal: Journal) -> Iterator[Row]:
    """The rows that get a picture, each once: the highest, then those that are uncertain, the least
    sure first. Of files with the same bytes one has it."""
    seen = set()
    for order, where in (("highest", "1"), ("unsurest", "label = 'uncertain'")):
        where += " AND label IS NOT NULL AND same_as IS NULL"
        for row in islice(journal.rows(order, where=where), PICTURED):
            if row.path not in seen:
                seen.add(row.path)
                yield row


def write_report(journal: Journal, path: str, picture: Callable[[Row], Picture | None]) -> None:
    """One file. `picture` draws a row's, or has none."""
    rows = _Rows(journal.rows())
    room = MAX_BYTES - 100_000

    def pictures() -> Iterator[list[Any]]:
        nonlocal room
        for row in pictured(journal):
            drawn = picture(row) if room > 0 else None
            if drawn is None:
                continue
            image = _data("image/jpeg", drawn[0])
            map = _data("image/png", drawn[1]) if drawn[1] else ""
            room -= len(image) + len(map) + 30
            if room > 0:
                yield [rows.numbers_of[row.path], image, map]

    with whole(path) as part, open(part, "w", encoding="utf-8") as file:
        rows.wanted = {row.path for row in pictured(journal)}
        page = _Page(file, journal, "data:")
        room -= page.write_rows(rows)
        page.write_pictures(pictures())


def write_report_folder(journal: Journal, path: str, picture: Callable[[Row], Picture | None]) -> None:
    """`index.html` in the folder `path`, its pictures in `pictures/`."""
    folder = os.path.join(path, "pictures")
    os.makedirs(folder, exist_ok=True)
    rows = _Rows(journal.rows())

    def pictures() -> Iterator[list[Any]]:
        for row in pictured(journal):
            if (drawn := picture(row)) is None:
                continue
            number = rows.numbers_of[row.path]
            entry: list[Any] = [number]
            for suffix, data in (("jpg", drawn[0]), ("png", drawn[1])):
                name = f"{number}.{suffix}" if data else ""
                if data:
                    with open(os.path.join(folder, name), "wb") as file:
                        file.write(data)
                entry.append(f"pictures/{name}" if name else "")
            yield entry

    index = os.path.join(path, "index.html")
    with whole(index) as part, open(part, "w", encoding="utf-8") as file:
        rows.wanted = {row.path for row in pictured(journal)}
        page = _Page(file, journal, "data: 'self' file:")
        page.write_rows(rows)
        page.write_pictures(pictures())


class _Rows:
    """The rows as the page reads them, and once they are through the texts that they refer to."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.texts: dict[str, int] = {}
        self.wanted: set[str] = set()
        self.numbers_of: dict[str, int] = {}

    def __iter__(self) -> Iterator[list[Any]]:
        """Path, label, P(AI) in ten-thousandths, width, height, numbers of texts, path with the same
        bytes."""
        for number, row in enumerate(self._rows):
            if row.path in self.wanted:
                self.numbers_of[row.path] = number
            wire = row.wire
            image = wire.get("image", {})
            texts = [reason["text"] for reason in wire.get("reasons", ())]
            if "error" in wire:
                texts = [wire["error"]["message"]]
            entry: list[Any] = [
                printable(row.path, _PATH_LIMIT),
                _LABELS.get(wire.get("label"), 3),
                round(10_000 * wire.get("probability", 0)),
                *(image.get("width", 0), image.get("height", 0)),
                [self.texts.setdefault(printable(text, 500), len(self.texts)) for text in texts],
            ]
            yield [*entry, printable(row.same_as, _PATH_LIMIT)] if row.same_as is not None else entry


class _Page:
    """The file in the making: everything but the data is written at once."""

    def __init__(self, file: TextIO, journal: Journal, images: str) -> None:
        self._file = file
        parts = resources.files(__package__)
        style, script, page = (
            (parts / name).read_text(encoding="utf-8")
            for name in ("report.css", "report.js", "report.html")
        )
        policy = (
            f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}';"
            f" img-src {images}; base-uri 'none'; form-action 'none'"
        )
        head, rest = page.replace("{policy}", policy).replace("{style}", style).split("{rows}")
        self._middle, self._foot = rest.replace("{script}", script).split("{pictures}")
        file.write(head)
        self._about = {
            "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "counts": journal.counts(),
        }

    def write_rows(self, rows: _Rows) -> int:
        """All but the pictures; returns how long it is."""
        length = self._write_packed("rows", rows)
        length += self._write_packed("texts", ([text] for text in rows.texts))
        length += self._write_packed("about", [[self._about]])
        return length + self._file.write(self._middle)

    def write_pictures(self, pictures: Iterable[list[Any]]) -> None:
        self._file.write('<script type="text/plain" id="data-pictures">[')
        for number, entry in enumerate(pictures):
            self._file.write(("," if number else "") + json.dumps(entry))
        self._file.write("]</script>" + self._foot)

    def _write_packed(self, id: str, entries: Iterable[list[Any]]) -> int:
        """A JSON array, deflated (RFC 1950) and in base64; returns its length."""
        packer = zlib.compressobj(6)
        left, length = b"", 0
        self._file.write(f'<script type="text/plain" id="data-{id}">')
        for piece in _pieces(entries):
            left += packer.compress(piece.encode())
            ready = len(left) // 3 * 3
            length += self._file.write(base64.b64encode(left[:ready]).decode())
            left = left[ready:]
        length += self._file.write(base64.b64encode(left + packer.flush()).decode())
        self._file.write("</script>\n")
        return length


def _pieces(entries: Iterable[list[Any]]) -> Iterator[str]:
    yield "["
    for number, entry in enumerate(entries):
        yield ("," if number else "") + json.dumps(entry, separators=(",", ":"))
    yield "]"


def _digest(text: str) -> str:
    """As a content security policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
