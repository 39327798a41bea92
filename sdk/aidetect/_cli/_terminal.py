"""What the command line knows of the terminal: streams, colour, progress, Ctrl-C."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TextIO

Colour = Literal["red", "green", "yellow", "dim", "bold"]

_CODES: dict[Colour, int] = {"red": 31, "green": 32, "yellow": 33, "dim": 2, "bold": 1}
_REDRAW_SECONDS = 0.1


def say(message: str) -> None:
    """One line to the user that is not a result. `message` has to be harmless already."""
    print(f"aidetect: {message}", file=sys.stderr, flush=True)


def say_once_from(logger: str) -> None:
    """Says the first that a logger of the library tells, where somebody waits for it at a terminal; what
    progress has drawn in that line is shorter and vanishes under it."""
    import logging  # not at the top: most commands need none

    class First(logging.Handler):
        said = False

        def emit(self, record: logging.LogRecord) -> None:  # one thread at a time: it holds a lock
            if not self.said:
                self.said = True
                sys.stderr.write("\r")
                say(record.getMessage())

    if sys.stderr.isatty():
        logging.getLogger(logger).setLevel(logging.INFO)
        logging.getLogger(logger).addHandler(First())


def tolerant(*streams: TextIO) -> None:
    """Lets the streams write any text: what their encoding lacks (cp1252 on Windows) is escaped."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


@contextmanager
def streams() -> Iterator[None]:
    """Within it, stdout and stderr take any text; where a caller has closed one (`>&-`), it leads
    nowhere instead of being None."""
    missing = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        for name in missing:
            setattr(sys, name, nowhere)
        tolerant(sys.stdout, sys.stderr)
        try:
            yield
        finally:
            for name in missing:
                setattr(sys, name, None)


def discard_output() -> None:
    """Sends what is still buffered nowhere, so that the interpreter's last flush cannot fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                os.dup2(nowhere, stream.fileno())
    finally:
        os.close(nowhere)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it, Ctrl-C ends the process with status 130, at once and without a word.

    KeyboardInterrupt would first wait for the threads that download, up to their time limit. A
    caller's own handler and an ignored signal (`nohup`) are left as they are.
    """
    mine = threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if mine:
        signal.signal(signal.SIGINT, _end_at_once)
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _end_at_once(number: int, frame: object) -> None:
    if os.isatty(2):
        os.write(2, b"\n")  # leaves the line of the progress; sys.stderr may be in use
    os._exit(130)


def use_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Colour is for terminals that show it; NO_COLOR forbids it, FORCE_COLOR asks for it."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    if not stream.isatty() or environment.get("TERM") == "dumb":
        return False
    return os.name != "nt" or "WT_SESSION" in environment or "TERM" in environment


def painter(colour: bool) -> Callable[[str, Colour], str]:
    """A function that puts text in a colour, or leaves it as it is."""

    def paint(text: str, name: Colour) -> str:
        return f"\x1b[{_CODES[name]}m{text}\x1b[0m" if colour else text

    return paint


class Progress:
    """One line such as `12/300  41.0/s  ETA 7 s`, rewritten in place; nothing where `stream` is no
    terminal. `clear` takes it away before other output is written, `step` counts and draws."""

    def __init__(
        self,
        total: int,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        what: str = "",
    ) -> None:
        self._total, self._stream, self._clock = total, stream, clock
        self._what = f"{what}  " if what else ""
        self._on = total > 1 and stream.isatty()
        self._started = self._drawn_at = clock()
        self._done = self._width = 0

    def step(self) -> None:
        """One more of the total is done."""
        self._done += 1
        now = self._clock()
        if self._on and (now - self._drawn_at >= _REDRAW_SECONDS or self._width):
            self._draw(now)

    def skip(self) -> None:
        """One of the total needs no work: it does not count, so that the rate stays true."""
        self._total -= 1

    def clear(self) -> None:
        """Leaves an empty line and the cursor at its start."""
        if self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0

    def _draw(self, now: float) -> None:
        rate = self._done / max(now - self._started, 1e-9)
        left = max(0, self._total - self._done) / rate
        text = f"{self._what}{self._done}/{self._total}  {rate:.1f}/s  ETA {duration(left)}"
        self._write("\r" + text.ljust(self._width))
        self._width, self._drawn_at = len(text), now

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def duration(seconds: float) -> str:
    """`7 s`, `2 min 5 s` or `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
