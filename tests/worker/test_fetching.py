"""Getting a check's bytes within the worker's budget."""

import threading
import time

import pytest
from redis import Redis

from aidetect._protocol import CheckRequest
from aidetect_worker._batch import Held
from aidetect_worker._check import Check
from aidetect_worker._fetching import Fetching
from aidetect_worker._settings import FetchSettings
from aidetect_worker._stages import Budget
from aidetect_worker._uploads import Uploads

from ..sdk.origin import Origin
from .conftest import FLEET, SECRET
from .results import digest
from .workers import until

DATA = b"as good as an image"


def request(kind: str, origin: Origin, uploads: Uploads) -> CheckRequest:
    if kind == "url":
        return CheckRequest.for_url(origin.serve("/a.png", DATA), FLEET)
    return CheckRequest.for_upload(digest(DATA), FLEET, uploads.store(DATA, digest(DATA)))


@pytest.mark.parametrize("kind", ["url", "upload"])
def test_a_check_that_waits_for_room_is_not_taken_for_one_that_hangs(kind: str, redis: Redis) -> None:
    uploads, budget = Uploads(redis, SECRET, 1000, 60), Budget(100)
    settings = FetchSettings(allow_private=True, fetch_timeout=60)
    with Origin() as origin:
        check = Check(Held("job", "run", request(kind, origin, uploads), 0.0, False), 0.0)
        check.running = started = time.monotonic() - 1000
        budget.take(100)
        fetching = Fetching(settings, uploads, budget, None)
        thread = threading.Thread(target=fetching, args=(check,))
        thread.start()
        until(lambda: budget._line)
        assert check.running is None and check.data is None
        budget.give(100)
        thread.join(60)
        assert check.data == DATA and budget.used == check.reserved == len(DATA)
        assert check.running is not None and check.running > started
        fetching.release(check)
        assert budget.used == 0 and check.data is None
        fetching.close()
