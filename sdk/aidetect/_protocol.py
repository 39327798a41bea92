"""What crosses between askers, queue and workers: one check to make, and what came of it.

Both are JSON. What a worker takes from Redis is read strictly: anything that this module did not write
is refused before it is acted upon.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self
from urllib.parse import urldefrag

from ._errors import AidetectError, InputError, InvalidURLError
from ._text import is_data_url
from ._verdict import Verdict

Kind = Literal["url", "upload"]
Priority = Literal["interactive", "bulk"]

MAX_URL_LENGTH = 8192

NO_DATA_URL = "an address that is itself the image (data:) is not supported"

_FIELDS = {"kind", "target", "sha256", "fleet", "priority", "fresh"}
_HASH = re.compile(r"[0-9a-f]{64}")
_FLEET = re.compile(r"[0-9a-f]{16}")
_UPLOAD_KEY = re.compile(r"[0-9a-f]{32}-[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """One check to make.

    `target` is a URL, or the key of uploaded bytes whose `sha256` is given; with `kind` `upload` and no
    target it is a question that the caches alone can answer. `fleet` is the fingerprint of the engine
    that has to answer. `fresh` fetches the URL again even where its image is remembered. Bulk checks
    wait until no interactive one does.

    Raises InvalidURLError for a URL that is none, InputError for what else cannot be.
    """

    kind: Kind
    target: str = field(repr=False)
    sha256: str | None
    fleet: str
    priority: Priority = "interactive"
    fresh: bool = False

    def __post_init__(self) -> None:
        if not all(isinstance(value, str) for value in (self.kind, self.target, self.fleet)):
            raise _foreign()
        if self.kind == "url":
            _check_url(self.target)
            fits = self.sha256 is None
        else:
            fits = (
                self.kind == "upload"
                and isinstance(self.sha256, str)
                and _HASH.fullmatch(self.sha256) is not None
                and (not self.target or _UPLOAD_KEY.fullmatch(self.target) is not None)
            )
        if not (
            fits
            and _FLEET.fullmatch(self.fleet)
            and self.priority in ("interactive", "bulk")
            and isinstance(self.fresh, bool)
        ):
            raise _foreign()

    @classmethod
    def for_url(
        cls, url: str, fleet: str, *, priority: Priority = "interactive", fresh: bool = False
    ) -> Self:
        """Of a URL as a person gives it: without spaces around it and without its fragment, which no
        server is ever sent."""
        return cls("url", urldefrag(url.strip()).url, None, fleet, priority, fresh)

    @classmethod
    def for_upload(
        cls, sha256: str, fleet: str, key: str = "", *, priority: Priority = "interactive"
    ) -> Self:
        """Of bytes with this hash, waiting under `key`."""
        return cls("upload", key, sha256, fleet, priority)

    @property
    def identity(self) -> str:
        """64 hex digits that name the image asked for: the hash of the bytes, or that of the URL."""
        return self.sha256 or hashlib.sha256(self.target.encode()).hexdigest()

    @property
    def flight(self) -> str:
        """64 hex digits, the same for all requests that one computation answers."""
        text = f"{self.kind} {self.identity} {self.fleet} {int(self.fresh)}"
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, wire: object) -> Self:
        """Inverse of `to_dict`; InputError for anything else, unknown fields too."""
        if not isinstance(wire, dict) or wire.keys() != _FIELDS:
            raise _foreign()
        return cls(**wire)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check: a verdict, or a `problem` with `code`, `message`, `retryable`, and where
    there are any `input`, `status` and `retry_after` (seconds)."""

    verdict: Verdict | None
    problem: dict[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if (self.verdict is None) == (self.problem is None):
            raise ValueError("an outcome is a verdict or a problem")

    def __str__(self) -> str:
        """For people: the verdict, or what went wrong."""
        return str((self.problem or {}).get("message") if self.verdict is None else self.verdict)

    @classmethod
    def of(cls, error: AidetectError) -> Self:
        """The outcome of a check that ended with `error`."""
        return cls(None, {**error.to_dict(), "retryable": error.retryable})

    def to_dict(self) -> dict[str, Any]:
        verdict = None if self.verdict is None else self.verdict.to_dict()
        return {"verdict": verdict, "problem": self.problem}

    @classmethod
    def from_dict(cls, wire: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`; AidetectError for what is not of this form."""
        try:
            verdict, problem = wire["verdict"], wire["problem"]
            if problem is not None and not all(
                isinstance(problem[key], kind)
                for key, kind in (("code", str), ("message", str), ("retryable", bool))
            ):
                raise TypeError("a problem has code, message and retryable")
            return cls(None if verdict is None else Verdict.from_dict(verdict), problem)
        except (KeyError, TypeError, ValueError) as error:
            raise AidetectError(f"this is not an outcome of aidetect: {error!r}") from None


def _check_url(url: str) -> None:
    """What can be told without resolving or fetching; the fetcher checks the rest."""
    if is_data_url(url):
        raise InvalidURLError(f"{NO_DATA_URL}. Check a file.")
    if len(url) > MAX_URL_LENGTH:
        raise InvalidURLError(
            f"an address of {len(url):,} characters is not fetched: {MAX_URL_LENGTH:,} are the most. "
            "Download the image and check the file."
        )
    if not url.lower().startswith(("http://", "https://")) or not url.isprintable():
        raise InvalidURLError(
            "only http:// and https:// addresses without control characters can be fetched. "
            "Correct it, or check a downloaded file."
        )


def _foreign() -> InputError:
    return InputError(
        "this is not a check request of this version of aidetect: make it with CheckRequest, and run "
        "the same version on server and workers."
    )
