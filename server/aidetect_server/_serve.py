"""`aidetect serve`: the server alone, under gunicorn with the settings that it was measured with."""

import argparse
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aidetect._cli._parsing import Commands
from aidetect._errors import ConfigurationError
from aidetect._settings import Settings, setting
from aidetect._text import printable

if TYPE_CHECKING:
    from flask import Flask

_EPILOG = """\
Redis, the secret and the model come from the environment: AIDETECT_REDIS_URL, AIDETECT_SECRET,
AIDETECT_MODEL; docs/operating.md lists all there is. Workers are started apart: `aidetect worker`.
For one computer, `aidetect up` runs everything with nothing to set.
"""
_MOST_PROCESSES = 4
_FIGURES = "aidetect-figures-"
_FRESH_SECONDS = 60.0
"""A younger folder may be of a server that has not locked it yet."""


def _address(text: str) -> str:
    """An address that gunicorn binds to; ValueError where it is none."""
    if text.startswith("unix:") and len(text) > len("unix:"):
        return text
    host, colon, port = text.rpartition(":")
    if not (colon and host.strip("[]") and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError("give HOST:PORT, [IPv6]:PORT or unix:PATH")
    return text


@dataclass(frozen=True)
class ServeSettings(Settings):
    """How `aidetect serve` runs; `gunicorn 'aidetect_server:create_app()'` reads none of it."""

    bind: str = setting(
        "127.0.0.1:8787",
        "AIDETECT_BIND",
        "where `aidetect serve` listens: `HOST:PORT`, `[IPv6]:PORT` or `unix:PATH`",
        parse=_address,
    )
    processes: int = setting(
        0,
        "AIDETECT_SERVER_PROCESSES",
        f"processes of `aidetect serve`; 0: one a core, {_MOST_PROCESSES} at most",
        least=0,
        most=64,
    )
    threads: int = setting(
        128,
        "AIDETECT_SERVER_THREADS",
        "threads of each process; has to exceed AIDETECT_MAX_WAITERS and AIDETECT_MAX_STREAMS together",
        least=2,
        most=4096,
    )
    grace: int = setting(
        25,
        "AIDETECT_GRACE",
        "seconds that requests may take to end once `aidetect serve` is told to stop",
        least=1,
        most=3600,
    )


def gunicorn_options(settings: ServeSettings, log_level: str) -> dict[str, Any]:
    """gunicorn's settings. What is slow to send its headers has to be cut by a proxy in front."""
    return {
        "bind": [settings.bind],
        "worker_class": "gthread",
        "workers": settings.processes or min(_MOST_PROCESSES, os.cpu_count() or 1),
        "threads": settings.threads,
        "worker_connections": max(1000, 4 * settings.threads),
        "timeout": 60,
        "graceful_timeout": settings.grace,
        "keepalive": 15,
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 8190,
        "forwarded_allow_ips": "",  # AIDETECT_PROXY_HOPS says whom to believe
        "loglevel": "warning" if log_level == "info" else log_level,
        "control_socket_disable": True,
        "preload_app": True,
        "child_exit": _forget_figures,
    }


def run_gunicorn(make: "Callable[[], Flask]", options: dict[str, Any]) -> None:
    """Runs until a signal ends it (by SystemExit). The application is made here, before any process is
    forked: a wrong setting is one sentence and not a traceback of each process."""
    from gunicorn.app.base import BaseApplication

    app = make()

    class Server(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in options.items():
                if name in self.cfg.settings:  # later versions have more
                    self.cfg.set(name, value)

        def load(self) -> "Flask":
            return app

    Server().run()


def require_free(bind: str) -> None:
    """Raises ConfigurationError where something listens at `bind` already, or nothing may."""
    if bind.startswith("unix:"):
        return
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, int(port)))
        except OSError as error:
            why = printable((error.strerror or str(error)).lower())
            raise ConfigurationError(
                f"{printable(bind)} cannot be listened at ({why}): end what holds it, or name another "
                "address or port"
            ) from None


def _forget_figures(_server: Any, worker: Any) -> None:
    """A process has ended: its gauges no longer count in /metrics."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


@contextmanager
def _figures() -> Iterator[str]:
    """A folder for the figures of this server's processes, locked as long as one of them lives. What
    servers that were killed have left goes."""
    import fcntl

    for left in Path(tempfile.gettempdir()).glob(f"{_FIGURES}*"):
        with suppress(OSError), _opened(left) as folder:
            if time.time() - os.fstat(folder).st_mtime > _FRESH_SECONDS:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
    name, owner = tempfile.mkdtemp(prefix=_FIGURES), os.getpid()
    try:
        with _opened(Path(name)) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield name
    finally:
        if os.getpid() == owner:  # a process of gunicorn's that ends comes by here too
            shutil.rmtree(name, ignore_errors=True)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "serve", help="run the HTTP server alone, for production", epilog=_EPILOG
    )
    parser.add_argument("--bind", metavar="ADDRESS", help="HOST:PORT or unix:PATH (127.0.0.1:8787)")
    parser.add_argument("--processes", type=int, metavar="N", help="processes (one a core, 4 at most)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    environ = dict(os.environ)
    if options.bind is not None:
        environ["AIDETECT_BIND"] = options.bind
    if options.processes is not None:
        environ["AIDETECT_SERVER_PROCESSES"] = str(options.processes)
    settings = ServeSettings.from_environment(environ)
    require_free(settings.bind)
    with _figures() as figures:
        # Several processes tell of themselves together; read when prometheus_client is imported.
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", figures)
        from . import create_app
        from ._settings import ServerSettings

        server = ServerSettings.from_environment()
        if settings.threads <= server.max_waiters + server.max_streams:
            raise ConfigurationError(
                f"AIDETECT_SERVER_THREADS is {settings.threads}: it has to exceed AIDETECT_MAX_WAITERS "
                f"({server.max_waiters}) and AIDETECT_MAX_STREAMS ({server.max_streams}) together"
            )
        try:
            run_gunicorn(create_app, gunicorn_options(settings, server.log_level))
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 1
    return 0
