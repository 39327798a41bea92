"""What int8 brings the shipped network and what it costs: speed on the CPU, accuracy on `devtest`.

Rounds of float32 and int8 alternate in ONNX Runtime, each on its own session and threads that sleep
between calls; the figure is the ratio of the medians. Accuracy: the network alone, at even odds, on the
global view, and the whole verdict, with its texture, which 8 bits do not touch. The ranges come from
the recipe's validation origins in `train`, never from `devtest`. Both need the images that AIDETECT_DATA
names; without them only the speed is measured, with ranges of noise. `--full` measures longer.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.metrics import roc_auc_score

from aidetect._backends import Backend, open_backend
from aidetect._calibration import Calibration
from aidetect._image import decode
from aidetect._texture import Texture
from aidetect._views import extract_views
from aidetect._weights import ModelPackage, load_package
from aidetect_training.data import Item, split
from aidetect_training.evaluate import spread
from aidetect_training.layouts import read_dataset
from aidetect_training.metrics import balanced_accuracy
from aidetect_training.quantize import quantize, views_of
from aidetect_training.recipe import load_recipe

RANGES = 256
"""Images that ranges are taken from."""

Shown = tuple[np.ndarray, float]
"""An image's global view, and its texture's margin."""


def calibration_views(package: ModelPackage, data: Path | None) -> np.ndarray:
    if not data:
        size = package.manifest.view_size
        return np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    _, held_out = split(read_dataset(data / "train"), load_recipe("default").data)
    return views_of(package, spread(held_out, RANGES))


def speed(before: Backend, after: Backend, views: np.ndarray, seconds: float) -> float:
    """How many times as fast `after` is, from medians of alternating calls."""
    taken: dict[Backend, list[float]] = {before: [], after: []}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken[after]) < 5:
        for backend in (before, after):
            backend.logits(views)
            started = time.perf_counter()
            backend.logits(views)
            taken[backend].append(time.perf_counter() - started)
    return median(taken[before]) / median(taken[after])


def look(package: ModelPackage, items: list[Item]) -> list[Shown]:
    """Decoded once for both."""
    texture, size = Texture.from_dict(package.manifest.texture or {}), package.manifest.view_size

    def one(item: Item) -> Shown:
        pixels = decode(item.path.read_bytes()).pixels
        view = extract_views(pixels, "fast", size).pixels[0]
        return view, texture.look(pixels).margin

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, items))


def margins(backend: Backend, shown: list[Shown]) -> np.ndarray:
    views = np.stack([view for view, _ in shown])
    parts = [backend.logits(views[first : first + 16]) for first in range(0, len(views), 16)]
    logits = np.concatenate(parts)
    return logits[:, 1] - logits[:, 0]


def changes(
    before: Backend, after: Backend, package: ModelPackage, items: list[Item]
) -> dict[str, float]:
    """By how much balanced accuracy and AUC differ, of the network and of the verdict."""
    shown = look(package, items)
    truth = np.array([item.label for item in items])
    calibration = Calibration.from_dict(package.manifest.calibration)
    found: dict[str, list[float]] = {}
    told = [margins(backend, shown) for backend in (before, after)]
    for said in told:
        verdicts = [
            calibration.probability(np.array([margin], np.float32), texture)
            for margin, (_, texture) in zip(said, shown, strict=True)
        ]
        for name, value in (
            ("network_balanced_accuracy", balanced_accuracy(truth, np.where(said >= 0, 1.0, 0.0))),
            ("network_auc", float(roc_auc_score(truth, said))),
            ("verdict_balanced_accuracy", balanced_accuracy(truth, np.array(verdicts))),
        ):
            found.setdefault(name, []).append(value)
    for name, (was, now) in found.items():
        print(f"{name}: {was:.4f} in float32, {now:.4f} in int8")
    error = np.sqrt(np.mean((told[1] - told[0]) ** 2)) / told[0].std()
    turned = np.mean((told[0] >= 0) != (told[1] >= 0))
    print(
        f"margins correlate by {np.corrcoef(told)[0, 1]:.4f}, differ by {error:.3f} of their deviation;"
        f" {turned:.2%} of the network's answers turn"
    )
    return {f"{name}_change": abs(now - was) for name, (was, now) in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="measure five times as long")
    seconds = 25.0 if parser.parse_args().full else 5.0
    data = Path(os.environ["AIDETECT_DATA"]) if "AIDETECT_DATA" in os.environ else None
    package = load_package()
    figures: dict[str, tuple[float, str, bool]] = {}
    with tempfile.TemporaryDirectory() as folder:
        small = load_package(quantize(package, calibration_views(package, data), Path(folder)))
        before, after = (open_backend(model, "onnx") for model in (package, small))
        print(f"weights: {len(package.weights) / 1e6:.1f} MB, in int8 {len(small.weights) / 1e6:.1f} MB")
        side = package.manifest.view_size
        for count in (1, 9):
            views = np.random.default_rng(1).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
            ratio = speed(before, after, views, seconds)
            figures[f"int8_over_float32_{count}_views"] = (round(ratio, 2), "≥ 1.5", ratio >= 1.5)
        if find_spec("openvino"):
            pair = (open_backend(model, "openvino") for model in (package, small))
            print(f"in OpenVINO, over its own default precision: {speed(*pair, views, seconds):.2f}")
        if data:
            for name, value in changes(before, after, package, read_dataset(data / "devtest")).items():
                figures[name] = (round(value, 4), "≤ 0.005", value <= 0.005)
        else:
            print("accuracy left out: AIDETECT_DATA names no images", file=sys.stderr)
    keys = ("value", "target", "met")
    rows = {name: dict(zip(keys, row, strict=True)) for name, row in figures.items()}
    print(json.dumps(rows, ensure_ascii=False))


if __name__ == "__main__":
    main()
