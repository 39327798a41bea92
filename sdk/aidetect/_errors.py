"""Every error that aidetect raises on purpose.

AidetectError
├── ConfigurationError            an option, an environment variable or an argument is wrong
│   └── MissingExtraError         an optional part is not installed
├── ModelError
│   ├── ModelNotFoundError        no weights under this name or path
│   └── ModelIntegrityError       weights tampered with, truncated or wrongly signed
├── SignatureError                a verdict is not what a trusted server signed
├── ServiceError                  the server of `Detector(url=…)` does not answer as it should
│   ├── ServerUnreachableError    no connection, or it broke off each time
│   ├── AuthenticationError       no API key, or one that is not accepted
│   ├── RateLimitedError          asked more often than the key may
│   └── ServiceUnavailableError   overloaded, a part of it down, or no worker takes the check
└── InputError                    this one input could not be checked
    ├── InputNotFoundError        no such file, or a folder without images
    ├── ImageError
    │   ├── NotAnImageError       the bytes are not an image
    │   ├── UnsupportedFormatError  an image, but of a format that is not read
    │   ├── CorruptImageError     broken or truncated
    │   ├── TooManyPixelsError    more pixels than the limit
    │   └── InvalidArrayError     array of the wrong shape or type
    └── FetchError
        ├── InvalidURLError       not an http(s) URL, or one with a password in it
        ├── BlockedAddressError   the host is not on the public internet
        ├── UnreachableError      DNS, connection or TLS failed, or it took too long
        ├── HTTPStatusError       the server answered with an error
        └── TooLargeError         more bytes than the limit (files too)

`code` is stable and meant for programs; the message is for people and says what to do.
"""

from functools import partial
from typing import Any


class AidetectError(Exception):
    """Root of all errors of this package."""

    code = "error"
    retryable = False
    """Whether the same call may succeed later without anything being changed."""

    def __init__(self, message: str, *, input: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.input = input
        """Name of the input as the caller gave it, where there is one; of a URL without its query, and
        with where it redirected to. Untrusted text."""

    def to_dict(self) -> dict[str, Any]:
        """The wire form, as printed by `aidetect check --json` and sent by the server."""
        problem: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.input is not None:
            problem["input"] = self.input
        return problem


class ConfigurationError(AidetectError):
    code = "configuration"


class MissingExtraError(ConfigurationError):
    code = "missing_extra"


class ModelError(AidetectError):
    code = "model"


class ModelNotFoundError(ModelError):
    code = "model_not_found"


class ModelIntegrityError(ModelError):
    code = "model_integrity"


class SignatureError(AidetectError):
    code = "signature"


class ServiceError(AidetectError):
    """Concerns the server and not one image: `check_many` ends with it."""

    code = "service"


class ServerUnreachableError(ServiceError):
    code = "server_unreachable"
    retryable = True


class AuthenticationError(ServiceError):
    code = "authentication"


class RateLimitedError(ServiceError):
    """`retry_after`: seconds that the server asks to wait, None where it does not say."""

    code = "rate_limited"
    retryable = True

    def __init__(
        self, message: str, *, retry_after: float | None = None, input: str | None = None
    ) -> None:
        super().__init__(message, input=input)
        self.retry_after = retry_after


class ServiceUnavailableError(ServiceError):
    code = "service_unavailable"
    retryable = True


class InputError(AidetectError):
    code = "input"


class InputNotFoundError(InputError):
    code = "not_found"


class ImageError(InputError):
    code = "image"


class NotAnImageError(ImageError):
    code = "not_an_image"


class UnsupportedFormatError(ImageError):
    code = "unsupported_format"


class CorruptImageError(ImageError):
    code = "corrupt_image"


class TooManyPixelsError(ImageError):
    code = "too_many_pixels"


class InvalidArrayError(ImageError):
    code = "invalid_array"


class FetchError(InputError):
    code = "fetch"


class InvalidURLError(FetchError):
    code = "invalid_url"


class BlockedAddressError(FetchError):
    code = "blocked_address"


class UnreachableError(FetchError):
    """`code` is one of `dns`, `connection`, `tls`, `timeout`."""

    code = "unreachable"
    retryable = True

    def __init__(self, message: str, *, code: str = "unreachable", input: str | None = None) -> None:
        super().__init__(message, input=input)
        self.code = code
        self.retryable = code != "tls"  # certificates do not mend by themselves


class HTTPStatusError(FetchError):
    """`code` is `http_4xx` or `http_5xx`, `http_3xx` for a redirect that leads nowhere; 429 and 5xx
    may be tried again, after `retry_after` seconds where the server said so."""

    code = "http_status"

    def __init__(
        self, message: str, *, status: int, retry_after: float | None = None, input: str | None = None
    ) -> None:
        super().__init__(message, input=input)
        self.status, self.retry_after = status, retry_after
        self.code = f"http_{status // 100}xx"
        self.retryable = status == 429 or status >= 500

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is copied by calling its class with `args`, which lack the status.
        return partial(type(self), status=self.status), self.args, self.__dict__

    def to_dict(self) -> dict[str, Any]:
        problem = {**super().to_dict(), "status": self.status}
        if self.retry_after is not None:
            problem["retry_after"] = self.retry_after
        return problem


class TooLargeError(FetchError):
    code = "too_large"
