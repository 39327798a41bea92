"""How many requests may hold a thread while they wait, and how long the others are sent away for."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

MAX_WAIT = 20.0
"""Seconds that one request may wait. A browser ends an extension's idle worker after 30."""


class Slots:
    """Places for waiting requests of one process. No key may hold more than its share, so that one
    key's patience leaves threads for everybody else."""

    def __init__(self, total: int, share: float = 0.5) -> None:
        self.total = total
        self.each = max(1, int(total * share))
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        return self._held.total()

    @contextmanager
    def slot(self, key: str) -> Iterator[bool]:
        """Whether there is a place for `key`; where there is, it is held until the end."""
        with self._lock:
            free = self._held.total() < self.total and self._held[key] < self.each
            if free:
                self._held[key] += 1
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._held[key] -= 1
                    if not self._held[key]:
                        del self._held[key]


def retry_after(position: int | None, crowded: bool) -> int:
    """Seconds after which asking again makes sense: sooner near the head of the queue, later where
    all places are taken and every client comes back, and then not all of them together."""
    queued = min(10, 1 + (position or 0) // 50)
    return max(queued, 5 + random.randrange(5)) if crowded else queued
