"""Which files of folders are new and whole, found by looking again and again.

Looking works where notices of the operating system do not (network shares, containers' mounts, other
machines' writes), needs nothing installed, and costs one `stat` a file.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator

Stamp = tuple[int, int]
"""Size and time of the last change (ns): a file with others is another."""


class Watcher:
    """Files that appear, or change, from now on; each is given once it has rested for `settle` seconds
    with the same size and time, since a program may still be writing it.

    `listing` returns the paths that there are; `existing` takes those that are there already too.
    """

    def __init__(
        self,
        listing: Callable[[], Iterable[str]],
        *,
        settle: float,
        existing: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listing, self._settle, self._clock = listing, settle, clock
        self._given: dict[str, Stamp] = {} if existing else dict(self._stamps())
        self._resting: dict[str, tuple[Stamp, float]] = {}

    def look(self) -> list[str]:
        """The files that have become ready, in the order of the listing."""
        now, ready = self._clock(), []
        stamps = dict(self._stamps())
        for path, stamp in stamps.items():
            if self._given.get(path) == stamp:
                continue
            seen, since = self._resting.get(path, (None, now))
            if seen != stamp:
                self._resting[path] = (stamp, now)
            elif now - since >= self._settle:
                self._given[path] = stamp
                ready.append(path)
        self._given = {path: stamp for path, stamp in self._given.items() if path in stamps}
        self._resting = {
            path: rest
            for path, rest in self._resting.items()
            if path in stamps and self._given.get(path) != stamps[path]
        }
        return ready

    def forever(self, interval: float) -> Iterator[str]:
        """Files as they become ready. Looks every `interval` seconds, and rests at least nine times as
        long as a look takes, so that a large folder costs a tenth of a processor at most."""
        while True:
            started = self._clock()
            ready = self.look()
            rest = max(interval, 9 * (self._clock() - started))
            yield from ready
            time.sleep(rest)

    def _stamps(self) -> Iterator[tuple[str, Stamp]]:
        for path in self._listing():
            try:
                about = os.stat(path)
            except OSError:
                continue  # gone again
            if about.st_size:
                yield path, (about.st_size, about.st_mtime_ns)
