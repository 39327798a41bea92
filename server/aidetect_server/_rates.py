"""Rates such as `600/10 seconds`, counted in Redis by the library `limits`.

Windows are fixed, and begin at another moment for each who is counted: the count's answer then tells all
that the headers say, in one round trip, and clients that wait for the next window do not come back
together. At the border of two windows, twice the amount can pass.
"""

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItem
from limits import parse as parse_rate
from limits.storage import RedisStorage
from redis import Redis


@dataclass(frozen=True, slots=True)
class Rate:
    """`amount` requests in each window of `seconds`."""

    amount: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """From `600/10 seconds`, `5000/minute` or `20 per hour`; ValueError for what is none, zero or
        of a window longer than a day."""
        try:
            item: RateLimitItem = parse_rate(text)
        except ValueError:
            raise ValueError("give a rate such as 600/10 seconds or 5000/minute") from None
        rate = cls(item.amount, item.get_expiry())
        if not (0 < rate.amount <= 10**9 and 0 < rate.seconds <= 86400):
            raise ValueError("give a rate above zero, in a window of a day at most")
        return rate

    def __str__(self) -> str:
        return f"{self.amount}/{self.seconds} seconds"


@dataclass(frozen=True, slots=True)
class Usage:
    """What is left of a rate: `left`, below zero for a request over it, for `seconds` more."""

    policy: str
    rate: Rate
    left: int
    seconds: int

    @property
    def exceeded(self) -> bool:
        return self.left < 0


_SPEND_WHERE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return -1 end
local used = redis.call('INCR', KEYS[2])
if used == 1 then redis.call('EXPIRE', KEYS[2], ARGV[3]) end
return used
"""
"""Counts one request under KEYS[2], as the library does, where the field ARGV[1] still is ARGV[2]."""


class Rates:
    """Counts in the Redis that `redis` is a client of, shared by all servers on it."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.time) -> None:
        self._storage = RedisStorage(
            "redis://", connection_pool=redis.connection_pool, key_prefix="aidetect:rate"
        )
        self._spend_where = redis.register_script(_SPEND_WHERE)
        self._clock = clock

    def spend(self, policy: str, who: str, rate: Rate, cost: int = 1) -> Usage:
        """Counts `cost` requests of `who` under `policy`, also those over the rate. One round trip."""
        name, left = self._window(policy, who, rate)
        return Usage(policy, rate, rate.amount - self._storage.incr(name, rate.seconds, cost), left)

    def spend_where(
        self, policy: str, who: str, rate: Rate, record: tuple[str, str, bytes]
    ) -> Usage | None:
        """`spend` for one request, where a hash's field still has the value of `record` (hash, field,
        value); else None, and nothing is counted. One round trip for both."""
        name, left = self._window(policy, who, rate)
        counter = self._storage.prefixed_key(name)
        used: Any = self._spend_where([record[0], counter], [*record[1:], rate.seconds])
        return None if used < 0 else Usage(policy, rate, rate.amount - used, left)

    def _window(self, policy: str, who: str, rate: Rate) -> tuple[str, int]:
        """The name of the current window's count, and the seconds that are left of it."""
        now = self._clock() + zlib.crc32(who.encode()) % rate.seconds
        window, passed = divmod(now, rate.seconds)
        left = max(1, math.ceil(rate.seconds - passed))
        return f"{policy}:{who}:{rate.seconds}:{int(window)}", left
