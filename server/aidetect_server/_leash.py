"""Runs a program that ends when whoever started it does, even by `kill -9`.

`python _leash.py PARENT SIGNAL PROGRAM [ARGUMENT …]`: PARENT is the starter's process id, SIGNAL the
number of the signal that ends the program in an orderly way. On Linux the kernel keeps the promise
(prctl(2), PR_SET_PDEATHSIG) and the program takes this process's place. Elsewhere this process stays
beside the program and reads standard input, a pipe whose other end the starter holds open: its end
is the starter's end. Run as a file, so that nothing of the package is imported.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 5.0
GONE = 3
"""Exit status where the starter had ended before the promise was made."""


def bind_to_parent(parent: int, end: int) -> None:
    """Linux: the kernel sends `end` to this process when the starting thread ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, end, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent:
        sys.exit(GONE)


def watch(end: int, command: list[str]) -> int:
    """Runs `command` until it ends, or until standard input does; returns its exit status."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda received, _: program.send_signal(received))

    def end_with_starter() -> None:
        while os.read(0, 1):
            pass
        program.send_signal(end)
        try:
            program.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            program.kill()

    threading.Thread(target=end_with_starter, daemon=True).start()
    status = program.wait()
    return status if status >= 0 else 128 - status


def main(arguments: list[str]) -> int:
    parent, end, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    if sys.platform != "linux":
        return watch(end, command)
    bind_to_parent(parent, end)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
