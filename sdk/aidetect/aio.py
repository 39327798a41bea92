"""`AsyncDetector`: `Detector` for programs that run an event loop.

It is thin: the work runs in threads, where the network and the sockets release the interpreter, so an
HTTP library of its own would change nothing but the number of dependencies.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from ._errors import ConfigurationError, InputError
from ._verdict import Verdict

if TYPE_CHECKING:
    from ._detector import Detector, ImageInput
    from ._explain import Explanation

__all__ = ["AsyncDetector"]


class AsyncDetector:
    """Takes the arguments of `Detector`, and `workers`: checks that run at once. The model is loaded,
    without keeping the loop waiting, as `async with` begins or with the first check; errors are those
    of `Detector`.

    >>> async with AsyncDetector() as detector:  # doctest: +SKIP
    ...     print(await detector.check("photo.jpg"))
    """

    def __init__(self, *arguments: Any, workers: int = 8, **options: Any) -> None:
        if workers < 1:
            raise ConfigurationError("workers has to be above zero")
        self._arguments, self._options = arguments, options
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="aidetect-async")
        self._loading: asyncio.Future[Detector] | None = None

    async def __aenter__(self) -> Self:
        await self._detector()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the threads; checks that have not begun are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def check(self, image: "ImageInput") -> Verdict:
        """As `Detector.check`. A check that is cancelled still ends in its thread."""
        verdict: Verdict = await self._run((await self._detector()).check, image)
        return verdict

    async def explain(self, image: "ImageInput") -> "Explanation":
        """As `Detector.explain`."""
        explanation: Explanation = await self._run((await self._detector()).explain, image)
        return explanation

    async def check_many(
        self, images: "Iterable[ImageInput] | AsyncIterable[ImageInput]"
    ) -> AsyncIterator[Verdict | InputError]:
        """As `Detector.check_many`, for iterables of either kind."""
        detector = await self._detector()
        if isinstance(images, AsyncIterable):
            images = _pulled(images, asyncio.get_running_loop())
        answers = cast("Generator[Verdict | InputError, None, None]", detector.check_many(images))
        step: asyncio.Future[Verdict | InputError | None] | None = None
        try:
            while True:
                step = self._run(next, answers, None)
                if (answer := await asyncio.shield(step)) is None:
                    return
                yield answer
        finally:
            if step is not None and not step.done():
                await asyncio.wait([step])  # a generator that runs cannot be closed
            await self._run(answers.close)

    def _run(self, work: Any, *arguments: Any) -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    async def _detector(self) -> "Detector":
        if self._loading is None or self._loading.cancelled():
            self._loading = self._run(self._load)
        return await asyncio.shield(self._loading)

    def _load(self) -> "Detector":
        from ._detector import Detector

        return Detector(*self._arguments, **self._options)


def _pulled(images: AsyncIterable[Any], loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """What an asynchronous iterable gives, for a thread beside its loop."""
    source = aiter(images)

    async def following() -> tuple[Any, ...]:
        try:
            return (await anext(source),)
        except StopAsyncIteration:
            return ()

    while found := asyncio.run_coroutine_threadsafe(following(), loop).result():
        yield found[0]
