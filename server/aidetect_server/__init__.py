"""The HTTP server: API, web page, keys and limits. `create_app` makes it; nothing runs at import.

What is here may import `aidetect` and `aidetect_worker`, never the other way round. It needs no model
runtime: workers compute, the server asks.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """`create_app`, loaded when it is asked for: commands of `aidetect` import this package quickly."""
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._app import create_app

    return create_app
