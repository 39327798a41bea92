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


class Rates:
    """Counts in the Redis that `redis` is a client of, shared by all servers on it."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.time) -> None:
        self._storage = RedisStorage(
            "redis://", connection_pool=redis.connection_pool, key_prefix="aidetect:rate"
        )
        self._clock = clock

    def spend(self, policy: str, who: str, rate: Rate, cost: int = 1) -> Usage:
        """Counts `cost` requests of `who` under `policy`, also those over the rate. One round trip."""
        now = self._clock() + zlib.crc32(who.encode()) % rate.seconds
        window, passed = divmod(now, rate.seconds)
        used = self._storage.incr(f"{policy}:{who}:{rate.seconds}:{int(window)}", rate.seconds, cost)
        return Usage(policy, rate, rate.amount - used, max(1, math.ceil(rate.seconds - passed)))
