"""Pairing: a six-digit code, shown in the operator's terminal, is traded for a key of its own.

A code is good once, for two minutes, and a wrong guess costs every waiting code one of its five tries: a
guesser's chance is 5 in 1,000,000 for each code that was ever made. Of a code only an HMAC is stored. A
web page cannot try codes at all: its browser says that it is one.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from redis import Redis

from aidetect_worker._secrets import derive

from ._keys import DEFAULT_SCOPES, KeyInfo, KeyStore
from ._limits import limits
from ._openapi import answers, operation_id, validated
from ._problems import RequestError

SECONDS = 120
TRIES = 5
MAX_WAITING = 5
"""Codes that wait at a time; one more takes the place of the oldest."""

_WAITING = "aidetect:pairings"
"""Hash: HMAC of the code → JSON of `left` (tries), `until` (Unix time) and `grant`."""
_EXTENSIONS = ("chrome-extension://", "moz-extension://", "safari-web-extension://")

_TRY = """
local now, all = tonumber(ARGV[2]), redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    local code = cjson.decode(all[i + 1])
    if code['until'] <= now then
        redis.call('HDEL', KEYS[1], all[i])
    elseif all[i] == ARGV[1] then
        redis.call('HDEL', KEYS[1], all[i])
        redis.call('SET', KEYS[2], '', 'EX', ARGV[3])
        return code['grant']
    end
end
for _, mac in ipairs(redis.call('HKEYS', KEYS[1])) do
    local code = cjson.decode(redis.call('HGET', KEYS[1], mac))
    code['left'] = code['left'] - 1
    if code['left'] <= 0 then
        redis.call('HDEL', KEYS[1], mac)
    else
        redis.call('HSET', KEYS[1], mac, cjson.encode(code))
    end
end
return false
"""
"""Takes the code whose HMAC is ARGV[1] away and returns its grant, now being ARGV[2]; that it was used
is kept for ARGV[3] seconds. Where there is none, each waiting code loses a try."""


class Pairings:
    """The codes that wait in one Redis. `secret` is AIDETECT_SECRET."""

    def __init__(self, redis: Redis, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._redis, self._pepper, self._clock = redis, derive(secret, "pairing"), clock
        self._keys = KeyStore(redis, secret)

    def create(self, name: str = "paired", scopes: Iterable[str] = DEFAULT_SCOPES) -> str:
        """A new code of six digits, good for `SECONDS`. Who redeems it gets a key of this name and these
        scopes."""
        code = f"{secrets.randbelow(10**6):06d}"
        grant = json.dumps({"name": name, "scopes": list(scopes)})
        new = {"left": TRIES, "until": self._clock() + SECONDS, "grant": grant}
        waiting = sorted(self._waiting().items(), key=lambda item: item[1]["until"])
        with self._redis.pipeline() as pipe:
            for mac, _ in waiting[: max(0, len(waiting) - MAX_WAITING + 1)]:
                pipe.hdel(_WAITING, mac)
            pipe.hset(_WAITING, self._mac(code), json.dumps(new))
            pipe.expire(_WAITING, SECONDS)
            pipe.execute()
        return code

    def redeem(self, code: str) -> tuple[KeyInfo, str] | None:
        """The key for a code; None for a wrong, used, expired or replaced one, which costs a try."""
        mac = self._mac(code)
        values = (mac, str(self._clock()), str(SECONDS))
        grant = self._redis.eval(_TRY, 2, _WAITING, _used(mac), *values)
        if not isinstance(grant, bytes):
            return None
        wanted = json.loads(grant)
        return self._keys.create(wanted["name"], wanted["scopes"])

    def state(self, code: str) -> Literal["waiting", "used", "gone"]:
        """What became of a code; `gone` is expired, tried too often, or replaced."""
        mac = self._mac(code)
        if self._redis.exists(_used(mac)):
            return "used"
        return "waiting" if mac in self._waiting() else "gone"

    def _waiting(self) -> dict[str, Any]:
        found: Any = self._redis.hgetall(_WAITING)
        codes = {mac.decode(): json.loads(code) for mac, code in found.items()}
        return {mac: code for mac, code in codes.items() if code["until"] > self._clock()}

    def _mac(self, code: str) -> str:
        return hmac.new(self._pepper, code.encode(), hashlib.sha256).hexdigest()


def _used(mac: str) -> str:
    return f"aidetect:pairing-used:{mac}"


class NewPairing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[
        str,
        StringConstraints(pattern="^[0-9]{6}$", strict=True),
        Field(description="The six digits that `aidetect up` or `aidetect pair` shows."),
    ]


class Paired(BaseModel):
    key: Annotated[str, Field(description="A new key, shown this once.")]


def pairings_blueprint(pairings: Pairings) -> APIBlueprint:
    """POST /v1/pairings."""
    blueprint = APIBlueprint(
        "pairings", __name__, abp_tags=[Tag(name="server")], operation_id_callback=operation_id
    )

    @blueprint.post("/v1/pairings", responses=answers(403, 413, 415, 429, _201=Paired))
    @validated
    def pair(body: NewPairing) -> Response:
        """Trade a pairing code for a key. Needs no key."""
        _refuse_web_pages()
        found = pairings.redeem(body.code)
        if found is None:
            limits().spend_failure()
            raise RequestError(
                "This code is wrong, used or older than two minutes. Get one with `aidetect pair`.",
                status=403,
                code="pairing_code_wrong",
            )
        return Response(json.dumps({"key": found[1]}), 201, content_type="application/json")

    return blueprint


def _refuse_web_pages() -> None:
    """Raises RequestError for what a web page other than this server's own has sent."""
    origin = request.headers.get("Origin")
    if origin is None or origin.startswith(_EXTENSIONS):
        return
    if origin in (f"http://{request.host}", f"https://{request.host}"):
        return
    raise RequestError(
        "Web pages cannot pair. Give the code to the browser extension, or a program.",
        status=403,
        code="origin_not_allowed",
    )
