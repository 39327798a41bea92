"""Keys: who may ask, and for what.

A key is `id.secret`: twelve hexadecimal digits that name it in lists and logs, and 256 random bits. Of
the whole only an HMAC-SHA-256 is stored, under a pepper that is derived from AIDETECT_SECRET: a copy of
Redis is of no use without that. Each request looks its key up, so that a key ends when it is revoked;
in the round trip that counts the request, where this process has seen the key before.
"""

import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import g
from redis import Redis

from aidetect import ConfigurationError
from aidetect._text import printable
from aidetect_worker._secrets import derive

from ._problems import RequestError
from ._rates import Rate

P = ParamSpec("P")
R = TypeVar("R")

SCOPES = ("check", "report", "metrics")
"""What a key may be for: checking images, reporting wrong verdicts, reading /metrics."""
DEFAULT_SCOPES = ("check", "report")
MAX_NAME = 100

_NAME = "aidetect:keys"
"""Hash: id → JSON of the key's record."""
_BEARER = re.compile(r"(?i:bearer) +([0-9a-f]{12})\.([A-Za-z0-9_-]{43})")
_CHALLENGE = 'Bearer realm="aidetect"'
_NOBODY = "0" * 12
_MOST_HELD = 4096


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key without its secret. `limit` is its own rate, such as `600/10 seconds`, or None for that of
    the server. `name` is the operator's word for it (untrusted text all the same)."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    limit: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A key as it was when it was looked up last. `record` is what Redis had of it (hash, field,
    value): it counts for nothing where Redis has another by now."""

    info: KeyInfo
    mac: str
    record: tuple[str, str, bytes]


class KeyStore:
    """The keys in one Redis. `secret` is AIDETECT_SECRET; ConfigurationError where it is not set."""

    def __init__(self, redis: Redis, secret: str) -> None:
        self._redis, self._pepper = redis, derive(secret, "keys")
        self._nobody = self._mac(_NOBODY, "")
        self._held: dict[str, Held] = {}

    def create(
        self, name: str, scopes: Iterable[str] = DEFAULT_SCOPES, limit: str | None = None
    ) -> tuple[KeyInfo, str]:
        """A new key, and the text `id.secret`, which nobody can show again.

        Raises ConfigurationError for an unknown scope, a rate that cannot be or a name too long.
        """
        wanted = set(scopes)
        if not wanted or not wanted <= set(SCOPES):
            raise ConfigurationError(f"a key has one or more of the scopes {', '.join(SCOPES)}")
        if not 0 < len(name) <= MAX_NAME:
            raise ConfigurationError(f"a key needs a name of at most {MAX_NAME} characters")
        if limit is not None:
            limit = _rate(limit)
        while True:
            info = KeyInfo(
                id=secrets.token_hex(6),
                name=name,
                scopes=tuple(scope for scope in SCOPES if scope in wanted),
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                limit=limit,
            )
            secret = secrets.token_urlsafe(32)
            record = json.dumps({**asdict(info), "mac": self._mac(info.id, secret)})
            if self._redis.hsetnx(_NAME, info.id, record):
                return info, f"{info.id}.{secret}"

    def find(self, authorization: str) -> KeyInfo | None:
        """Whose key the value of an Authorization header holds; None where it is no key, an unknown or
        a revoked one. Takes as long for an unknown id as for a wrong secret."""
        match = _BEARER.fullmatch(authorization)
        if match is None:
            return None
        id, secret = match.groups()
        stored: Any = self._redis.hget(_NAME, id)
        record: dict[str, Any] = json.loads(stored) if stored else {"mac": self._nobody}
        mac = record.pop("mac")
        if not hmac.compare_digest(mac, self._mac(id, secret)):
            return None
        info = _info(record)
        if len(self._held) >= _MOST_HELD:
            self._held.clear()
        self._held[id] = Held(info, mac, (_NAME, id, stored))
        return info

    def held(self, authorization: str) -> Held | None:
        """Whose key the value of an Authorization header was when `find` saw it last, without a round
        trip; None where this process cannot tell."""
        match = _BEARER.fullmatch(authorization)
        if match is None:
            return None
        id, secret = match.groups()
        held = self._held.get(id)
        known = hmac.compare_digest(held.mac if held else self._nobody, self._mac(id, secret))
        return held if known else None

    def list(self) -> list[KeyInfo]:
        """All keys, the oldest first."""
        records = [json.loads(record) for record in self._redis.hvals(_NAME)]
        for record in records:
            del record["mac"]
        return sorted(map(_info, records), key=lambda info: (info.created_at, info.id))

    def revoke(self, id: str) -> None:
        """Ends a key at once, on all servers. Raises ConfigurationError if there is none."""
        if not self._redis.hdel(_NAME, id):
            raise ConfigurationError(
                f"there is no key {printable(id, 40)!r}; `aidetect keys list` shows the ids there are"
            )

    def _mac(self, id: str, secret: str) -> str:
        return hmac.digest(self._pepper, f"{id}.{secret}".encode(), "sha256").hex()


def _rate(text: str) -> str:
    try:
        return str(Rate.parse(text))
    except ValueError as error:
        raise ConfigurationError(f"the limit {printable(text, 40)!r} cannot be used: {error}") from None


def _info(record: dict[str, Any]) -> KeyInfo:
    return KeyInfo(**{**record, "scopes": tuple(record["scopes"])})


def require_key(scope: str | None = "check") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for views that need a key of this scope (None: any); `flask.g.key` is its KeyInfo."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            authorise(scope)
            return view(*args, **kwargs)

        return guarded

    return decorate


def authorise(scope: str | None) -> KeyInfo:
    """The current request's key. Raises RequestError: 401 without a key, 403 without the scope.

    `_guard` has looked the key up before."""
    key: KeyInfo | None = g.get("key")
    if key is None:
        raise RequestError(
            "This needs a key. Send it as `Authorization: Bearer <id>.<secret>`; the server's operator "
            "makes one with `aidetect keys create`.",
            status=401,
            code="key_missing",
            headers={"WWW-Authenticate": _CHALLENGE},
        )
    if scope is not None and scope not in key.scopes:
        raise RequestError(
            f"This key lacks the scope {scope}. Use one that has it: "
            f"`aidetect keys create NAME --scope {scope}`.",
            status=403,
            code="scope_missing",
            headers={"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'},
        )
    return key
