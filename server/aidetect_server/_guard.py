"""Who comes in: every request passes here first, whatever it asks for.

1. Its Host has to be one of this server's names.
2. A browser's preflight is answered, without a key, since browsers send none.
3. A key, where there is one, has to be good, on every route; it pays for the request. Without a key the
   address does. Health checks and the page's files are free.

Views then say with `require_key` what they need.
"""

from flask import Flask, current_app, g, request
from redis import Redis

from ._cors import init_cors
from ._hosts import EXEMPT, Hosts, init_hosts
from ._keys import KeyStore
from ._limits import init_limits, limits
from ._problems import RequestError
from ._settings import ServerSettings

_EXTENSION = "aidetect_keys"


def init_guard(app: Flask, settings: ServerSettings, redis: Redis) -> None:
    """Sets the guards up, in their order. Raises ConfigurationError without AIDETECT_SECRET."""
    app.extensions[_EXTENSION] = KeyStore(redis, settings.secret)
    init_hosts(app, Hosts.parse(settings.allowed_hosts))
    init_cors(app)
    init_limits(app, settings, redis)
    app.before_request(_admit)


def key_store() -> KeyStore:
    """That of the application that answers the current request."""
    found: KeyStore = current_app.extensions[_EXTENSION]
    return found


def _is_page(path: str) -> bool:
    """The page and its files: a dozen requests at each opening, which would use up the rate of an
    office's one address; they need no Redis either."""
    return path == "/" or path.startswith("/static/")


def _admit() -> None:
    g.key = None
    if request.path in EXEMPT or _is_page(request.path) or request.method == "OPTIONS":
        return
    given = request.environ.get("HTTP_AUTHORIZATION")
    if given is None:
        limits().spend_address()
        return
    keys = key_store()
    held = keys.held(given)
    if held is not None:
        g.key = held.info
        if limits().spend_held(held):
            return
        g.key = None
    key = keys.find(given)
    if key is None:
        limits().spend_failure()
        raise RequestError(
            "This key is unknown, revoked or mistyped. Ask the server's operator for a new one.",
            status=401,
            code="key_invalid",
            headers={"WWW-Authenticate": 'Bearer realm="aidetect", error="invalid_token"'},
        )
    g.key = key
    limits().spend_key(key)
