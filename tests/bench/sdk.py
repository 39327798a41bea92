"""What the SDK adds to bare decoding and inference, and how fast the command starts.

Ratios are medians of alternating runs in one process; `--full` checks 300 files instead of 80.
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from _model_work import ModelWork
from PIL import Image

from aidetect import Detector
from aidetect._image import decode


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """Colour ramps, soft blobs and sensor-like noise: it decodes and compresses like a photograph."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (height // 40, width // 40, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    noise = rng.integers(-6, 7, (height, width, 1), dtype=np.int16)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {"compress_level": 1}))
    return buffer.getvalue()


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def overhead(detector: Detector, data: bytes, rounds: int) -> float:
    """`check` over the sum of its parts done bare, medians of alternating rounds."""
    model = ModelWork()

    def parts() -> None:
        model.one(decode(data).pixels)

    for work in (parts, lambda: detector.check(data)):
        work()
    bare, whole = [], []
    for _ in range(rounds):
        bare.append(seconds(parts))
        whole.append(seconds(lambda: detector.check(data)))
    return statistics.median(whole) / statistics.median(bare)


def many(detector: Detector, folder: Path, files: int, rounds: int = 3) -> float:
    """Images per second of `check_many` over those of the model fed with decoded pixels."""
    paths = []
    for number in range(files):
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(encoded(photograph(640, 480, number), "JPEG"))
    model, pixels = ModelWork(), decode(paths[0].read_bytes()).pixels
    share = files // rounds // 4 * 4
    ratios = []
    for turn in range(rounds):
        part = paths[turn * share : (turn + 1) * share]
        bare = seconds(partial(model.many, pixels, share))
        ratios.append(bare / seconds(partial(list, detector.check_many(part))))
    return statistics.median(ratios)


def start(*arguments: str, rounds: int = 5) -> float:
    """Median seconds of a whole Python process."""
    command = [sys.executable, *arguments]
    return statistics.median(
        seconds(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(rounds)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args().full
    figures: dict[str, tuple[float, float, bool]] = {}

    def at_most(name: str, value: float, target: float) -> None:
        figures[name] = (round(value, 3), target, value <= target)

    def at_least(name: str, value: float, target: float) -> None:
        figures[name] = (round(value, 3), target, value >= target)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = folder / "photo.jpg"
        photo.write_bytes(encoded(photograph(640, 480, 0), "JPEG"))
        at_most("start_check_seconds", start("-m", "aidetect", "check", str(photo)), 2.0)
        at_most("start_help_seconds", start("-m", "aidetect", "--help"), 0.3)
        empty = start("-c", "pass")
        at_most("import_seconds", start("-c", "import aidetect") - empty, 0.1)
        detector = Detector()
        large = encoded(photograph(4000, 3000, 1), "JPEG")
        at_most("check_12_megapixel_jpeg_over_its_parts", overhead(detector, large, 9), 1.15)
        at_most(
            "check_512_png_over_its_parts",
            overhead(detector, encoded(photograph(512, 512, 2), "PNG"), 9),
            1.15,
        )
        at_least("check_many_over_model", many(detector, folder, 300 if full else 84), 0.9)
    keys = ("value", "target", "met")
    print(json.dumps({name: dict(zip(keys, row, strict=True)) for name, row in figures.items()}))


if __name__ == "__main__":
    main()
