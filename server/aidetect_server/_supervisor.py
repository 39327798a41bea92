"""Keeps several programs running, and ends all of them together.

One thread, woken by signals through a pipe and otherwise by the clock: the kernel ends a leashed
program with the *thread* that started it, so all are started by the main thread.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from aidetect._errors import AidetectError

from ._parts import CONFIGURATION_STATUS, Part, how_ended

MOST_DEATHS = 5
FIRST_PAUSE = 0.5
"""Seconds before a part is started again; doubled with each death."""

HEALTHY_SECONDS = 60.0
"""A part that has run for so long starts afresh with its count of deaths."""

READY_SECONDS = 180.0
_STARTING_TICK, _TICK = 0.1, 2.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class PartFailedError(AidetectError):
    """A part cannot be kept running; what it wrote last was said before."""

    code = "part_failed"


class Supervisor:
    """Runs the parts in their order until a signal asks for the end.

    `on_ready` is called once, when all of them are ready for the first time; `say` tells a person of
    parts that ended and are started again.
    """

    def __init__(
        self, parts: Sequence[Part], on_ready: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        self._parts = parts
        self._on_ready, self._say = on_ready, say
        self._deaths = {part.name: 0 for part in parts}
        self._ever_ready: set[str] = set()
        self._start_at = {part.name: 0.0 for part in parts}
        self._told = False

    def run(self) -> None:
        """Returns when SIGINT, SIGTERM or SIGHUP came and all parts have ended.

        Raises PartFailedError, with all parts ended too, where one of them cannot be kept running.
        """
        with _signals() as wait:
            try:
                while not wait(self._tick()):
                    pass
            finally:
                self._end(wait)

    def _tick(self) -> float:
        """One look at all parts; returns the seconds until the next."""
        for part in self._parts:
            self._look_after(part)
        ready = all(part.is_ready for part in self._parts)
        if ready and not self._told:
            self._told = True
            self._on_ready()
        return _TICK if ready else _STARTING_TICK

    def _look_after(self, part: Part) -> None:
        if part.process is None:
            others = {other.name for other in self._parts if other.is_ready}
            if time.monotonic() >= self._start_at[part.name] and others.issuperset(part.after):
                try:
                    part.start()
                except OSError as error:
                    raise PartFailedError(f"{part.name} cannot be started: {error}") from None
            return
        status = part.ended()
        if status is not None:
            self._bury(part, status)
        elif not part.is_ready:
            if part.ready():
                part.is_ready = True
                self._ever_ready.add(part.name)
            elif part.age > READY_SECONDS:
                raise self._failed(part, f"was not ready within {READY_SECONDS:.0f} s")
        else:
            part.bound_log()
            if part.age > HEALTHY_SECONDS:
                self._deaths[part.name] = 0

    def _bury(self, part: Part, status: int) -> None:
        """Plans the next start of a part that has ended, or raises where that is no use."""
        how = how_ended(status)
        if status == CONFIGURATION_STATUS or (status >= 0 and part.name not in self._ever_ready):
            raise self._failed(part, f"could not start ({how})")
        self._deaths[part.name] += 1
        deaths = self._deaths[part.name]
        if deaths >= MOST_DEATHS:
            raise self._failed(part, f"ended {deaths} times ({how} at last)")
        part.kill()  # what it had started
        part.forget()
        pause = FIRST_PAUSE * 2 ** (deaths - 1)
        self._start_at[part.name] = time.monotonic() + pause
        self._say(f"{part.name} ended ({how}); starting it again in {pause:g} s")

    def _failed(self, part: Part, what: str) -> PartFailedError:
        for line in part.last_words():
            self._say(f"{part.name}: {line}")
        log = f"; its log is {part.log}" if part.log else ""
        return PartFailedError(f"{part.name} {what}{log}")

    def _end(self, wait: Callable[[float], bool]) -> None:
        """Ends the parts, each within its grace, those that others need last; a second signal ends
        them at once."""
        hurry = False
        needed = {name for part in self._parts for name in part.after}
        for last in (False, True):
            parts = [part for part in self._parts if (part.name in needed) is last]
            asked_at = time.monotonic()
            for part in parts:
                part.ask_to_end()
            for part in parts:
                while part.process is not None and part.ended() is None and not hurry:
                    left = asked_at + part.grace - time.monotonic()
                    if left <= 0:
                        break
                    hurry = wait(min(left, 0.5))
                part.kill()
                part.forget()


@contextmanager
def _signals() -> Iterator[Callable[[float], bool]]:
    """A function that waits for so many seconds, or until a child ends, and says whether a signal
    asks for the end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)

    def wait(seconds: float) -> bool:
        ready, _, _ = select.select([reader], [], [], seconds)
        return bool(ready) and any(number in _ENDING for number in os.read(reader, 4096))

    old_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # `nohup` ignores SIGHUP, and means it.
    numbers = [n for n in (*_ENDING, signal.SIGCHLD) if signal.getsignal(n) != signal.SIG_IGN]
    old = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield wait
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_wakeup)
        os.close(reader)
        os.close(writer)
