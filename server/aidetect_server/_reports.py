"""Reports that a verdict is wrong: kept for ninety days, bounded, and what a confirmed one changes.

A key has one report an image, a later one replaces it. The image itself is kept only where its sender
adds it, encrypted under a key derived from AIDETECT_SECRET. A confirmed report marks the image's hash as
disputed: every later verdict says so, until the operator takes the mark away.
"""

import hashlib
import json
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis import Redis

from aidetect import ConfigurationError, Reason, Verdict
from aidetect._text import printable
from aidetect_worker._secrets import derive

from ._problems import RequestError
from ._settings import ServerSettings

SECONDS = 90 * 86400
MARKS_SECONDS = 5.0
"""For this long a process believes the disputed hashes that it read last."""

_INDEX, _IMAGES, _DISPUTED = "aidetect:reports", "aidetect:reports:images", "aidetect:disputed"
_NONCE = 12

_KEEP = """
local now, id, until_ = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
for _, name in ipairs({KEYS[1], KEYS[2], KEYS[3]}) do
    redis.call('ZREMRANGEBYSCORE', name, '-inf', now)
end
local function drop_image()
    for _, image in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
        if string.sub(image, 1, #id + 1) == id .. ':' then redis.call('ZREM', KEYS[3], image) end
    end
    redis.call('DEL', KEYS[5])
end
local known = redis.call('ZSCORE', KEYS[2], id)
if not known and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then return 'key' end
if not known and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[7]) then return 'all' end
if ARGV[5] ~= '' then
    local sum = #ARGV[5]
    for _, image in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
        sum = sum + tonumber(string.match(image, '%d+$'))
    end
    if sum > tonumber(ARGV[8]) then return 'bytes' end
    drop_image()
    redis.call('ZADD', KEYS[3], until_, id .. ':' .. #ARGV[5])
    redis.call('SET', KEYS[5], ARGV[5], 'EXAT', until_)
else
    drop_image()
end
redis.call('ZADD', KEYS[1], until_, id)
redis.call('ZADD', KEYS[2], until_, id)
redis.call('EXPIREAT', KEYS[2], until_)
redis.call('SET', KEYS[4], ARGV[4], 'EXAT', until_)
return 'kept'
"""
"""Keeps the report ARGV[2] (record ARGV[4], sealed image ARGV[5] or '') until ARGV[3], now being
ARGV[1], unless its key has ARGV[6] already, all have ARGV[7], or all images exceed ARGV[8] bytes."""


@dataclass(frozen=True, slots=True)
class Report:
    """One report. `label` is what the reporter says the image is, `verdict` and `probability` what the
    server said; `note` is the reporter's own words: untrusted text. Times are ISO 8601, in UTC."""

    id: str
    key: str
    sha256: str
    label: Literal["ai", "real"]
    note: str
    verdict: str
    probability: float
    model: str
    has_image: bool
    created_at: str
    confirmed_at: str | None = None


