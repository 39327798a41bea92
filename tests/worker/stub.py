"""A worker whose model costs 5 ms a batch and does what the bytes of an image tell it to.

`rq worker -w stub.StubWorker checks` in this folder, or run by `workers.py`. Everything but the engine
is the real thing. AIDETECT_TEST_KILL names where it kills itself (`StubWorker._prepare`); with
AIDETECT_TEST_HASTE leases last three seconds, and Redis is waited for as long.
"""

import ctypes
import hashlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis

from aidetect import CorruptImageError, ImageInfo, ModelInfo
from aidetect._engine import Engine, Prepared
from aidetect._result import PixelResult
from aidetect._views import Views
from aidetect_worker import BatchWorker, _batch, _heartbeat, _rescue
from aidetect_worker._forward import plain_image

FLEET = "0123456789abcdef"
MODEL = ModelInfo("stub", "1", "f" * 64)
NO_VIEWS = Views(np.zeros((1, 1, 1, 3), np.uint8), ("whole",), ((0, 0, 1, 1),))


class StubEngine(Engine):
    """Notes each batch as a line in the file that AIDETECT_TEST_NOTES names: `decode sha256`,
    `forward n`."""

    def __init__(self) -> None:
        self.model, self.fingerprint, self.views = MODEL, FLEET, "default"
        self.backend, self.device, self.images_at_once = "stub", "cpu", 4
        self.seconds = float(os.environ.get("AIDETECT_TEST_FORWARD", "0.005"))
        self._notes = os.environ.get("AIDETECT_TEST_NOTES")

    def note(self, text: str) -> None:
        if self._notes:
            with Path(self._notes).open("a") as file:
                file.write(f"{text}\n")

    def prepare(self, data: bytes, *, name: str | None = None, keep_pixels: bool = False) -> Prepared:
        sha256 = hashlib.sha256(data).hexdigest()
        if data != plain_image():
            self.note(f"decode {sha256}")
        obey(data, "decode")
        if b"corrupt" in data:
            raise CorruptImageError("the file is damaged: get it again", input=name)
        poison = b"forward:" in data
        image = ImageInfo(sha256, 64, 48, "forward" if poison else "PNG", len(data))
        prepared = Prepared(NO_VIEWS, 0.5, image, (), 0.0)
        if poison:
            object.__setattr__(prepared, "views", data)
        return prepared

    def judge(self, prepared: Sequence[Prepared], *, heat_maps: bool = False) -> list[PixelResult]:
        plain = all(one.image.bytes == len(plain_image()) for one in prepared)
        if not plain:
            self.note(f"forward {len(prepared)}")
        if Path(os.environ.get("AIDETECT_TEST_BROKEN") or "/none").exists():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        time.sleep(0.0 if plain else self.seconds)
        for one in prepared:
            if isinstance(one.views, bytes):
                obey(one.views, "forward", len(prepared))
        drawn = b"\x89PNG" if heat_maps else None
        return [PixelResult("real", None, 0.03, (), (), one.image, MODEL, drawn) for one in prepared]


def obey(data: bytes, stage: str, images: int = 1) -> None:
    """Does what an image asks for by `stage:fault` among its bytes."""
    for fault in ("raise", "abort", "kill", "hang", "lock", "memory", "broken"):
        if f"{stage}:{fault}".encode() not in data:
            continue
        if fault == "raise" or (fault == "broken" and images > 1):
            raise RuntimeError("poisoned: https://example.org/a.png?token=s3cret")
        if fault == "abort":
            os.abort()
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "hang":
            time.sleep(3600)
        if fault == "lock":
            ctypes.PyDLL(None).sleep(3600)  # never lets go of the interpreter's lock
        if fault == "memory" and images > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")


class DecodingEngine(Engine):
    """Decodes and takes views as the real one, and forwards nothing."""

    def __init__(self, max_pixels: int) -> None:
        super().__init__(backend="onnx", threads=1, max_pixels=max_pixels)
        self.fingerprint = FLEET

    def judge(self, prepared: Sequence[Prepared], *, heat_maps: bool = False) -> list[PixelResult]:
        return [PixelResult("real", None, 0.03, (), (), one.image, MODEL) for one in prepared]


class StubWorker(BatchWorker):
    def load_engine(self) -> Engine:
        decodes = os.environ.get("AIDETECT_TEST_DECODE")
        return DecodingEngine(self.settings.max_pixels) if decodes else StubEngine()

    @property
    def connection_timeout(self) -> int:
        return 3 if os.environ.get("AIDETECT_TEST_HASTE") else super().connection_timeout

    def _prepare(self) -> None:
        if os.environ.get("AIDETECT_TEST_HASTE"):
            _batch.LEASE, _heartbeat.EVERY, _rescue.TRANSIT = 3, 0.5, 1.5
            self.maintenance_interval = 1
        super()._prepare()
        if seconds := os.environ.get("AIDETECT_TEST_WATCHDOG"):
            self._watchdog._seconds = float(seconds)
        where = os.environ.get("AIDETECT_TEST_KILL", "")
        owner, name, after, done = {
            "": (None, "", 0, False),
            "take": (self._ledger, "take", 1, True),
            "begin": (self._ledger, "begin", 2, False),
            "begun": (self._ledger, "begin", 1, True),
            "fetch": (self._fetching._polite, "fetch", 5, True),
            "forward": (self._engine, "judge", 3, True),
            "answering": (self._ledger, "finish", 2, False),
            "answered": (self._ledger, "finish", 1, True),
            "rescue": (self._rescuer, "_rescue", 1, True),
        }[where]
        if owner is not None:
            fatal(owner, name, after, done)


def fatal(owner: Any, name: str, after: int, done: bool) -> None:
    """Lets this process kill itself as `owner.name` is called for the `after`-th time, before or after
    its work is done."""
    work, calls = getattr(owner, name), iter(range(1, after))

    def last(*args: Any, **options: Any) -> Any:
        dies = next(calls, None) is None
        answer = work(*args, **options) if done or not dies else None
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, last)


def main(url: str, settings: dict[str, str], output: str) -> None:
    """Runs a worker in this process until it is told to stop; what it writes goes to a file."""
    for name in [name for name in os.environ if name.startswith(("AIDETECT_", "RQ_"))]:
        del os.environ[name]
    os.environ.update(settings)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    with Redis.from_url(url) as connection:
        StubWorker(["checks"], connection=connection).work()


if __name__ == "__main__":
    main(**globals()["ARGUMENTS"])
