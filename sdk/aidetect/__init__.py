"""aidetect: says whether an image was made by AI, how sure it is, and why.

>>> from aidetect import Detector
>>> print(Detector().check("photo.jpg"))  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._errors import (
    AidetectError,
    AuthenticationError,
    BlockedAddressError,
    ConfigurationError,
    CorruptImageError,
    FetchError,
    HTTPStatusError,
    ImageError,
    InputError,
    InputNotFoundError,
    InvalidArrayError,
    InvalidURLError,
    MissingExtraError,
    ModelError,
    ModelIntegrityError,
    ModelNotFoundError,
    NotAnImageError,
    RateLimitedError,
    ServerUnreachableError,
    ServiceError,
    ServiceUnavailableError,
    SignatureError,
    TooLargeError,
    TooManyPixelsError,
    UnreachableError,
    UnsupportedFormatError,
)
from ._verdict import Evidence, ImageInfo, ModelInfo, Reason, Verdict

if TYPE_CHECKING:
    from ._detector import Detector
    from ._explain import Explanation

__version__ = "0.1.0"

__all__ = [
    "AidetectError",
    "AuthenticationError",
    "BlockedAddressError",
    "ConfigurationError",
    "CorruptImageError",
    "Detector",
    "Evidence",
    "Explanation",
    "FetchError",
    "HTTPStatusError",
    "ImageError",
    "ImageInfo",
    "InputError",
    "InputNotFoundError",
    "InvalidArrayError",
    "InvalidURLError",
    "MissingExtraError",
    "ModelError",
    "ModelInfo",
    "ModelIntegrityError",
    "ModelNotFoundError",
    "NotAnImageError",
    "RateLimitedError",
    "Reason",
    "ServerUnreachableError",
    "ServiceError",
    "ServiceUnavailableError",
    "SignatureError",
    "TooLargeError",
    "TooManyPixelsError",
    "UnreachableError",
    "UnsupportedFormatError",
    "Verdict",
    "__version__",
]

_LATER = {"Detector": "._detector", "Explanation": "._explain"}


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that `import aidetect` needs neither numpy nor Pillow.
    if module := _LATER.get(name):
        return getattr(import_module(module, __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