class ReportStore:
    """The reports in one Redis, within the settings' bounds."""

    def __init__(self, redis: Redis, settings: ServerSettings) -> None:
        self._redis = redis
        self._bounds = settings.max_reports_per_key, settings.max_reports, settings.max_report_bytes
        self._cipher = AESGCM(derive(settings.secret, "reports"))
        self._marks: dict[str, str] = {}
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def keep(self, verdict: Verdict, key: str, label: str, note: str, image: bytes | None) -> str:
        """Keeps a report and returns its id. Raises RequestError at a bound."""
        sha256 = verdict.image.sha256
        id = hashlib.sha256(f"{key} {sha256}".encode()).hexdigest()[:24]
        report = Report(
            id=id,
            key=key,
            sha256=sha256,
            label="ai" if label == "ai" else "real",
            note=note,
            verdict=verdict.label,
            probability=verdict.probability,
            model=f"{verdict.model.name} {verdict.model.version} {verdict.model.sha256[:12]}",
            has_image=image is not None,
            created_at=_now(),
        )
        now = int(time.time())
        names = (_INDEX, f"{_INDEX}:{key}", _IMAGES, _record(id), _image(id))
        sealed = b"" if image is None else self._seal(report, image)
        values = (now, id, now + SECONDS, json.dumps(asdict(report)), sealed, *self._bounds)
        found: Any = self._redis.eval(_KEEP, len(names), *names, *values)
        if found != b"kept":
            raise _refusal(found)
        return id

    def list(self) -> list[Report]:
        """All reports, the oldest first."""
        ids: Any = self._redis.zrange(_INDEX, 0, -1)
        return [report for id in ids if (report := self._find(id.decode())) is not None]

    def image(self, report: Report) -> bytes | None:
        """The image that came with a report. Raises ConfigurationError for another AIDETECT_SECRET."""
        sealed = self._redis.get(_image(report.id))
        if not isinstance(sealed, bytes):
            return None
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound_to(report))
        except InvalidTag:
            raise ConfigurationError(
                f"the image of report {report.id} cannot be decrypted: give the AIDETECT_SECRET that "
                "the server had when it came"
            ) from None

    def confirm(self, id: str) -> Report:
        """Marks the report's image as disputed. Raises ConfigurationError for an unknown report."""
        report = self._find(id)
        if report is None:
            raise _unknown(id)
        report = replace(report, confirmed_at=_now())
        mark = json.dumps({"label": report.label, "report": id, "at": report.confirmed_at})
        with self._redis.pipeline() as pipe:
            pipe.set(_record(id), json.dumps(asdict(report)), keepttl=True, xx=True)
            pipe.hset(_DISPUTED, report.sha256, mark)
            pipe.execute()
        return report

    def delete(self, id: str) -> None:
        """Deletes a report with its image and mark; for an image's SHA-256, its mark alone.

        Raises ConfigurationError where there is neither.
        """
        if self._redis.hdel(_DISPUTED, id):
            return
        report = self._find(id)
        if report is None:
            raise _unknown(id)
        mark = self._redis.hget(_DISPUTED, report.sha256)
        with self._redis.pipeline() as pipe:
            if mark and json.loads(mark)["report"] == id:
                pipe.hdel(_DISPUTED, report.sha256)
            for image, _ in self._redis.zscan_iter(_IMAGES, match=f"{report.id}:*"):
                pipe.zrem(_IMAGES, image)
            pipe.zrem(_INDEX, id)
            pipe.zrem(f"{_INDEX}:{report.key}", id)
            pipe.delete(_record(id), _image(id))
            pipe.execute()

    def marks(self) -> dict[str, str]:
        """What is disputed: an image's SHA-256 → what it is said to be, `ai` or `real`."""
        found: Any = self._redis.hgetall(_DISPUTED)
        return {sha256.decode(): json.loads(mark)["label"] for sha256, mark in found.items()}

    def mark(self, verdict: Verdict) -> Verdict:
        """The verdict, with the reason `disputed` first where its image is. No round trip, but for one
        every `MARKS_SECONDS`; label and probability stay what pixels and file say."""
        label = self.disputed(verdict.image.sha256)
        if label is None:
            return verdict
        said = "made by AI" if label == "ai" else "not made by AI"
        text = f"Disputed: a report that this server's operator has confirmed says that it was {said}."
        return replace(verdict, reasons=(Reason("disputed", text, {"label": label}), *verdict.reasons))

    def disputed(self, sha256: str) -> str | None:
        """What an image is said to be by a confirmed report."""
        return self._fresh_marks().get(sha256)

    def _fresh_marks(self) -> dict[str, str]:
        now, never = time.monotonic(), self._read_at == float("-inf")
        if now - self._read_at > MARKS_SECONDS and self._lock.acquire(blocking=never):
            try:
                self._marks = self.marks()
                self._read_at = time.monotonic()
            finally:
                self._lock.release()
        return self._marks

    def _find(self, id: str) -> Report | None:
        record: Any = self._redis.get(_record(id))
        return Report(**json.loads(record)) if record else None

    def _seal(self, report: Report, image: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, image, _bound_to(report))


def _bound_to(report: Report) -> bytes:
    return f"{report.id} {report.sha256}".encode()


def _record(id: str) -> str:
    return f"aidetect:report:{id}"


def _image(id: str) -> str:
    return f"aidetect:report-image:{id}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _unknown(id: str) -> ConfigurationError:
    return ConfigurationError(
        f"there is no report {printable(id, 70)!r}; `aidetect reports list` shows the ids there are"
    )


def _refusal(why: bytes) -> RequestError:
    if why == b"key":
        return RequestError(
            "This key has as many open reports as a key may have. Ask the server's operator to look at "
            "them.",
            status=429,
            code="reports_full",
            headers={"Retry-After": "86400"},
        )
    return RequestError(
        "The server keeps no more reports at the moment. Try again tomorrow, or without the image.",
        status=503,
        code="reports_full",
        headers={"Retry-After": "86400"},
    )
