"""One check on its way through a worker, and what gets its bytes."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from aidetect._engine import Prepared
from aidetect._fetch import Fetched
from aidetect._protocol import Outcome
from aidetect._provenance import Finding
from aidetect._result import PixelResult

from ._batch import Held
from ._cache import Recalled
from ._lookup import Found


@dataclass(slots=True, eq=False)
class Check:
    """One check on its way, and what is known of it so far."""

    held: Held
    began: float
    found: Found = field(default_factory=Found)
    stage: str = "fetch"
    running: float | None = None
    """When a thread began on its stage, None while it waits."""
    sealed: bytes | None = None
    read_ahead: bool = False
    """Whether `sealed` is the upload as it waits, or None because it is gone."""
    data: bytes | None = None
    reserved: int = 0
    """Bytes of the budget that `data` stands for."""
    fetched: Fetched | None = None
    sha256: str = ""
    recalled: Recalled | None = None
    prepared: Prepared | None = None
    claims: tuple[Finding, ...] = ()
    result: PixelResult | None = None
    error: Exception | None = None
    outcome: Outcome | None = None

    @property
    def interactive(self) -> bool:
        return self.held.request.priority == "interactive"

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While its thread waits for others, which is not the check's fault."""
        since, self.running = self.running, None
        began = time.monotonic()
        yield
        self.running = None if since is None else since + time.monotonic() - began

    @property
    def source(self) -> str | None:
        request = self.held.request
        return request.target if request.kind == "url" else None


class Fetch(Protocol):
    """Gets the bytes of checks, in many threads."""

    def __call__(self, check: Check) -> None:
        """Sets `data`, and `fetched` where it came from a URL; raises InputError."""

    def read_ahead(self, checks: Iterable[Check]) -> None:
        """Gets what many of them can have at once, without waiting."""

    def release(self, check: Check) -> None:
        """Its bytes are no longer held."""


def is_interactive(check: Check) -> bool:
    return check.interactive
