"""Where a check's bytes come from: its URL, or the upload that waits in Redis.

Bytes are counted as they are promised: before a body is read, its length (or, where the server names
none, the most that is allowed) is taken from the worker's budget, and given back once the image is
decoded. A fetch that has to wait for room loses none of its time by it.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext

import requests

from aidetect._fetch import Fetched, Fetcher
from aidetect._transport import running

from ._check import Check
from ._politeness import USER_AGENT, Politeness
from ._redis import UNAVAILABLE, Client
from ._settings import FetchSettings
from ._stages import Budget
from ._uploads import Uploads

SMALL = 1_000_000
"""Bytes of an upload up to which it is got together with others."""


class Current(threading.local):
    """The check that this thread gets the bytes of."""

    check: Check | None = None


class BoundedFetcher(Fetcher):
    """A Fetcher whose bodies count against a budget."""

    def __init__(self, budget: Budget, settings: FetchSettings) -> None:
        super().__init__(
            max_bytes=settings.max_bytes,
            timeout=settings.fetch_timeout,
            allow_private=settings.allow_private,
            user_agent=settings.user_agent or USER_AGENT,
            connections=settings.fetch_threads + settings.fetch_threads // 8 + 1,
        )
        self._budget = budget
        self.current = Current()

    def _read(
        self,
        response: requests.Response,
        name: str,
        hops: tuple[tuple[int, Mapping[str, str]], ...],
    ) -> Fetched:
        promised = min(response.raw.length_remaining or self.max_bytes, self.max_bytes)
        started = time.monotonic()
        with self.current.check.waiting() if self.current.check else nullcontext():
            self._budget.take(promised)
        running.deadline += time.monotonic() - started
        kept = 0
        try:
            answer = super()._read(response, name, hops)
            kept = len(answer.data)
            return answer
        finally:
            self._budget.give(promised - kept)


class Fetching:
    """Gets the bytes of checks; safe to share between threads."""

    def __init__(
        self,
        settings: FetchSettings,
        uploads: Uploads,
        budget: Budget,
        caches: Client | None,
    ) -> None:
        """`caches` is the Redis in which workers tell each other which hosts want rest."""
        self._uploads, self._budget = uploads, budget
        self._fetcher = BoundedFetcher(budget, settings)
        self._polite = Politeness(settings, caches, self._fetcher)

    def close(self) -> None:
        self._polite.close()

    def release(self, check: Check) -> None:
        """Its bytes are no longer held."""
        check.data = None
        self._budget.give(check.reserved)
        check.reserved = 0

    def read_ahead(self, checks: Iterable[Check]) -> None:
        """Gets the uploads of many checks in one round trip, as far as they are small and there is room.

        Raises one of UNAVAILABLE.
        """
        wanted = []
        for check in checks:
            if check.held.request.kind == "upload" and not check.reserved:
                size = _size(check)
                if size <= SMALL and self._budget.try_take(size):
                    check.reserved = size
                    wanted.append(check)
        if wanted:
            sealed = self._uploads.sealed([check.held.request.target for check in wanted])
            for check, each in zip(wanted, sealed, strict=True):
                check.sealed = each
                check.read_ahead = True

    def __call__(self, check: Check) -> None:
        """Sets its `data`, and `fetched` where it came from a URL. Raises InputError."""
        request = check.held.request
        if request.kind == "upload":
            self._open_upload(check)
            return
        self._fetcher.current.check = check
        check.fetched = self._polite.fetch(
            request.target,
            remembered=check.found.remembered,
            held_until=check.found.held_until,
            interactive=check.interactive,
        )
        check.reserved = len(check.fetched.data)
        if check.fetched.status != 304:
            check.data = check.fetched.data

    def _open_upload(self, check: Check) -> None:
        request = check.held.request
        with check.waiting():
            if not check.reserved:
                self._budget.take(_size(check))
                check.reserved = _size(check)
            while not check.read_ahead:
                try:
                    check.sealed = self._uploads.sealed([request.target])[0]
                    check.read_ahead = True
                except UNAVAILABLE:
                    time.sleep(0.5)
        sealed, check.sealed = check.sealed, None
        check.data = self._uploads.open(sealed, request.target, request.sha256 or "")


def _size(check: Check) -> int:
    """Bytes of an upload, which its key tells."""
    return int(check.held.request.target.rpartition("-")[2] or 0)
