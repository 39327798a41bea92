"""The thread that owns the model: whatever is ready, in one forward; and what to do when one fails."""

import logging
import queue
import threading
import time
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

from aidetect._engine import Engine
from aidetect._result import PixelResult

from ._check import Check
from ._metrics import Metrics
from ._stages import Ready

log = logging.getLogger("aidetect.worker")


class Forwarder:
    """Forwards batches until `ready` is closed.

    An image on which the model fails is blamed only where the model still answers for a plain one: a
    CUDA context that met an illegal access answers nothing any more. Then `broken` is set, and nothing
    comes out. (The plain image also warms the model up: a first forward can take seconds.)
    """

    def __init__(
        self,
        engine: Engine,
        ready: Ready[Check],
        events: queue.SimpleQueue[Check],
        metrics: Metrics,
    ) -> None:
        self._engine, self._ready, self._events, self._metrics = engine, ready, events, metrics
        self._plain = engine.prepare(plain_image())
        self.broken = not self._works()
        threading.Thread(target=self._run, name="aidetect-forward", daemon=True).start()

    def _run(self) -> None:
        while batch := self._ready.take():
            started = time.monotonic()
            for check in batch:
                check.running = started
            self._judge(batch)
            if self.broken:
                return
            for check in batch:
                self._events.put(check)

    def _judge(self, batch: Sequence[Check]) -> None:
        """Sets the result or the error of each; in halves where memory does not do, one by one where a
        batch raises."""
        try:
            results = self._forward(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = error
                self.broken = self.broken or not self._works()
            elif out_of_memory(error):
                half = (len(batch) + 1) // 2
                self._ready.max_batch = min(self._ready.max_batch, half)
                log.warning("out of memory with %d images: batches of %d from now on", len(batch), half)
                self._judge(batch[:half])
                self._judge(batch[half:])
            else:
                log.warning("a batch of %d failed (%s): one by one", len(batch), type(error).__name__)
                for check in batch:
                    if not self.broken:
                        self._judge([check])
            return
        for check, result in zip(batch, results, strict=True):
            check.result = result

    def _forward(self, batch: Sequence[Check]) -> list[PixelResult]:
        started = time.monotonic()
        results = self._engine.judge([c.prepared for c in batch if c.prepared], heat_maps=True)
        self._metrics.forward.observe(time.monotonic() - started)
        self._metrics.batch.observe(len(batch))
        return results

    def _works(self) -> bool:
        """Whether the model answers for an image that is known to be good."""
        try:
            return len(self._engine.judge([self._plain], heat_maps=True)) == 1
        except Exception:
            log.exception("the model does not even answer for a plain image")
            return False


def plain_image() -> bytes:
    """A grey PNG."""
    file = BytesIO()
    Image.new("RGB", (64, 64), (128, 128, 128)).save(file, "PNG")
    return file.getvalue()


def out_of_memory(error: Exception) -> bool:
    """Whether a runtime ran out of memory; each says so in its own way."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "out of memory" in text
        or "failed to allocate memory" in text
        or "bad_alloc" in text
    )
