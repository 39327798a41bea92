"""The queue of checks, its caches, and the worker that takes them in batches.

`Broker` asks for checks and needs no model at hand; `BatchWorker` answers them:
`rq worker -w aidetect_worker.BatchWorker checks`. It imports `aidetect`, which never imports it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._broker import Broker, JobState
    from ._job import check
    from ._worker import BatchWorker

__all__ = ["BatchWorker", "Broker", "JobState", "check"]

_HOMES = {"BatchWorker": "_worker", "Broker": "_broker", "JobState": "_broker", "check": "_job"}


def __getattr__(name: str) -> Any:
    # Loaded on first use: whoever only asks for checks needs no runtime.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
