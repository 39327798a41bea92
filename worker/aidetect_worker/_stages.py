"""The parts of a worker's line: lanes of threads, a budget of bytes, and what is ready for the model."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Line(Generic[Item]):
    """First in, first out, but interactive before bulk. Not for several threads."""

    def __init__(self, interactive: Callable[[Item], bool]) -> None:
        self._interactive = interactive
        self._first: deque[Item] = deque()
        self._rest: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._first) + len(self._rest)

    @property
    def interactive(self) -> int:
        """How many of them are."""
        return len(self._first)

    def add(self, item: Item) -> None:
        (self._first if self._interactive(item) else self._rest).append(item)

    def take(self, *, only_interactive: bool = False) -> Item | None:
        if self._first:
            return self._first.popleft()
        return self._rest.popleft() if self._rest and not only_interactive else None


class Gathering(Generic[Item]):
    """What is worth doing for several at once. Not for several threads."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> None:
        if not self._items:
            self._since = time.monotonic()
        self._items.append(item)

    def due(self, enough: int, seconds: float) -> bool:
        """Whether there are `enough`, or the first has waited for so long."""
        return bool(self._items) and (
            len(self._items) >= enough or time.monotonic() - self._since >= seconds
        )

    def take(self) -> list[Item]:
        taken, self._items = self._items, []
        return taken


class Lane(Generic[Item]):
    """Threads that call `work` with each item that is put in, interactive ones first.

    `reserved` further threads take interactive items only, so that slow bulk ones cannot hold them all.
    `work` must not raise. The threads are daemons: a hung one does not keep the process alive.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        work: Callable[[Item], None],
        interactive: Callable[[Item], bool],
        reserved: int = 0,
    ) -> None:
        self._line: Line[Item] = Line(interactive)
        self._work = work
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._filled_interactive = threading.Condition(self._lock)
        self._interactive = interactive
        self._closed = False
        for number in range(threads + reserved):
            threading.Thread(
                target=self._run,
                args=(number >= threads,),
                name=f"aidetect-{name}-{number}",
                daemon=True,
            ).start()

    def put(self, item: Item) -> None:
        with self._lock:
            self._line.add(item)
            self._filled.notify()
            if self._interactive(item):
                self._filled_interactive.notify()

    def close(self) -> None:
        """Ends the threads that wait; what still waits in line is dropped."""
        with self._lock:
            self._closed = True
            self._filled.notify_all()
            self._filled_interactive.notify_all()

    def _run(self, only_interactive: bool) -> None:
        filled = self._filled_interactive if only_interactive else self._filled
        while True:
            with self._lock:
                while (item := self._line.take(only_interactive=only_interactive)) is None:
                    if self._closed:
                        return
                    filled.wait()
            self._work(item)


class Budget:
    """Bytes that may be held at a time. What alone is more than all of it is admitted alone.

    Who waits is served in turn: else what is large would wait for as long as small ones come along.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._freed = threading.Condition()
        self._line: deque[object] = deque()

    def take(self, amount: int) -> None:
        """Waits until there is room."""
        ticket = object()
        with self._freed:
            self._line.append(ticket)
            self._freed.wait_for(lambda: self._line[0] is ticket and self._fits(amount))
            self._line.popleft()
            self.used += amount
            self._freed.notify_all()

    def try_take(self, amount: int) -> bool:
        """Whether there was room, and nobody waited; without waiting."""
        with self._freed:
            if self._line or not self._fits(amount):
                return False
            self.used += amount
            return True

    def _fits(self, amount: int) -> bool:
        return self.used == 0 or self.used + amount <= self.limit

    def give(self, amount: int) -> None:
        with self._freed:
            self.used -= amount
            self._freed.notify_all()


class Ready(Generic[Item]):
    """Decoded images in front of the model.

    `take` waits for the first, and then no longer than `max_wait` for more: only while there is room in
    the batch and more are on their way. While the model is busy they gather by themselves. Interactive
    ones are not made to share a forward with as many bulk ones as fit: on a CPU that takes longer.
    """

    def __init__(self, max_batch: int, max_wait: float, interactive: Callable[[Item], bool]) -> None:
        self.max_batch, self.max_wait = max_batch, max_wait
        self._line: Line[Item] = Line(interactive)
        self._changed = threading.Condition()
        self._coming = 0
        self._closed = False
        self._oldest = 0.0

    def __len__(self) -> int:
        return len(self._line)

    def expect(self, count: int) -> None:
        """`count` more (or, below zero, fewer) are on their way."""
        with self._changed:
            self._coming += count
            self._changed.notify_all()

    def add(self, item: Item) -> None:
        """One of those that were on their way has come."""
        with self._changed:
            if not self._line:
                self._oldest = time.monotonic()
            self._line.add(item)
            self._coming -= 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> list[Item]:
        """The next batch; empty once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed)
            if self._closed:
                return []
            due = self._oldest + self.max_wait
            self._changed.wait_for(
                lambda: len(self._line) >= self.max_batch or self._coming <= 0 or self._closed,
                timeout=max(0.0, due - time.monotonic()),
            )
            size = min(self.max_batch, len(self._line))
            if self._line.interactive:
                size = min(size, max(self._line.interactive, self.max_batch // 8))
            batch = [item for _ in range(size) if (item := self._line.take()) is not None]
            self._oldest = time.monotonic()
            return batch
