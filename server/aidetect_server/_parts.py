"""One program that `aidetect up` keeps running: how it starts, what it wrote last, how it ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aidetect._text import printable

_LEASH = Path(__file__).with_name("_leash.py")
LOG_BYTES = 10_000_000
_TAIL_BYTES, _TAIL_LINES, _TAIL_WIDTH = 8192, 8, 300
CONFIGURATION_STATUS = 2
"""Exit status of a program of aidetect that was told wrong: starting it again would not help."""


@dataclass
class Part:
    """`ready` says whether it works, asked again and again until it does; `ends_by` is the signal that
    ends it in order, within `grace` seconds; `after` names the parts that have to be ready first;
    `keeps` are descriptors that it inherits; without a `log` it writes where this process does."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    ready: Callable[[], bool]
    log: Path | None = None
    ends_by: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    orphaned: signal.Signals = signal.SIGTERM
    after: Sequence[str] = ()
    keeps: Sequence[int] = ()
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    is_ready: bool = field(default=False, init=False)
    started_at: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Starts it in a session of its own, so that Ctrl-C in the terminal reaches this process
        alone; on a leash, so that it ends with this process whatever happens. OSError where the
        program cannot be run at all."""
        leash = [sys.executable, "-I", str(_LEASH), str(os.getpid()), str(int(self.orphaned))]
        output = None if self.log is None else _open_log(self.log)
        try:
            self.process = subprocess.Popen(
                [*leash, *self.command],
                env=dict(self.environ),
                stdin=subprocess.DEVNULL if sys.platform == "linux" else subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=self.keeps,
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)
        self.is_ready, self.started_at = False, time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since it was started last."""
        return time.monotonic() - self.started_at

    def ended(self) -> int | None:
        """Its exit status once it has ended, negative for a signal; None while it runs."""
        return None if self.process is None else self.process.poll()

    def ask_to_end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.ends_by)

    def kill(self) -> None:
        """Ends it and whatever it has started, at once."""
        if self.process is None:
            return
        with suppress(ProcessLookupError, PermissionError):  # all of them have ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def forget(self) -> None:
        """Makes room for the next start."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process, self.is_ready = None, False

    def last_words(self) -> list[str]:
        """The end of its log, harmless to show."""
        if self.log is None:
            return []
        try:
            with open(self.log, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        lines = [line for line in text.splitlines() if line.strip()]
        return [printable(line, _TAIL_WIDTH) for line in lines[-_TAIL_LINES:]]

    def bound_log(self) -> None:
        """Keeps the log and the one before it, each of at most `LOG_BYTES` and what a tick adds."""
        if self.log is not None and self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)  # it is written in append mode: the next line is the first


def _open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def how_ended(status: int) -> str:
    """An exit status for people."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
