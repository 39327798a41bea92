"""For how long a URL may be believed to name the image that it named (RFC 9111, as a shared cache).

What is kept is not the answer but its hash, so that the rules for storing apply all the more simply.
Differences from the standard, all to the strict side: `private` counts as `no-store`; whatever a
server says, it is asked again after `longest` seconds; a redirect without a lifetime of its own is
believed only where it is permanent; a validator counts only for the final address that it came from.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aidetect._fetch import Fetched  # requests, which only workers need

UNSAID = 60.0
"""Seconds for an answer that says nothing of its lifetime."""
HEURISTIC = 0.1
"""Of the time since Last-Modified, where that is said (RFC 9111, 4.2.2)."""
REVALIDATED = 86400.0
"""Seconds for which a validator is kept after the last answer."""

_DIRECTIVE = re.compile(r'([A-Za-z0-9_-]+)(?:=(?:"([^"]*)"|([^\s,]*)))?')
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,256}")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a URL named: the hash of its bytes, and how to ask whether it still does.

    `fresh_until` is in seconds since 1970; `lifetime` what the last answer gave, in seconds; `final` is
    the SHA-256 of the address after all redirects, in hex.
    """

    sha256: str
    etag: str
    last_modified: str
    fresh_until: float
    lifetime: float
    final: str

    def headers(self) -> dict[str, str]:
        """Request headers to be sent the bytes only if they have changed; empty without a validator."""
        conditions = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in conditions.items() if value}

    def still_names(self, answer: "Fetched") -> bool:
        """Whether a 304 came from the address whose image this is; another's may share its ETag."""
        return answer.status == 304 and _digest(answer.url) == self.final

    def ttl(self, now: float) -> int:
        """Seconds for which it is worth keeping."""
        rest = self.fresh_until - now
        return int(max(rest, REVALIDATED if self.headers() else 0.0))


def remember(answer: "Fetched", sha256: str, now: float, longest: float) -> Remembered | None:
    """What to remember of a whole answer, None where nothing may be."""
    lifetime = _lifetime(answer, now, longest, unsaid=UNSAID)
    if lifetime is None:
        return None
    return _remembered(answer, sha256, now, lifetime)


def renew(old: Remembered, answer: "Fetched", now: float, longest: float) -> Remembered | None:
    """The same after a 304, which may say anew how long to believe it."""
    lifetime = _lifetime(answer, now, longest, unsaid=old.lifetime)
    if lifetime is None:
        return None
    new = _remembered(answer, old.sha256, now, lifetime)
    return Remembered(
        old.sha256,
        new.etag or old.etag,
        new.last_modified or old.last_modified,
        new.fresh_until,
        new.lifetime,
        old.final,
    )


def _remembered(answer: "Fetched", sha256: str, now: float, lifetime: float) -> Remembered:
    etag, last_modified = (
        value if _VALIDATOR.fullmatch(value := answer.headers.get(name, "").strip()) else ""
        for name in ("ETag", "Last-Modified")
    )
    return Remembered(sha256, etag, last_modified, now + lifetime, lifetime, _digest(answer.url))


def _lifetime(answer: "Fetched", now: float, longest: float, unsaid: float) -> float | None:
    """Seconds from `now`, 0 where it has to be asked each time, None where nothing may be kept."""
    shortest = longest
    for status, headers in answer.hops:
        of_hop = _of_headers(headers, now, UNSAID if status in (301, 308) else 0.0)
        if of_hop is None:
            return None
        shortest = min(shortest, of_hop)
    own = _of_headers(answer.headers, now, unsaid)
    return None if own is None else max(0.0, min(shortest, own))


def _of_headers(headers: Mapping[str, str], now: float, unsaid: float) -> float | None:
    asked = _directives(headers.get("Cache-Control", ""))
    if "no-store" in asked or "private" in asked:
        return None
    if "no-cache" in asked or "*" in headers.get("Vary", ""):
        return 0.0
    date = _date(headers.get("Date", ""))
    sent = now if date is None else date
    age = max(_seconds(headers.get("Age", "0")), now - sent, 0.0)
    for directive in ("s-maxage", "max-age"):
        if directive in asked:
            return max(0.0, _seconds(asked[directive]) - age)
    if "Expires" in headers:
        expires = _date(headers["Expires"])
        return 0.0 if expires is None else max(0.0, expires - sent - age)
    if "no-cache" in headers.get("Pragma", "").lower():
        return 0.0
    modified = _date(headers.get("Last-Modified", ""))
    if modified is not None and modified < sent:
        return max(0.0, HEURISTIC * (sent - modified) - age)
    return max(0.0, unsaid - age)


def _directives(text: str) -> dict[str, str]:
    """Directives by name in lower case; of two of a name the shorter lifetime counts."""
    found: dict[str, str] = {}
    for match in _DIRECTIVE.finditer(text[:1024]):
        name, value = match[1].lower(), match[2] or match[3] or ""
        found[name] = value if name not in found else min(value, found[name], key=_seconds)
    return found


def _seconds(text: str) -> float:
    """Whole seconds; 0 for anything else: what cannot be read is stale."""
    text = text.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0.0


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text.strip()).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode(errors="replace")).hexdigest()
