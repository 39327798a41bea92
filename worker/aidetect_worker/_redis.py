"""Redis clients from URLs, with the time-outs and retries that suit each use.

Everything sent through them can be sent twice without harm: a command whose answer was lost on the way
is repeated, a few times and with growing pauses.
"""

from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from redis import Redis, Sentinel
from redis.backoff import EqualJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from aidetect._errors import ConfigurationError

UNAVAILABLE = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OutOfMemoryError)
"""What Redis raises while it is away, loading, failing over or full: come back later."""

TIMEOUT = 5.0
"""Seconds for connecting and for the answer to one command."""

MAX_CONNECTIONS = 10_000
"""Connections of one client: more than a process has threads. redis-py 8's own bound of 100 is below
a server's 128 threads, and what is beyond it fails at once, as if Redis were away."""

Client = Redis


def connect(url: str, *, timeout: float = TIMEOUT, retries: int = 3, **options: Any) -> Client:
    """A client with its own pool, safe to share between threads and to inherit by a fork; nothing is
    connected yet.

    `timeout` has to exceed what a blocking command waits. `retries` repeats a command after a lost
    connection, after pauses of 25 ms to 1 s. What the URL's query sets (`ssl_ca_certs`, `db`, …) counts
    before what is set here. Raises ConfigurationError for a URL that cannot be.
    """
    back_off = EqualJitterBackoff(cap=1.0, base=0.05) if retries else NoBackoff()
    options = {
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, TIMEOUT),
        "health_check_interval": 30,
        "max_connections": MAX_CONNECTIONS,
        "retry": Retry(back_off, retries),
        **options,
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    try:
        if "+sentinel:" in url:
            return _sentinel(url, options)
        client: Client = Redis.from_url(url, **options)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # finds options that it does not know
        return client
    except (ValueError, TypeError, RedisError) as error:
        shown = urlsplit(url).scheme[:20] + "://…"
        raise ConfigurationError(
            f"the Redis address {shown} cannot be used ({type(error).__name__}): give it as "
            "redis://[user:password@]host:port/database, rediss://… for TLS, unix:///path, or "
            "redis+sentinel://host:port,host:port/service/database"
        ) from None


def _sentinel(url: str, options: dict[str, Any]) -> Client:
    """`redis+sentinel://user:password@host:port,host:port/service/database?sentinel_password=…`."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis+sentinel", "rediss+sentinel"):
        raise ValueError("unknown scheme")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    sentinels = []
    for host in hosts.split(","):
        name, _, port = host.rpartition(":")
        sentinels.append((name.strip("[]"), int(port)))
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("no service name")
    asked = dict(parse_qsl(parts.query))
    tls = {"ssl": True} if parts.scheme.startswith("rediss") else {}
    # One that does not answer is not asked twice: there is another.
    own: dict[str, Any] = {"socket_timeout": TIMEOUT, "retry": Retry(NoBackoff(), 0), **tls}
    for name in [name for name in asked if name.startswith("sentinel_")]:
        own[name.removeprefix("sentinel_")] = asked.pop(name)
    watchers: Any = Sentinel  # redis-py leaves its arguments without types
    master_for = watchers(sentinels, sentinel_kwargs=own, **tls, **asked).master_for
    find = partial(master_for, service, db=int(database or 0), **options)
    client: Client = find(username=unquote(user) or None, password=unquote(password) or None)
    return client
