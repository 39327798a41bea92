"""Verdicts from a model in this process: reading and decoding in threads beside the network."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ._engine import Engine, Prepared
from ._errors import ConfigurationError, InputError
from ._image import from_array, from_pil
from ._provenance import claims_identity
from ._reading import name_of, no_image, read
from ._result import PixelResult, assemble
from ._text import is_url
from ._verdict import Verdict

if TYPE_CHECKING:
    from ._explain import Explanation
    from ._fetch import Fetcher


@dataclass(frozen=True, slots=True)
class _Read:
    """One input, read and ready for the network, and what the caller calls it."""

    prepared: Prepared
    source: str | None
    seconds: float


class Local:
    """What `Detector` does without a server; the arguments are described there."""

    def __init__(self, engine: Engine, *, max_bytes: int, timeout: float, allow_private: bool) -> None:
        self.engine = engine
        self._max_bytes = max_bytes
        self._fetch_options: dict[str, Any] = {
            "max_bytes": max_bytes,
            "timeout": timeout,
            "allow_private": allow_private,
        }
        self.model, self.backend, self.device = engine.model, engine.backend, engine.device

    def __repr__(self) -> str:
        model, engine = f"{self.model.name} {self.model.version}", self.engine
        return f"<Detector {model}, {engine.views} views, {engine.backend} on {engine.device}>"

    @property
    def identity(self) -> str:
        return f"{self.engine.fingerprint}.{claims_identity()}"

    def check(self, image: Any) -> Verdict:
        return self._answer([self._prepare(image)])[0]

    def explain(self, image: Any) -> "Explanation":
        from ._explain import explanation

        read = self._prepare(image, explained=True)
        started = time.perf_counter()
        result, heat_map = self.engine.explain(read.prepared)
        verdict = _verdict_of(read, result, time.perf_counter() - started)
        assert read.prepared.pixels is not None
        return explanation(verdict, heat_map, read.prepared.pixels)

    def check_many(self, images: Iterable[Any]) -> Iterator[Verdict | InputError]:
        source, batch = iter(images), self.engine.images_at_once
        ahead: deque[Future[_Read | InputError]] = deque()
        with ThreadPoolExecutor(4, thread_name_prefix="aidetect-decode") as pool:
            try:
                ahead.extend(
                    pool.submit(self._try_prepare, image) for image in islice(source, 3 * batch)
                )
                while ahead:
                    taken = [ahead.popleft().result() for _ in range(min(batch, len(ahead)))]
                    ahead.extend(
                        pool.submit(self._try_prepare, image) for image in islice(source, batch)
                    )
                    yield from self._in_place(taken)
            finally:
                for future in ahead:
                    future.cancel()

    def _in_place(self, taken: list[_Read | InputError]) -> Iterator[Verdict | InputError]:
        good = [one for one in taken if isinstance(one, _Read)]
        verdicts = iter(self._answer(good) if good else ())
        for one in taken:
            yield next(verdicts) if isinstance(one, _Read) else one

    def _try_prepare(self, image: Any) -> "_Read | InputError":
        try:
            return self._prepare(image)
        except InputError as error:
            return error

    def _prepare(self, image: Any, explained: bool = False) -> _Read:
        started = time.perf_counter()
        source = name = name_of(image)
        if isinstance(image, str) and is_url(image):
            from ._fetch import shown

            name = shown(image)  # queries hold tokens, and messages end up in logs
        try:
            prepared = self._prepared(image, name, explained)
        except InputError as error:
            error.input = name or error.input
            raise
        return _Read(prepared, source, time.perf_counter() - started)

    def _prepared(self, image: Any, name: str | None, explained: bool) -> Prepared:
        engine = self.engine
        kept = {"keep_pixels": explained, "heat_map": explained}
        if isinstance(image, np.ndarray):
            return engine.prepare_pixels(from_array(image), **kept)
        if isinstance(image, str) and is_url(image):
            data = self._fetcher.fetch(image).data
            return engine.prepare(data, name=name, **kept)
        if isinstance(image, str | os.PathLike | bytes) or hasattr(image, "read"):
            data = read(image, self._max_bytes)
            return engine.prepare(data, name=name, **kept)
        if hasattr(image, "getbands"):
            decoded = from_pil(image, max_pixels=engine.max_pixels, name=name)
            return engine.prepare_pixels(decoded, **kept)
        raise ConfigurationError(no_image(image))

    @cached_property
    def _fetcher(self) -> "Fetcher":
        # requests takes a while to import, and most checks are of files.
        from ._fetch import Fetcher

        return Fetcher(**self._fetch_options)

    def _answer(self, read: list[_Read]) -> list[Verdict]:
        started = time.perf_counter()
        results = self.engine.judge([one.prepared for one in read])
        each = (time.perf_counter() - started) / len(read)
        return [_verdict_of(one, result, each) for one, result in zip(read, results, strict=True)]


def _verdict_of(read: _Read, result: PixelResult, seconds: float) -> Verdict:
    """`seconds`: the time that judging took."""
    return assemble(
        result,
        read.prepared.claims,
        source=read.source,
        elapsed_ms=round(1000 * (read.seconds + seconds), 1),
    )
