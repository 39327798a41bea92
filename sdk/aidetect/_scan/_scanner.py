"""Checks files into a journal: each once, what is known not at all, a bad one like any other."""

import os
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .._errors import InputError
from .._image_format import identify
from .._reading import read
from .._text import printable
from .._verdict import Verdict
from ._journal import Journal, Row

if TYPE_CHECKING:
    from .._detector import Detector


def scan(
    detector: "Detector", paths: Iterable[str | InputError], journal: Journal, max_bytes: int
) -> Generator[Row | None, None, None]:
    """Checks `paths` into `journal`, yielding the row of each as it is answered, and None for a file
    that had its answer from an earlier run. An error among the paths is its own answer.

    A few files are in memory at a time. Rows come in about the order of the paths: one whose bytes are
    those of another waits for it. Raises ConfigurationError where the journal cannot be written.
    """
    work = _Scan(journal, max_bytes)
    for answer in detector.check_many(work.unknown(paths)):  # type: ignore[arg-type]
        work.take(answer)
        while work.told:
            yield work.told.popleft()
    yield from work.told
    journal.commit()


class _SameBytes(InputError):
    """Instead of the bytes of a file: another with the same has its verdict, or is about to."""

    def __init__(self, first: "Row | _File") -> None:
        super().__init__("")
        self.first = first


class _File:
    """A file as `check_many` takes it: opened in one of its threads, a few at a time, where its bytes
    are also hashed and looked for, beside the network."""

    def __init__(self, path: str, about: os.stat_result | None, work: "_Scan") -> None:
        self.name, self.about, self._work = path, about, work
        self._rest: BytesIO | None = None
        self.digest = ""
        self.row: Row | None = None
        self.same: list[_File] = []
        """Files with the same bytes that wait for this one's answer."""

    def read(self, size: int) -> bytes:
        if self._rest is None:
            self._rest = BytesIO(self._work.bytes_of(self))
        part = self._rest.read(size)
        if not part:
            self._rest = BytesIO()
        return part


class _Scan:
    """The state of one scan. All but `bytes_of` runs in the thread that iterates."""

    def __init__(self, journal: Journal, max_bytes: int) -> None:
        self._journal, self._max_bytes = journal, max_bytes
        self._in_order: deque[_File] = deque()
        self.told: deque[Row | None] = deque()
        self._running: dict[str, _File] = {}
        self._lock = threading.Lock()

    def unknown(self, paths: Iterable[str | InputError]) -> Iterator[_File]:
        """The files to be checked; the others are dealt with in passing."""
        for path in paths:
            if isinstance(path, InputError):
                self._keep(Row(path.input or "", {"error": path.to_dict()}))
                continue
            try:
                about = os.stat(path)
            except (OSError, ValueError):
                about = None  # reading it will say what is wrong
            if about and self._journal.unchanged(path, about.st_size, about.st_mtime_ns):
                self.told.append(None)
                continue
            self._in_order.append(_File(path, about, self))
            yield self._in_order[-1]

    def bytes_of(self, file: _File) -> bytes:
        """Raises _SameBytes where another file with them is checked, or was; InputError."""
        data = read(file.name, self._max_bytes)
        if not data:
            identify(data, file.name)  # says so; handed on, it would look like a file read before
        file.digest = sha256(data).hexdigest()
        with self._lock:
            first = self._journal.with_hash(file.digest) or self._running.get(file.digest)
            if first is not None:
                raise _SameBytes(first)
            self._running[file.digest] = file
        return data

    def take(self, answer: Verdict | InputError) -> None:
        """The answer for the file that is the next in order."""
        file = self._in_order.popleft()
        if isinstance(answer, _SameBytes):
            first = answer.first
            if isinstance(first, _File) and first.row is None:
                first.same.append(file)
            else:
                self._copy(first if isinstance(first, Row) else first.row, file)
            return
        wire = answer.to_dict() if isinstance(answer, Verdict) else {"error": answer.to_dict()}
        file.row = _row(file, wire)
        self._keep(file.row)
        with self._lock:
            self._running.pop(file.digest, None)
        for other in file.same:
            self._copy(file.row, other)

    def _copy(self, first: Row | None, file: _File) -> None:
        """Gives `file` the answer of another with the same bytes."""
        if first is None:
            raise AssertionError("a file waits for one that has no answer")
        if first.path == file.name:  # given twice, or touched since an earlier run
            self._keep(replace(_row(file, first.wire), same_as=first.same_as))
            return
        if "error" in first.wire:
            error = first.wire["error"]
            message = f"{printable(file.name)}: has the same bytes as another, and {error['message']}"
            wire: dict[str, Any] = {"error": {**error, "message": message, "input": file.name}}
        else:
            wire = {**first.wire, "source": file.name}
        self._keep(replace(_row(file, wire), same_as=first.same_as or first.path))

    def _keep(self, row: Row) -> None:
        self._journal.save(row)
        self.told.append(row)


def _row(file: _File, wire: dict[str, Any]) -> Row:
    about = file.about
    return Row(
        file.name, wire, None, about.st_size if about else None, about.st_mtime_ns if about else None
    )
