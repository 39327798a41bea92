"""What a scan has answered so far, in one SQLite file, so that it can stop at any moment and go on.

SQLite, since a killed process then loses what was not committed and no more, memory stays flat
however many files there are, and everything written afterwards is a query.
"""

import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .._errors import ConfigurationError, InputError
from .._text import printable
from .._verdict import Verdict

BATCH = 64
BATCH_SECONDS = 1.0
"""Answers are committed after so many, or so many seconds: what a killed scan has to check again."""

_APPLICATION = 0x41494454
_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY, path BLOB UNIQUE NOT NULL, size INTEGER, modified INTEGER, engine TEXT,
    sha256 TEXT, same_as BLOB, label TEXT, probability REAL, wire BLOB NOT NULL, run INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS by_hash ON answers (sha256, engine);
"""
_SAVE = """
INSERT INTO answers (path, size, modified, engine, sha256, same_as, label, probability, wire, run)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET
    size = excluded.size, modified = excluded.modified, engine = excluded.engine,
    sha256 = excluded.sha256, same_as = excluded.same_as, label = excluded.label,
    probability = excluded.probability, wire = excluded.wire, run = excluded.run
"""
_ORDERS = {"found": "id", "highest": "probability DESC, id", "unsurest": "ABS(probability - 0.5), id"}


@dataclass(frozen=True, slots=True)
class Row:
    """One file of a scan. `wire` is the verdict's wire form, or `{"error": …}`; `same_as` names the
    file with the same bytes that was checked in its place."""

    path: str
    wire: dict[str, Any] = field(hash=False)
    same_as: str | None = None
    size: int | None = None
    modified: int | None = None

    @property
    def answer(self) -> Verdict | InputError:
        """The verdict, or an error with the message and the code of what it was."""
        if "error" not in self.wire:
            return Verdict.from_dict(self.wire)
        error = InputError(self.wire["error"]["message"], input=self.wire["error"].get("input"))
        error.code = self.wire["error"]["code"]
        return error


class Journal:
    """The answers of all runs over one set of folders. `path` None keeps them until it is closed.

    `engine` names what answers: rows of another are checked again. One journal serves several threads
    of one process; a second process is told that it is in use. Raises ConfigurationError where the file
    cannot be used.
    """

    def __init__(self, path: str | None, engine: str) -> None:
        self._name, self._engine = printable(path or "(temporary file)"), engine
        self._lock = threading.RLock()
        self._unsaved, self._saved_at = 0, time.monotonic()
        with self._told():
            self._db = sqlite3.connect(path or "", timeout=1.0, check_same_thread=False)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def _open(self) -> None:
        ours = (_APPLICATION, _VERSION)
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        found = tuple(self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS)
        if found != ours and self._db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("it is another program's, or another version's")
        for name, value in zip(_PRAGMAS, ours, strict=True):
            self._db.execute(f"PRAGMA {name} = {value}")
        self._db.executescript(_TABLES)
        self.run = 1 + (self._db.execute("SELECT MAX(run) FROM answers").fetchone()[0] or 0)
        self._db.execute("BEGIN IMMEDIATE")  # takes the lock now, and not with the first answer
        self._db.commit()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._db.close()

    def unchanged(self, path: str, size: int, modified: int) -> bool:
        """Whether this very file has its verdict already; it then belongs to this run too."""
        with self._told():
            found = self._db.execute(
                "UPDATE answers SET run = ? WHERE path = ? AND size = ? AND modified = ? AND engine = ?"
                " AND label IS NOT NULL",
                (self.run, os.fsencode(path), size, modified, self._engine),
            )
            self._count(found.rowcount)
        return found.rowcount > 0

    def with_hash(self, sha256: str) -> Row | None:
        """A file with these bytes that has its verdict."""
        with self._told():
            found = self._db.execute(
                "SELECT path, wire, same_as, size, modified FROM answers"
                " WHERE sha256 = ? AND engine = ? AND label IS NOT NULL ORDER BY id LIMIT 1",
                (sha256, self._engine),
            ).fetchone()
        return _row(*found) if found else None

    def save(self, row: Row) -> None:
        """Keeps a row in place of what was known of its path."""
        wire = row.wire
        packed = zlib.compress(json.dumps(wire, separators=(",", ":")).encode(), 1)
        values = (
            *(os.fsencode(row.path), row.size, row.modified, self._engine),
            wire.get("image", {}).get("sha256"),
            os.fsencode(row.same_as) if row.same_as is not None else None,
            *(wire.get("label"), wire.get("probability"), packed, self.run),
        )
        with self._told():
            self._db.execute(_SAVE, values)
            self._count(1)

    def commit(self) -> None:
        with self._told():
            self._db.commit()
            self._unsaved, self._saved_at = 0, time.monotonic()

    def rows(self, order: str = "found", *, where: str = "1") -> Iterator[Row]:
        """The rows of this run: in the order `found`, the `highest` probability first, or the
        `unsurest`. `where` is SQL of this package over the columns."""
        query = (
            "SELECT path, wire, same_as, size, modified FROM answers"
            f" WHERE run = ? AND {where} ORDER BY {_ORDERS[order]}"
        )
        with self._told():
            for found in self._db.execute(query, (self.run,)):
                yield _row(*found)

    def counts(self) -> dict[str, int]:
        """Rows of this run by label, `error` for those without one, and `duplicates` among all."""
        with self._told():
            counts = dict.fromkeys(("ai", "real", "uncertain", "error"), 0)
            query = "SELECT COALESCE(label, 'error'), COUNT(*) FROM answers WHERE run = ? GROUP BY 1"
            counts |= dict(self._db.execute(query, (self.run,)))
            query = "SELECT COUNT(*) FROM answers WHERE run = ? AND same_as IS NOT NULL"
            (counts["duplicates"],) = self._db.execute(query, (self.run,)).fetchone()
        return counts

    def _count(self, changes: int) -> None:
        self._unsaved += changes
        if self._unsaved >= BATCH or (
            self._unsaved and time.monotonic() - self._saved_at >= BATCH_SECONDS
        ):
            self.commit()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """One thread at a time; errors of SQLite in our terms."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                if "locked" in str(error):
                    problem, advice = "another scan is using it", "Wait for it, or name another file"
                elif isinstance(error, sqlite3.OperationalError):
                    problem = f"it cannot be read or written ({printable(str(error), 100)})"
                    advice = "Check the folder, its permissions and the free space"
                else:
                    problem = f"it is no journal of a scan ({printable(str(error), 100)})"
                    advice = "Remove it, or name another file"
                raise ConfigurationError(f"{self._name}: {problem}. {advice}.") from None


_PRAGMAS = ("application_id", "user_version")


def _row(path: bytes, wire: bytes, same_as: bytes | None, size: int | None, modified: int | None) -> Row:
    first = os.fsdecode(same_as) if same_as is not None else None
    return Row(os.fsdecode(path), json.loads(zlib.decompress(wire)), first, size, modified)
