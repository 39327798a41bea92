"""The workers that are alive, as their heartbeats tell."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Self

from rq.utils import as_text
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from . import _names
from ._job import QUEUE
from ._redis import Client

HEARTBEAT_TTL = 15
"""Seconds without a heartbeat after which a worker is taken for dead."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One worker. `fingerprint` is its engine's, `jobs` how many it has answered, `since` its start in
    seconds since 1970."""

    name: str
    model: str
    version: str
    fingerprint: str
    device: str
    host: str
    jobs: int
    since: float

    def to_json(self) -> str:
        """What a heartbeat writes, with HEARTBEAT_TTL, to the key `_names.worker(name)`."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Raises ValueError for what no worker of this version wrote; unknown fields are ignored."""
        wire: dict[str, Any] = json.loads(text)
        try:
            return cls(**{each.name: wire[each.name] for each in dataclasses.fields(cls)})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a heartbeat: {error!r}") from None


def workers(redis: Client) -> list[WorkerInfo]:
    """The live ones, by name. Two round trips: RQ's register of the queue's workers, then heartbeats."""
    registered = sorted(redis.smembers(WORKERS_BY_QUEUE_KEY % QUEUE))
    names = [as_text(key).removeprefix("rq:worker:") for key in registered]
    if not names:
        return []
    alive = []
    for text in redis.mget([_names.worker(name) for name in names]):
        try:
            alive += [WorkerInfo.from_json(text)] if text else []
        except ValueError:
            continue
    return alive
