"""`aidetect up`: everything on this computer with one command and nothing to set.

A Redis-compatible server of its own, one worker, the HTTP server with its page. Secrets, the key and
the queue's data stay in a private folder (`_home`), so that the same key works the next time.
"""

import argparse
import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from aidetect._cli._parsing import Commands
from aidetect._cli._terminal import say
from aidetect._errors import ConfigurationError

from ._home import Home, default_folder

if TYPE_CHECKING:
    from ._keys import KeyStore

_EPILOG = """\
Ctrl-C ends everything. Keys, secrets, logs and the queue are kept in AIDETECT_HOME (default: aidetect
in ~/.local/share, or where XDG_DATA_HOME says), for this user alone. With AIDETECT_REDIS_URL that Redis
is used instead of one of its own. What else can be set, docs/operating.md lists.
"""
_HOST = "127.0.0.1"
_SECRET_BYTES = 32


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "up", help="run server, worker and web page on this computer", epilog=_EPILOG
    )
    parser.add_argument("--port", type=_port, default=8787, metavar="N", help="port (8787)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--verbose", action="store_true", help="show the logs here instead of writing them to files"
    )
    parser.set_defaults(run=_run)


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give one from 1 to 65535")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    if sys.platform == "win32":
        raise ConfigurationError(
            "`aidetect up` runs on Linux and macOS; on Windows, use the Linux subsystem (WSL)"
        )
    # Heavy for a command's `--help`.
    from ._local import local_parts, lock_of
    from ._serve import require_free
    from ._supervisor import Supervisor

    home = Home(default_folder())
    with ExitStack() as stack:
        stack.enter_context(_alone(home, options.port))
        served = stack.enter_context(lock_of(home, "server"))
        require_free(f"{_HOST}:{options.port}")
        environ = _environment(home, options.port)
        _require_model(environ)
        parts = stack.enter_context(local_parts(home, environ, options.verbose, served))

        def ready() -> None:
            _welcome(home, environ, options.open)

        say("starting; this takes some seconds")
        Supervisor(parts, ready, say).run()
    say("ended")
    return 0


@contextmanager
def _alone(home: Home, port: int) -> Iterator[None]:
    """Raises ConfigurationError where this user's `aidetect up` runs already."""
    with home.lock("up.lock") as held:
        if held is None:
            running = home.read("running") or "at an address that it printed"
            raise ConfigurationError(
                f"`aidetect up` runs already, {running}; use that one, end it with Ctrl-C where it was "
                "started, or give this one a folder of its own in AIDETECT_HOME and another --port"
            )
        home.write("running", f"as process {os.getpid()} at http://{_HOST}:{port}/")
        yield


def _environment(home: Home, port: int) -> dict[str, str]:
    """What the parts find in their environment: what is set here, and else what is kept."""
    environ = dict(os.environ)
    if not environ.get("AIDETECT_SECRET", "").strip():
        environ["AIDETECT_SECRET"] = home.keep("secret", lambda: secrets.token_urlsafe(_SECRET_BYTES))
    environ |= {
        "AIDETECT_BIND": f"{_HOST}:{port}",
        "AIDETECT_SERVER_PROCESSES": "1",
        "AIDETECT_GRACE": "3",
    }
    environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    return environ


def _require_model(environ: Mapping[str, str]) -> None:
    """Raises ModelNotFoundError or ModelIntegrityError at once, and not in a worker's log."""
    from aidetect._engine import fleet_fingerprint

    fleet_fingerprint(environ.get("AIDETECT_MODEL") or None, environ.get("AIDETECT_VIEWS") or "default")


def _welcome(home: Home, environ: Mapping[str, str], open_page: bool) -> None:
    """Says where the page is, and with which key; opens it where that was asked for."""
    from redis.exceptions import RedisError

    from aidetect_worker._redis import connect

    from ._keys import KeyStore
    from ._pairing import Pairings

    address, secret = f"http://{environ['AIDETECT_BIND']}/", environ["AIDETECT_SECRET"]
    try:
        with closing(connect(environ["AIDETECT_REDIS_URL"])) as client:
            key = _kept_key(home, KeyStore(client, secret))
            codes = [Pairings(client, secret).create() for _ in range(1 + open_page)]
    except RedisError as error:
        raise ConfigurationError(
            f"Redis stopped answering ({type(error).__name__}) when all was ready; try again"
        ) from None
    say(f"ready at {address}#key={key}")
    say(f"to connect the browser extension, give it the code {codes[0]} (once, within two minutes)")
    say(f"logs are in {home.folder}/logs; Ctrl-C ends everything")
    if open_page:
        # A code and no key: what a browser is started with, all users of this computer can see.
        page = f"{address}#pair={codes[1]}"
        threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()


def _kept_key(home: Home, keys: "KeyStore") -> str:
    """The key of the last time, or a new one where that is not known (any more)."""
    kept = home.read("key")
    if not kept or keys.find(f"Bearer {kept}") is None:
        _, kept = keys.create("aidetect up")
        home.write("key", kept)
    return kept
