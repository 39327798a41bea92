"""Check records: which key asked for what, found by a random id, kept for an hour.

A record is small, since it lies in the Redis that may not forget. That of a finished check holds the
answer itself, so that it reads the same each time, whatever the caches forget meanwhile.
"""

import json
import secrets
import zlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from redis import Redis

from aidetect._protocol import Outcome

from ._problems import UnknownCheckError

_SEEN_SECONDS = 30 * 86400
_SPARE_SECONDS = 30
"""For so long at least the check in an answer that is given again can still be read by its id."""


@dataclass(frozen=True, slots=True)
class Record:
    """One check of one key. `job` is the shared job that answers it, `outcome` its answer once known."""

    key: str
    job: str | None = None
    outcome: Outcome | None = None
    signature: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    def finished(self, outcome: Outcome, signature: str | None) -> "Record":
        return replace(self, outcome=outcome, signature=signature)

    def pack(self) -> bytes:
        wire = {
            "key": self.key,
            "job": self.job,
            "created_at": self.created_at,
            "outcome": self.outcome.to_dict() if self.outcome else None,
            "signature": self.signature,
        }
        return zlib.compress(json.dumps(wire).encode(), 1)

    @classmethod
    def unpack(cls, id: str, packed: bytes) -> "Record":
        wire: dict[str, Any] = json.loads(zlib.decompress(packed))
        outcome = wire.pop("outcome")
        return cls(id=id, outcome=Outcome.from_dict(outcome) if outcome else None, **wire)


class Answer(NamedTuple):
    """The body of an answer with a finished check, and its ETag without quotes."""

    body: bytes
    etag: str


class Records:
    """The records in Redis, and which images each key has sent and was answered (`cache` may forget)."""

    def __init__(self, redis: "Redis", cache: "Redis", seconds: int) -> None:
        self._redis, self._cache, self._seconds = redis, cache, seconds

    def save(self, record: Record) -> None:
        self._redis.set(_name(record.id), record.pack(), ex=self._seconds)

    def load(self, id: str, key: str) -> Record:
        """The check with this id. Raises UnknownCheckError where there is none, or another key's."""
        packed = self._redis.get(_name(id))
        if isinstance(packed, bytes):
            record = Record.unpack(id, packed)
            if secrets.compare_digest(record.key, key):
                return record
        raise UnknownCheckError

    def delete(self, record: Record) -> None:
        verdict = record.outcome.verdict if record.outcome else None
        if verdict is not None:
            self._cache.delete(_answered(record.key, verdict.image.sha256))
        self._redis.delete(_name(record.id))

    def note_image(self, key: str, sha256: str) -> None:
        """That this key has sent this image."""
        self._cache.set(_seen(key, sha256), b"", ex=_SEEN_SECONDS)

    def note_answer(self, key: str, sha256: str, stamp: str, answer: Answer) -> None:
        """The answer to this key's question for this image, to be given again while `stamp` holds."""
        seconds = max(1, self._seconds - _SPARE_SECONDS)
        noted = b"\n".join((stamp.encode(), answer.etag.encode(), answer.body))
        self._cache.set(_answered(key, sha256), noted, ex=seconds)

    def sent(self, key: str, sha256: str, stamp: str) -> tuple[bool, Answer | None]:
        """Whether this key has sent this image, and the answer that was noted under the same stamp. One
        round trip."""
        names = [_seen(key, sha256), _answered(key, sha256)]
        seen, answered = cast(list[bytes | None], self._cache.mget(names))
        parts = (answered or b"").split(b"\n", 2)
        if len(parts) < 3 or parts[0] != stamp.encode():
            return seen is not None, None
        return seen is not None, Answer(parts[2], parts[1].decode())


def _name(id: str) -> str:
    return f"aidetect:check:{id}"


def _answered(key: str, sha256: str) -> str:
    return f"aidetect:answered:{key}:{sha256}"


def _seen(key: str, sha256: str) -> str:
    return f"aidetect:seen:{key}:{sha256}"
