"""`aidetect keys` and `aidetect pair`: who may use the server.

They work on the Redis that AIDETECT_REDIS_URL names, with AIDETECT_SECRET; where neither is set, on that
of this user's running `aidetect up`.
"""

import json
import os
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from aidetect._cli._parsing import Commands
from aidetect._cli._terminal import say
from aidetect._errors import ConfigurationError
from aidetect._text import printable

if TYPE_CHECKING:
    from redis import Redis

    from ._settings import ServerSettings

_SCOPES = ("check", "report", "metrics")
_POLL_SECONDS = 0.5

_KEYS = """\
A key lets a program or a person use the server. Its text is shown once, when it
is made; the server keeps only a hash of it."""


def add_keys(commands: Commands) -> None:
    """Adds `keys` and its own commands."""
    keys = commands.add_parser("keys", help="make, list and revoke keys", description=_KEYS)
    actions = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    action = actions.add_parser("create", help="make a key and print it, this once")
    action.add_argument("name", metavar="NAME", help="what you will know it by in the list")
    action.add_argument(
        "--scope",
        action="append",
        choices=_SCOPES,
        metavar="SCOPE",
        help=f"what it is for: {', '.join(_SCOPES)}; may be given again (default: check, report)",
    )
    action.add_argument(
        "--limit",
        metavar="RATE",
        help="a rate of its own, such as 6000/10seconds or 100/minute (default: AIDETECT_KEY_LIMIT)",
    )
    action.set_defaults(run=create_key)
    action = actions.add_parser("list", help="list the keys, without their secrets")
    action.add_argument("--json", action="store_true", help="one key a line, as JSON")
    action.set_defaults(run=list_keys)
    action = actions.add_parser("revoke", help="end a key, at once")
    action.add_argument("id", metavar="ID", help="as in the list: what stands before the dot")
    action.set_defaults(run=revoke_key)
    action = actions.add_parser(
        "rotate-signing",
        help="make a new key to sign verdicts with; what was signed before stays verifiable",
    )
    action.set_defaults(run=rotate_signing_key)


def add_pair(commands: Commands) -> None:
    """Adds `pair`."""
    pair = commands.add_parser(
        "pair",
        help="connect the browser extension to the server by a code",
        description="Prints a code of six digits, which the extension trades for a key of its own.",
    )
    pair.add_argument("--name", default="paired", help="name of the key (default: %(default)s)")
    pair.set_defaults(run=pair_extension)


def create_key(options: Namespace) -> int:
    from ._keys import DEFAULT_SCOPES, KeyStore

    with running_server() as (settings, redis):
        info, text = KeyStore(redis, settings.secret).create(
            options.name, options.scope or DEFAULT_SCOPES, options.limit
        )
    say(f"key {info.id} may {' and '.join(info.scopes)}; it is shown this once, so keep it now:")
    print(text)
    return 0


def list_keys(options: Namespace) -> int:
    from ._keys import KeyStore

    with running_server() as (settings, redis):
        keys = KeyStore(redis, settings.secret).list()
    for key in keys:
        if options.json:
            print(json.dumps(asdict(key)))
            continue
        limit = f"  {printable(key.limit)}" if key.limit else ""
        print(f"{key.id}  {key.created_at}  {','.join(key.scopes):<20}  {printable(key.name)}{limit}")
    if not keys:
        say("there is no key; `aidetect keys create NAME` makes one")
    return 0


def revoke_key(options: Namespace) -> int:
    from ._keys import KeyStore

    with running_server() as (settings, redis):
        KeyStore(redis, settings.secret).revoke(options.id.partition(".")[0])
    say("the key is revoked: no server takes it any more")
    return 0


def rotate_signing_key(options: Namespace) -> int:
    from ._settings import ServerSettings
    from ._signing import Signer, signing_folder

    folder = signing_folder(ServerSettings.from_environment())
    kid = Signer(folder).rotate()
    say(f"verdicts are signed with the key {kid} from now on; it lies in {printable(str(folder))}")
    return 0


def pair_extension(options: Namespace) -> int:
    """Shows a code and waits for what becomes of it: 0 used, 1 not used in time."""
    from ._pairing import Pairings

    with running_server() as (settings, redis):
        pairings = Pairings(redis, settings.secret)
        code = pairings.create(options.name)
        say("give this code to the extension, within two minutes:")
        print(code, flush=True)
        while (state := pairings.state(code)) == "waiting":
            time.sleep(_POLL_SECONDS)
    if state == "used":
        say("paired; `aidetect keys list` shows the new key")
        return 0
    say("the code was not used in time, or guessed at too often; run this again for a new one")
    return 1


@contextmanager
def running_server() -> Iterator[tuple["ServerSettings", "Redis"]]:
    """The settings of the server that this concerns, and a client of its Redis.

    For those of the operator's commands that need both. Raises ConfigurationError where there is no
    server, or its Redis does not answer.
    """
    from redis.exceptions import RedisError

    from aidetect_worker._redis import connect

    settings = _settings(os.environ)
    redis = connect(settings.redis_url, retries=0)
    try:
        yield settings, redis
    except RedisError as error:
        raise ConfigurationError(
            f"the server's Redis does not answer ({type(error).__name__}). Start it, or `aidetect up`, "
            "or correct AIDETECT_REDIS_URL."
        ) from None
    finally:
        redis.close()


def _settings(environ: Mapping[str, str]) -> "ServerSettings":
    from ._settings import ServerSettings

    if environ.get("AIDETECT_REDIS_URL") or environ.get("AIDETECT_SECRET"):
        return ServerSettings.from_environment(environ)
    from ._home import Home, default_folder

    home = Home(default_folder(environ)) if default_folder(environ).is_dir() else None
    secret, url = (home.read("secret"), home.read("redis.url")) if home else ("", "")
    if not (secret and url):
        raise ConfigurationError(
            "no server is known here. Start `aidetect up`, or set AIDETECT_REDIS_URL and "
            "AIDETECT_SECRET as they are for the server."
        )
    return ServerSettings.from_environment(environ, secret=secret, redis_url=url)
