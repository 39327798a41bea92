"""How often a key and an address may ask, told in the header fields RateLimit and RateLimit-Policy
(draft-ietf-httpapi-ratelimit-headers), and refused with 429 and Retry-After.

A request with a good key counts for that key alone, so that neighbours behind one address cannot starve
each other. What comes without a key, or with a wrong one, counts for its address.
"""

from dataclasses import dataclass
from functools import lru_cache

from flask import Flask, Response, current_app, g, request
from redis import Redis

from ._addresses import client_address
from ._keys import Held, KeyInfo
from ._problems import RequestError
from ._rates import Rate, Rates, Usage
from ._settings import ServerSettings

_EXTENSION = "aidetect_limits"
_parsed = lru_cache(1024)(Rate.parse)


@dataclass(frozen=True)
class Limits:
    rates: Rates
    key: Rate
    address: Rate
    failure: Rate
    hops: int

    def spend_key(self, key: KeyInfo, cost: int = 1) -> None:
        """Raises RequestError (429) where the key has used its rate up, as the others here do."""
        _refuse_or_note(self.rates.spend("key", key.id, self._rate(key), cost))

    def spend_held(self, key: Held) -> bool:
        """`spend_key`, where the key is still what it was; else False, and nothing is counted."""
        info = key.info
        usage = self.rates.spend_where("key", info.id, self._rate(info), key.record)
        if usage is not None:
            _refuse_or_note(usage)
        return usage is not None

    def spend_address(self) -> None:
        """Counts a request without a key."""
        _refuse_or_note(self.rates.spend("address", self.whose(), self.address))

    def spend_failure(self) -> None:
        """Counts a wrong key or a wrong pairing code."""
        _refuse_or_note(self.rates.spend("failure", self.whose(), self.failure))

    def _rate(self, key: KeyInfo) -> Rate:
        return _parsed(key.limit) if key.limit else self.key

    def whose(self) -> str:
        return client_address(request.environ, self.hops)


def limits() -> Limits:
    """Those of the application that answers the current request."""
    found: Limits = current_app.extensions[_EXTENSION]
    return found


def charge(cost: int) -> None:
    """Counts `cost` requests more for the current request's key: what does the work of many."""
    key: KeyInfo | None = g.get("key")
    if key is not None and cost > 0:
        limits().spend_key(key, cost)


def _refuse_or_note(usage: Usage) -> None:
    g.rate_usage = usage
    if usage.exceeded:
        raise RequestError(
            f"More than {usage.rate.amount} requests in {usage.rate.seconds} seconds. "
            f"Try again in {usage.seconds} seconds.",
            status=429,
            code="rate_limited",
            headers={"Retry-After": str(usage.seconds)},
        )


def init_limits(app: Flask, settings: ServerSettings, redis: Redis) -> None:
    app.extensions[_EXTENSION] = Limits(
        Rates(redis),
        Rate.parse(settings.key_limit),
        Rate.parse(settings.address_limit),
        Rate.parse(settings.failure_limit),
        settings.proxy_hops,
    )

    @app.after_request
    def tell(response: Response) -> Response:
        usage: Usage | None = g.get("rate_usage")
        if usage is not None:
            name, rate = usage.policy, usage.rate
            response.headers["RateLimit-Policy"] = f'"{name}";q={rate.amount};w={rate.seconds}'
            response.headers["RateLimit"] = f'"{name}";r={max(0, usage.left)};t={usage.seconds}'
        return response
