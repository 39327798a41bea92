"""Downloads what a stranger's URL names, without becoming the stranger's way into this network.

- Only public addresses are connected to, after each redirect too (`_transport`, `_addresses`).
- One deadline covers resolving, connecting, the TLS handshake, headers, body and redirects together.
- The body has a byte cap and is never decompressed.

It stands on requests' adapter and not on its `Session`, because a session reads the whole body of a
redirect before it follows it, keeps cookies, and looks for proxies and passwords in the environment.
"""

import http
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

import requests
import urllib3

from ._errors import (
    ConfigurationError,
    FetchError,
    HTTPStatusError,
    InvalidURLError,
    NotAnImageError,
    UnreachableError,
)
from ._protocol import MAX_URL_LENGTH, NO_DATA_URL
from ._text import is_data_url, printable
from ._transport import Adapter, running

MAX_BYTES = 20_000_000
MAX_REDIRECTS = 3
TIMEOUT = 20.0
USER_AGENT = "aidetect-images (image check; python-requests)"

_ODD_AUTHORITY = re.compile(r"[^/]*//[^/?#]*[%\\\x00-\x20\x7f]")
_REDIRECTS = {301, 302, 303, 307, 308}
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back. `url` is the final one, with its query: not for logs."""

    data: bytes = field(repr=False)
    url: str = field(repr=False)
    status: int
    content_type: str
    """Media type in lower case without parameters, `""` where the server named none."""
    headers: Mapping[str, str] = field(repr=False)
    """Names are looked up without regard to case."""
    hops: tuple[tuple[int, Mapping[str, str]], ...] = field(default=(), repr=False)
    """Status and headers of each redirect on the way."""


class Fetcher:
    """Fetches with connections kept open between calls; safe to share between threads.

    `timeout` is in seconds and covers the whole of one fetch. `allow_private` also permits
    loopback and private addresses: never with URLs from strangers.
    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        timeout: float = TIMEOUT,
        allow_private: bool = False,
        user_agent: str | None = None,
        connections: int = 16,
    ) -> None:
        if not (max_bytes > 0 and 0 < timeout <= threading.TIMEOUT_MAX):
            raise ConfigurationError(
                f"max_bytes has to be above zero, timeout too and at most {threading.TIMEOUT_MAX:.0f} "
                "seconds. Leave them out for defaults."
            )
        self.user_agent = USER_AGENT if user_agent is None else user_agent
        if not (self.user_agent.isascii() and self.user_agent.isprintable()):
            raise ConfigurationError("user_agent must be one line of ASCII text.")
        self.max_bytes, self.timeout, self.allow_private = max_bytes, timeout, allow_private
        self._adapter = Adapter(pool_connections=connections, pool_maxsize=connections)

    def close(self) -> None:
        self._adapter.close()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> Fetched:
        """The bytes behind `url`.

        `headers` are for revalidation (`If-None-Match`, `If-Modified-Since`; a 304 is then returned
        with empty data) and go to redirect targets too, so they may hold no secret. `timeout`
        shortens the fetcher's own. Raises a
        `FetchError`, or `NotAnImageError` where the answer is a web page.
        """
        allowed = self.timeout if timeout is None else min(timeout, self.timeout)
        running.start(allowed, self.max_bytes, self.allow_private)
        try:
            return self._follow(url.strip(), headers or {})
        finally:
            running.stop()

    def _follow(self, url: str, extra: Mapping[str, str]) -> Fetched:
        first = name = shown(url)
        hops: list[tuple[int, Mapping[str, str]]] = []
        for _ in range(MAX_REDIRECTS + 1):
            running.name = name
            request = self._prepare(url, name, extra)
            try:
                response = self._adapter.send(request, stream=True, timeout=running.time_left())
                with closing(response):
                    location = response.headers.get("Location")
                    if response.status_code not in _REDIRECTS or location is None:
                        return self._read(response, name, tuple(hops))
                    hops.append((response.status_code, response.headers))
            except (OSError, urllib3.exceptions.HTTPError) as error:
                raise _unreachable(error, name) from None
            try:
                url = urljoin(request.url or "", location.encode("latin-1").decode(errors="replace"))
            except ValueError:
                raise InvalidURLError(
                    f"{name}: redirects to an address that makes no sense. Download the image and check "
                    "the file.",
                    input=name,
                ) from None
            name = f"{first} (redirected to {shown(url)})"
        raise HTTPStatusError(
            f"{first}: redirects more than {MAX_REDIRECTS} times. Give the address that it ends at.",
            status=response.status_code,
            input=first,
        )

    def _prepare(self, url: str, name: str, extra: Mapping[str, str]) -> requests.PreparedRequest:
        try:
            parts = urllib3.util.parse_url(url if len(url) <= MAX_URL_LENGTH else "")
            if is_data_url(url):
                problem = NO_DATA_URL
            elif len(url) > MAX_URL_LENGTH:
                problem = f"an address of more than {MAX_URL_LENGTH:,} characters is not fetched"
            elif parts.scheme not in ("http", "https"):
                problem = "only http:// and https:// addresses can be fetched"
            elif not parts.host:
                problem = "an address without a host cannot be fetched"
            elif parts.auth is not None:
                problem = "an address with a user name or password in it is not fetched"
            elif _ODD_AUTHORITY.match(url):
                problem = "a host with a zone or an odd character in it is not fetched"
            else:
                fixed = {"User-Agent": self.user_agent, "Accept": "image/*,*/*;q=0.8"}
                headers = {**extra, **fixed, "Accept-Encoding": "identity"}
                return requests.Request("GET", url, headers=headers).prepare()
        except (urllib3.exceptions.LocationParseError, requests.exceptions.InvalidURL, UnicodeError):
            problem = "not a valid address"
        raise InvalidURLError(f"{name}: {problem}. Correct it, or check a downloaded file.", input=name)

    def _read(
        self, response: requests.Response, name: str, hops: tuple[tuple[int, Mapping[str, str]], ...]
    ) -> Fetched:
        status, sent, headers = response.status_code, response.request.headers, response.headers
        revalidated = status == 304 and ("If-None-Match" in sent or "If-Modified-Since" in sent)
        if not (200 <= status < 300 or revalidated):
            raise HTTPStatusError(
                f"{name}: {_status_message(status)}",
                status=status,
                retry_after=_retry_after(headers.get("Retry-After")),
                input=name,
            )
        encoding = headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity"):
            raise FetchError(
                f"{name}: was sent compressed ({printable(encoding, 20)}), which is not accepted. "
                "Download the image and check the file.",
                input=name,
            )
        if (response.raw.length_remaining or 0) > self.max_bytes:
            raise running.too_large()
        data = bytearray()
        for chunk in response.raw.stream(65536, decode_content=False):
            data += chunk
            if len(data) > self.max_bytes:
                raise running.too_large()
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type in ("text/html", "application/xhtml+xml") and _MARKUP.match(data):
            raise NotAnImageError(
                f"{name}: is a web page, not an image. Give the address of the image itself.", input=name
            )
        return Fetched(bytes(data), response.url, status, content_type, headers, hops)


