"""Large images, many at once: a worker holds as many as it may."""

import io
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from aidetect_worker import Broker

from .workers import PATIENCE, WorkerProcess, all_done, running, until, upload

IMAGES = int(os.environ.get("AIDETECT_TEST_LARGE_IMAGES", "5"))
"""128 for the full test."""


def most_memory(worker: WorkerProcess) -> int:
    """Bytes that were resident at most so far."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return 1024 * int(found[1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_many_images_of_fifty_megapixels_are_decoded_within_the_budget(broker: Broker) -> None:
    file = io.BytesIO()
    Image.new("L", (7071, 7071), 128).save(file, "JPEG")
    with running(broker, test_decode="1", decode_threads="4", max_memory="1000000000") as [worker]:
        before = most_memory(worker)
        jobs = [upload(broker, file.getvalue() + number.to_bytes(2)) for number in range(IMAGES)]
        until(lambda: all_done(broker, jobs), [worker], PATIENCE * (1 + IMAGES // 10))
        used = most_memory(worker) - before
        print(f"{IMAGES} images: {before // 10**6} MB before, at most {used // 10**6} MB more")
        assert used < 1_000_000_000
