"""The threads that say that a worker is alive: to Redis, every few seconds, and to itself.

`Heart` renews the leases of the worker's jobs from its own thread, so that neither a long forward nor
a long fetch looks like death. `Watchdog` is the opposite: where the main loop no longer comes round,
say because a decoder hangs with the interpreter's lock held, the process ends itself, and its jobs are
rescued by others. It is a timer of C (`faulthandler`) that needs no lock to fire.
"""

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable

EVERY = 3.0
"""Seconds between two renewals; a lease lasts three times as long."""

STDERR = 2
"""Its descriptor: `sys.stderr` may be replaced by something that has none."""

log = logging.getLogger("aidetect.worker")


class Heart:
    """Calls `beat` every few seconds until stopped; what it raises is logged, once for each kind."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._stopped = threading.Event()
        self._last_error = ""
        self._thread = threading.Thread(target=self._run, name="aidetect-heart", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(EVERY):
            try:
                self._beat()
                self._last_error = ""
            except Exception as error:
                if type(error).__name__ != self._last_error:
                    log.warning("could not renew leases: %s", type(error).__name__)
                self._last_error = type(error).__name__


class Watchdog:
    """Ends the process with a traceback of all threads `seconds` after the last `feed`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._fed = 0.0

    def feed(self) -> None:
        if time.monotonic() - self._fed > min(1.0, self._seconds / 4):
            self._fed = time.monotonic()
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=STDERR)

    def rest(self) -> None:
        """Nothing is under way that could hang."""
        self._fed = 0.0
        faulthandler.cancel_dump_traceback_later()


def end_process(why: str) -> None:
    """Ends this process at once, whatever its threads hold on to. Exit status 75: try again."""
    log.critical("%s: this process ends; whatever runs it starts it again", why)
    faulthandler.dump_traceback(file=STDERR, all_threads=True)
    logging.shutdown()
    os._exit(75)
