"""HTTP to an aidetect server: JSON and bytes out, JSON back, tried again where that can help.

Every request of API v1 may be repeated: the same question asked twice is one job at the server. So all
are tried again when the connection fails or the server says that it is busy, with a back-off that is
random (AWS Architecture Blog, "Exponential Backoff And Jitter", full jitter) and never shorter than
the server's Retry-After. Not so where no connection could be made and none ever was: an address with a
slip in it, or a server that was not started, does not mend within seconds. (A server that restarts is
known to who uses it, or stands behind a proxy that answers 502 or 503 meanwhile.)

The logger `aidetect.client` tells of what is tried again, at level INFO.
"""

import json
import logging
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import urllib3

from ._errors import (
    AidetectError,
    AuthenticationError,
    ConfigurationError,
    RateLimitedError,
    ServerUnreachableError,
    ServiceError,
    ServiceUnavailableError,
)
from ._fetch import causes, shown
from ._problems import error_of
from ._text import printable

MAX_ANSWER = 8_000_000
MAX_DELAY = 30.0
MAX_RETRY_AFTER = 120.0
"""A server that asks for a longer pause is not waited for."""

_log = logging.getLogger("aidetect.client")
_AGAIN = {429, 502, 503, 504}
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


@dataclass(frozen=True, slots=True)
class Answer:
    """`data` is the body, as JSON where it is an object of it."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def data(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}


class _Key(requests.auth.AuthBase):
    """The key, set so that no password of ~/.netrc is sent in its place."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Client:
    """One server as one key sees it; serves many threads at once.

    `timeout`: seconds for connecting and for each answer, besides what the server is asked to wait;
    `retries`: how often a request is repeated. Raises ConfigurationError for an address that is none.
    """

    def __init__(
        self, url: str, api_key: str | None, *, timeout: float, retries: int, connections: int
    ) -> None:
        self.url = _base(url)
        self.name = shown(self.url)
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError("the API key has characters that no key has; copy it again")
        self._timeout, self._retries = timeout, retries
        self._session = requests.Session()
        self._session.auth = _Key(api_key)
        self._session.trust_env = urllib3.util.parse_url(self.url).host not in _LOOPBACK  # proxies
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=connections)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)
        self._stopped = threading.Event()
        self._answered = False

    def close(self) -> None:
        """Wakes those who wait to try again, with an error, and closes the connections."""
        self._stopped.set()
        self._session.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        send: Mapping[str, Any] | bytes | None = None,
        wait: float = 0.0,
        **query: str,
    ) -> Answer:
        """An answer with a status below 400; `send` is sent as JSON, or bytes as they are. `wait` asks
        the server to hold its answer back so long for something to happen.

        Raises ServiceError, or the InputError that the server found.
        """
        options: dict[str, Any] = {"params": {**query, **({"wait": f"{wait:g}"} if wait else {})}}
        if isinstance(send, bytes):
            options |= {"data": send, "headers": {"Content-Type": "application/octet-stream"}}
        elif send is not None:
            options["json"] = send
        for attempt in range(self._retries + 1):
            try:
                answer = self._once(method, path, wait, options)
                self._answered = True
                error = self._error(answer)
                if error is None:
                    return answer
                pause = _retry_after(answer.headers)
            except (OSError, urllib3.exceptions.HTTPError) as broken:
                error, pause = self._unreachable(broken), 0.0
                if not self._answered and _not_connected(broken):
                    raise error from None
            if not error.retryable or attempt == self._retries or pause > MAX_RETRY_AFTER:
                raise error
            left = self._retries - attempt
            _log.info("%s; it is asked again, up to %d times", error.message.partition(". ")[0], left)
            jitter = random.uniform(0, min(MAX_DELAY, 0.5 * 2**attempt))
            if self._stopped.wait(max(pause, 0.0) + jitter):
                raise error
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, path: str, wait: float, options: dict[str, Any]) -> Answer:
        """Raises OSError (requests' errors are such) or urllib3's where the connection fails."""
        end = time.monotonic() + wait + self._timeout
        with self._session.request(
            method,
            self.url + path,
            timeout=(self._timeout, wait + self._timeout),
            allow_redirects=False,  # a redirect could carry the key elsewhere
            stream=True,
            **options,
        ) as response:
            body = bytearray()
            while part := response.raw.read1(65536, decode_content=True):
                body += part
                if time.monotonic() > end:
                    raise TimeoutError
                if len(body) > MAX_ANSWER:
                    raise ServiceError(f"{self.name}: sends too much. Check the address.")
            return Answer(response.status_code, response.headers, bytes(body))

    def _error(self, answer: Answer) -> AidetectError | None:
        status = answer.status
        if status < 300:
            return None
        said = answer.data
        code, detail = said.get("code"), said.get("detail")
        told = f" It says: {printable(detail).rstrip('.')}." if isinstance(detail, str) else ""
        if status in (401, 403):
            return AuthenticationError(
                f"{self.name}: does not accept the API key.{told} Give one as api_key, or in"
                " AIDETECT_API_KEY; `aidetect keys create` on the server makes one."
            )
        if status == 429:
            pause = _retry_after(answer.headers)
            return RateLimitedError(
                f"{self.name}: asked more often than this key may.{told} Ask more slowly, or ask for a"
                " higher limit.",
                retry_after=pause or None,
            )
        if status in _AGAIN:
            return ServiceUnavailableError(
                f"{self.name}: cannot answer at the moment ({status}).{told} Try again later."
            )
        if isinstance(code, str) and isinstance(detail, str):
            return error_of(said)
        return ServiceError(
            f"{self.name}: answers {status}, and not as an aidetect server does. Check the address."
        )

    def _unreachable(self, broken: Exception) -> ServerUnreachableError:
        late = (TimeoutError, urllib3.exceptions.TimeoutError)
        failed = urllib3.exceptions.NewConnectionError  # urllib3 counts it among what took too long
        found = list(causes(broken))
        if any(isinstance(cause, late) and not isinstance(cause, failed) for cause in found):
            problem = "no complete answer in time"
        elif any(isinstance(cause, urllib3.exceptions.NameResolutionError) for cause in found):
            problem = "its host name was not found"
        elif any(isinstance(cause, ConnectionRefusedError) for cause in found):
            problem = "the connection was refused"
        elif isinstance(broken, requests.exceptions.SSLError):
            problem = "no secure connection"
        else:
            problem = "the connection failed or broke off"
        return ServerUnreachableError(
            f"{self.name}: {problem}. Check the address and that the server runs (`aidetect up` starts"
            " one)."
        )


def _not_connected(broken: Exception) -> bool:
    """Whether no connection was made at all, which is known at once: refused, no such host, no TLS."""
    failed = (urllib3.exceptions.NewConnectionError, requests.exceptions.SSLError)
    return any(isinstance(cause, failed) for cause in causes(broken))


def _base(url: str) -> str:
    """The address without a slash at its end."""
    try:
        parts = urllib3.util.parse_url(url.strip())
    except urllib3.exceptions.LocationParseError:
        parts = urllib3.util.Url()
    if parts.scheme not in ("http", "https") or not parts.host or parts.query or parts.auth:
        raise ConfigurationError(
            f"{shown(url)}: is no address of a server. Give one such as https://aidetect.example.org,"
            " and the key apart from it."
        )
    return urllib3.util.Url(parts.scheme, None, parts.host, parts.port, parts.path).url.rstrip("/")


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait (RFC 9110, section 10.2.3: a number, or a date); 0 where it says none."""
    text = headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError):
        return 0.0