def fetch(
    url: str,
    *,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
    allow_private: bool = False,
    user_agent: str | None = None,
) -> Fetched:
    """One fetch with a `Fetcher` of its own; see there for the arguments, the result and the errors."""
    with Fetcher(
        max_bytes=max_bytes, timeout=timeout, allow_private=allow_private, user_agent=user_agent
    ) as fetcher:
        return fetcher.fetch(url)


def shown(url: str) -> str:
    """`url` fit for messages and logs: no query, fragment or user name and password, no control
    characters, no image (`data:`); where it cannot be taken apart for certain and may hold a
    password, nothing of it."""
    if is_data_url(url):
        return "data:…"
    if len(url) > MAX_URL_LENGTH:
        return f"(an address of {len(url):,} characters)"
    try:
        parts = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        parts = None
    if parts is not None and parts.host:
        safe = urllib3.util.Url(parts.scheme, None, parts.host, parts.port, parts.path).url
    else:
        safe = re.split("[?#]", url)[0] if "@" not in url else "(an address that may hold a password)"
    return printable(safe)


def _unreachable(error: BaseException, name: str) -> UnreachableError:
    """What went wrong on the wire, in our terms. The original names the whole URL and is not kept."""
    chain = list(causes(error))
    if any(isinstance(e, TimeoutError | urllib3.exceptions.TimeoutError) for e in chain):
        code, problem = "timeout", "no complete answer in time. Try again later, or allow more time."
    elif tls := [e for e in chain if isinstance(e, ssl.SSLError)]:
        reason = getattr(tls[-1], "verify_message", None) or tls[-1].reason or "handshake failed"
        code, problem = (
            "tls",
            f"no secure connection ({printable(str(reason), 120)}). Check the address.",
        )
    else:
        code, problem = (
            "connection",
            "the connection failed or broke off. Check the address, try again.",
        )
    return UnreachableError(f"{name}: {problem}", code=code, input=name)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _retry_after(text: str | None) -> float | None:
    """Seconds from now that a Retry-After asks for, in either form of RFC 9110; None without."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, round(parsedate_to_datetime(text).timestamp() - time.time(), 1))
    except (ValueError, TypeError, OverflowError):
        return None


def _status_message(status: int) -> str:
    """The standard's name of the status, not the server's own words, and what to do."""
    try:
        answer = f"{status} ({http.HTTPStatus(status).phrase})"
    except ValueError:
        answer = str(status)
    if status == 429 or status >= 500:
        advice = "Try again later"
    elif status in (401, 402, 403, 407, 451):
        advice = "Download the image where you have access and check the file"
    else:
        advice = "Check the address"
    return f"the server answered {answer}. {advice}."
