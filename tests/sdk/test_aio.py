"""`aidetect.aio` on a real event loop: it never waits, whatever the threads do."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aidetect import AuthenticationError, ConfigurationError, NotAnImageError, Verdict
from aidetect.aio import AsyncDetector

from .api_server import ApiHandler, ApiServer
from .image_files import noise, save
from .origin import PATIENCE

PNG = save(noise(70, 70), "PNG")
OPTIONS: dict[str, Any] = {"backend": "onnx", "views": "fast", "threads": 1}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def test_the_loop_goes_on_while_it_loads_and_checks() -> None:
    async def main() -> tuple[int, list[Verdict]]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.002)

        ticking = asyncio.create_task(tick())
        async with AsyncDetector(**OPTIONS) as detector:
            verdicts = await asyncio.gather(*(detector.check(PNG) for _ in range(6)))
        ticking.cancel()
        return ticks, verdicts

    ticks, verdicts = asyncio.run(main())
    assert ticks > 20 and len({verdict.probability for verdict in verdicts}) == 1


def test_many_of_either_kind_of_iterable() -> None:
    async def given() -> AsyncIterator[bytes]:
        for image in (PNG, b"text", PNG):
            await asyncio.sleep(0.01)
            yield image

    async def main() -> list[list[Any]]:
        async with AsyncDetector(**OPTIONS) as detector:
            return [
                [answer async for answer in detector.check_many(images)]
                for images in ([PNG, b"text", PNG], given(), [])
            ]

    lists, asynchronous, nothing = asyncio.run(main())
    assert [type(one) for one in lists] == [Verdict, NotAnImageError, Verdict]
    assert [type(one) for one in asynchronous] == [type(one) for one in lists] and nothing == []


def test_errors_are_those_of_the_detector(server: ApiServer) -> None:
    async def main() -> None:
        async with AsyncDetector(url=server.url("")) as detector:
            with pytest.raises(NotAnImageError):
                await detector.check(b"text")
            server.faults = [lambda handler: handler.problem("no_key", 401)] * 20
            with pytest.raises(AuthenticationError):
                _ = [one async for one in detector.check_many([PNG] * 3)]
        with pytest.raises(ConfigurationError):
            await AsyncDetector(views="all").check(PNG)

    asyncio.run(main())
    with pytest.raises(ConfigurationError):
        AsyncDetector(workers=0)


def test_leaving_early_leaves_no_threads(server: ApiServer) -> None:
    def slow(handler: ApiHandler) -> None:
        time.sleep(0.2)
        server.answer_call(handler, "POST", "/v1/uploads", PNG)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield PNG

    async def main() -> None:
        async with AsyncDetector(url=server.url(""), concurrency=2) as detector:
            server.faults = [slow] * 100
            answers = detector.check_many(endless())
            assert isinstance(await anext(answers), Verdict)
            await answers.aclose()  # type: ignore[attr-defined]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    _ = [one async for one in detector.check_many([PNG] * 10)]

    asyncio.run(main())
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and any(
        thread.name.startswith("aidetect") for thread in threading.enumerate()
    ):
        time.sleep(0.05)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("aidetect")]
