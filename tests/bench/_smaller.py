"""What `int8.py` and `prune.py` measure alike: another form of the shipped network against it."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.metrics import roc_auc_score

from aidetect._backends import Backend
from aidetect._calibration import Calibration
from aidetect._image import decode
from aidetect._texture import Texture
from aidetect._views import extract_views
from aidetect._weights import ModelPackage
from aidetect_training.data import Item, split
from aidetect_training.evaluate import spread
from aidetect_training.layouts import read_dataset
from aidetect_training.metrics import balanced_accuracy
from aidetect_training.quantize import views_of
from aidetect_training.recipe import load_recipe

DATA = Path(os.environ["AIDETECT_DATA"]) if "AIDETECT_DATA" in os.environ else None

FITTED = 256
"""Images that ranges or the weights that stay are fitted on."""

Shown = tuple[np.ndarray, float]
"""An image's global view, and its texture's margin."""


def held_out() -> list[Item]:
    """The recipe's validation origins in `train`, never `devtest`; without `DATA` none."""
    return split(read_dataset(DATA / "train"), load_recipe("default").data)[1] if DATA else []


def fitting_views(package: ModelPackage, items: Sequence[Item]) -> np.ndarray:
    """What the model is shown of some of them; without any, noise."""
    if not items:
        return noise(8, package.manifest.view_size)
    return views_of(package, spread(items, FITTED))


def noise(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def speeds(before: Backend, after: Sequence[Backend], views: np.ndarray, seconds: float) -> list[float]:
    """How many times as fast each of `after` is, from medians of alternating calls."""
    taken: dict[Backend, list[float]] = {backend: [] for backend in (before, *after)}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken[before]) < 5:
        for backend, calls in taken.items():
            backend.logits(views)
            started = time.perf_counter()
            backend.logits(views)
            calls.append(time.perf_counter() - started)
    return [median(taken[before]) / median(taken[backend]) for backend in after]


def look(package: ModelPackage, items: Sequence[Item]) -> list[Shown]:
    """Decoded once for all."""
    texture, size = Texture.from_dict(package.manifest.texture or {}), package.manifest.view_size

    def one(item: Item) -> Shown:
        pixels = decode(item.path.read_bytes()).pixels
        view = extract_views(pixels, "fast", size).pixels[0]
        return view, texture.look(pixels, False).margin

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, items))


def margins(backend: Backend, shown: Sequence[Shown]) -> np.ndarray:
    views = np.stack([view for view, _ in shown])
    parts = [backend.logits(views[first : first + 16]) for first in range(0, len(views), 16)]
    logits = np.concatenate(parts)
    return logits[:, 1] - logits[:, 0]


def accuracy(
    said: np.ndarray, shown: Sequence[Shown], package: ModelPackage, items: Sequence[Item]
) -> dict[str, float]:
    """Balanced accuracy and AUC of a network's margins, and of the verdicts that they have part in."""
    truth = np.array([item.label for item in items])
    calibration = Calibration.from_dict(package.manifest.calibration)
    verdicts = [
        calibration.probability(np.array([margin], np.float32), texture)
        for margin, (_, texture) in zip(said, shown, strict=True)
    ]
    return {
        "network_balanced_accuracy": balanced_accuracy(truth, np.where(said >= 0, 1.0, 0.0)),
        "network_auc": float(roc_auc_score(truth, said)),
        "verdict_balanced_accuracy": balanced_accuracy(truth, np.array(verdicts)),
    }


def likeness(told: np.ndarray, right: np.ndarray) -> str:
    error = np.sqrt(np.mean((told - right) ** 2)) / right.std()
    turned = np.mean((told >= 0) != (right >= 0))
    return (
        f"margins correlate by {np.corrcoef(told, right)[0, 1]:.4f}, differ by {error:.3f} of their "
        f"deviation; {turned:.2%} of the network's answers turn"
    )
