"""Fetching as a guest: few connections to a host, its Retry-After obeyed, another try where that helps.

A host that answers 429, or 503 with a time, is left alone until then by every worker: the time is kept
in Redis for as long as it lasts, LONGEST_HOLD seconds at most, and reaches workers with their look-ups.
"""

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aidetect import FetchError, HTTPStatusError, __version__
from aidetect._fetch import Fetched, Fetcher, shown

from . import _names
from ._freshness import Remembered
from ._redis import UNAVAILABLE, Client
from ._settings import FetchSettings

USER_AGENT = f"aidetect-images/{__version__} (image check)"
LONGEST_HOLD = 60.0
"""Seconds; a host that asks for more is asked again then."""
UNSAID_HOLD = 5.0
"""Seconds, after a 429 that names none."""
TRIES = {"dns": 2, "timeout": 2}
"""By the error's code; three of what else may go over."""
PAUSE = 0.25
"""Seconds before the second try, doubled each time, give or take half."""


class Politeness:
    """A `Fetcher` with manners, to be shared by the threads that fetch.

    `redis` is that of the caches; None keeps what hosts ask for to this process.
    """

    def __init__(
        self, settings: FetchSettings, redis: Client | None = None, fetcher: Fetcher | None = None
    ) -> None:
        """`fetcher` instead of one made from the settings."""
        self._fetcher = fetcher or Fetcher(
            max_bytes=settings.max_bytes,
            timeout=settings.fetch_timeout,
            allow_private=settings.allow_private,
            user_agent=settings.user_agent or USER_AGENT,
            connections=settings.fetch_threads,
        )
        self._redis, self._settings = redis, settings
        self._changed = threading.Condition()
        self._active: Counter[str] = Counter()
        self._held_until: dict[str, float] = {}
        self._closing = threading.Event()

    def close(self) -> None:
        """Ends all waiting for hosts; what is being downloaded goes on."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()

    def fetch(
        self,
        url: str,
        *,
        remembered: Remembered | None = None,
        held_until: float = 0.0,
        interactive: bool = True,
    ) -> Fetched:
        """What the URL names; with `remembered` a 304 where it is that still.

        Blocks for `fetch_deadline` seconds at most: while its host has as many connections as it may
        (one of them is for interactive checks), until `held_until` (seconds since 1970), between tries.
        Raises what `Fetcher.fetch` does; a host that asks for more patience than there is gives an
        HTTPStatusError of 429.
        """
        host = _names.host_of(url)
        give_up = time.monotonic() + self._settings.fetch_deadline
        self._hold(host, held_until)
        for attempt in range(1, 1 + max(3, *TRIES.values())):
            with self._slot(url, host, give_up, interactive):
                try:
                    return self._ask(url, remembered, give_up)
                except FetchError as error:
                    pause = self._pause(host, error, attempt)
                    if pause is None or time.monotonic() + pause >= give_up:
                        raise
            self._closing.wait(pause)
        raise AssertionError("the last try raises")

    def _ask(self, url: str, remembered: Remembered | None, give_up: float) -> Fetched:
        if remembered is not None:
            answer = self._fetcher.fetch(url, headers=remembered.headers(), timeout=_rest(give_up))
            if answer.status != 304 or remembered.still_names(answer):
                return answer
        return self._fetcher.fetch(url, timeout=_rest(give_up))

    def _pause(self, host: str, error: FetchError, attempt: int) -> float | None:
        """Seconds until the next try, None where there is none."""
        asked = error.retry_after if isinstance(error, HTTPStatusError) else None
        status = error.status if isinstance(error, HTTPStatusError) else None
        pause: float = PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
        if status == 429 or (status == 503 and asked is not None):
            pause = min(UNSAID_HOLD if asked is None else asked, LONGEST_HOLD)
            self._tell(host, pause)
        last = not error.retryable or self._closing.is_set() or attempt >= TRIES.get(error.code, 3)
        return None if last else pause

    @contextmanager
    def _slot(self, url: str, host: str, give_up: float, interactive: bool) -> Iterator[None]:
        """One of the host's connections, once the host may be asked."""
        most = self._settings.host_connections
        limit = most if interactive else max(1, most - 1)
        with self._changed:
            while True:
                pause = self._held_until.get(host, 0.0) - time.time()
                left = give_up - time.monotonic()
                if pause > left or left <= 0 or (self._closing.is_set() and pause > 0):
                    raise _impatient(url, max(pause, 1.0))
                if pause <= 0 and self._active[host] < limit:
                    break
                self._changed.wait(min(left, pause) if pause > 0 else left)
            self._active[host] += 1
        try:
            yield
        finally:
            with self._changed:
                self._active[host] -= 1
                if not self._active[host]:
                    del self._active[host]
                self._changed.notify_all()

    def _hold(self, host: str, until: float) -> None:
        until = min(until, time.time() + LONGEST_HOLD)
        with self._changed:
            now = time.time()
            if until > max(now, self._held_until.get(host, 0.0)):
                self._held_until = {name: end for name, end in self._held_until.items() if end > now}
                self._held_until[host] = until

    def _tell(self, host: str, seconds: float) -> None:
        """Lets this process and all others leave the host alone."""
        until = time.time() + seconds
        self._hold(host, until)
        if self._redis is not None and seconds > 0:
            with suppress(*UNAVAILABLE):
                self._redis.set(_names.held(host), repr(until), px=math.ceil(1000 * seconds))


def _rest(give_up: float) -> float:
    return max(0.01, give_up - time.monotonic())


def _impatient(url: str, seconds: float) -> HTTPStatusError:
    name = shown(url)
    return HTTPStatusError(
        f"{name}: its server is busy, or asked for a pause. Try again in {math.ceil(seconds)} seconds.",
        status=429,
        retry_after=math.ceil(seconds),
        input=name,
    )
