"""What the SDK adds to bare decoding and inference, and how fast the command starts.

Ratios are medians of alternating runs in one process; `--full` checks 300 files instead of 80.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from _figures import Figures, at_least, at_most, print_figures
from _model_work import ModelWork
from _pictures import encoded, photograph

from aidetect import Detector
from aidetect._image import decode


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
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = folder / "photo.jpg"
        photo.write_bytes(encoded(photograph(640, 480, 0), "JPEG"))
        check = start("-m", "aidetect", "check", str(photo))
        figures["start_check_seconds"] = at_most(check, 2.0)
        figures["start_help_seconds"] = at_most(start("-m", "aidetect", "--help"), 0.3)
        imported = start("-c", "import aidetect") - start("-c", "pass")
        figures["import_seconds"] = at_most(imported, 0.1)
        detector = Detector()
        large = overhead(detector, encoded(photograph(4000, 3000, 1), "JPEG"), 9)
        figures["check_12_megapixel_jpeg_over_its_parts"] = at_most(large, 1.15)
        small = overhead(detector, encoded(photograph(512, 512, 2), "PNG"), 9)
        figures["check_512_png_over_its_parts"] = at_most(small, 1.15)
        shared = many(detector, folder, 300 if full else 84)
        figures["check_many_over_model"] = at_least(shared, 0.9)
    print_figures(figures)


if __name__ == "__main__":
    main()
