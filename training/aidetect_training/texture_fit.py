"""Fits a model's texture (`aidetect._texture`): the weights of hand-made features next to the network.

Every image gives a vector in each tier: whole images of their centre square, scaled down, tiles as they
are. (Tiles enlarged to a view taught the enlarging; see `training/RESULTS.md`.) The weights are a
logistic regression's; both classes weigh the same, and within a class groups and origins as the recipe
weighs them.

Noise and blur undo that, so whole images give more vectors: of a corner in each tier, and of centre and
corner after random lives of scaling, blur, noise and compression. A second regression tells these from
the tiers, which is what is strange to the first; a third tells AI from real by all vectors, and speaks
there.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import compress
from multiprocessing import get_context
from typing import Any

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from aidetect import ConfigurationError, ImageError
from aidetect._image import decode
from aidetect._texture import LENGTH, VERSION, features, squares
from aidetect._views import scaled_square

from .data import Item
from .variants import TIERS, grainy, laundered, worn

LIVES = {"worn": worn, "grainy": grainy}
"""The random lives that a whole image is looked at after, in the order of its `vectors`."""

VIEW_SIZE = 256
SHRINK = {"web": 0.85, "hard": 0.7}
"""What a tier's scaling does to the middle of an image on average, for tiles."""

STRENGTH = 0.005
"""Inverse strength of the regularisation; how it was chosen is told in `training/RESULTS.md`."""

STRANGE_STRENGTH, WORN_STRENGTH = 0.01, 0.001
"""The same of the second and the third regression."""

TILES = 0.25
"""What a tile weighs beside a whole image."""

LEFT_OUT = 0.01
"""Share of the views in the tiers that are strange all the same."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Images that could be read, and the `vectors` of each."""

    items: list[Item]
    rows: list[np.ndarray]

    def where(self, wanted: Callable[[Item], bool]) -> "Looked":
        """Those of the images that are wanted."""
        pairs = [pair for pair in zip(self.items, self.rows, strict=True) if wanted(pair[0])]
        return Looked([item for item, _ in pairs], [row for _, row in pairs])


def look(items: Sequence[Item], workers: int = 2) -> Looked:
    """The `vectors` of images; those that cannot be read are left out."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        done = pool.map(vectors, items, chunksize=16)
        rows = list(tqdm(done, total=len(items), unit="img", mininterval=10))
    read = [len(row) > 0 for row in rows]
    return Looked(list(compress(items, read)), list(compress(rows, read)))


def fit_texture(looked: Looked, balance: float) -> dict[str, Any]:
    """A `Texture` as a dictionary.

    Raises ConfigurationError where not both classes are there.
    """
    items, rows = looked.items, looked.rows
    if len({item.label for item in items}) < 2:
        raise ConfigurationError("a texture needs readable images of both classes. Add the others.")
    each = len(TIERS)
    tile = np.array([len(row) == each for row in rows])
    shares = np.where(tile, TILES, 1.0)
    margin = _regression(
        np.concatenate([row[:each] for row in rows]),
        np.repeat([item.label for item in items], each),
        np.repeat(sample_weights(items, balance, shares), each),
        STRENGTH,
    )
    times = [len(row) for row in rows]
    every = [item for item, row in zip(items, rows, strict=True) for _ in row]
    labels = np.repeat([item.label for item in items], times)
    weights = sample_weights(every, balance, np.repeat(shares, times))
    worn = _regression(np.concatenate(rows), labels, weights, WORN_STRENGTH)
    whole = [row for row in rows if len(row) > each]
    return {
        "version": VERSION,
        "view_size": VIEW_SIZE,
        "margin": digits(*margin),
        "strange": digits(*_strange(np.stack(whole)) if whole else (np.zeros(LENGTH), 0.0)),
        "worn": digits(*worn),
    }


def _strange(rows: np.ndarray) -> tuple[np.ndarray, float]:
    """What is unlike the tiers, by the vectors of whole images (n, those of `vectors`, `LENGTH`)."""
    usual = rows[:, : 2 * len(TIERS)].reshape(-1, LENGTH)
    unlike = rows[:, 2 * len(TIERS) : 2 * len(TIERS) + 2].reshape(-1, LENGTH)
    labels = np.repeat([0, 1], [len(usual), len(unlike)])
    weights = len(labels) / 2 / np.where(labels, len(unlike), len(usual))
    slopes, _ = _regression(np.concatenate([usual, unlike]), labels, weights, STRANGE_STRENGTH)
    limit = float(np.quantile(usual @ slopes, 1 - LEFT_OUT))
    return slopes, -limit


def _regression(
    x: np.ndarray, labels: np.ndarray, weights: np.ndarray, strength: float
) -> tuple[np.ndarray, float]:
    """Slopes and constant of a logistic regression on standardised features."""
    scaler = StandardScaler().fit(x, sample_weight=weights)
    model = LogisticRegression(C=strength, max_iter=1000)
    model.fit(scaler.transform(x), labels, sample_weight=weights)
    slopes = model.coef_[0] / scaler.scale_
    return slopes, float(model.intercept_[0] - slopes @ scaler.mean_)


def digits(slopes: np.ndarray, constant: float) -> dict[str, Any]:
    """A `Sum` as a dictionary, rounded to what tells."""
    return {"constant": round(constant, 6), "weights": [float(f"{slope:.5g}") for slope in slopes]}


def vectors(item: Item) -> np.ndarray:
    """(n, `LENGTH`) of one image: in each tier; of a whole image then a corner in each tier, and centre
    and corner of it worn and grainy. n is 0 where it cannot be read."""
    try:
        stored = decode(item.path.read_bytes()).pixels
    except (ImageError, OSError):
        return np.empty((0, LENGTH), np.float32)
    whole = max(stored.shape) > VIEW_SIZE
    centres, corners, rng = [], [], random.Random(item.path.name)
    for tier, limits in TIERS.items():
        pixels = stored
        if limits:
            side, quality = limits
            if not whole:  # a tile, which the tier's own limit would not touch
                side = round(SHRINK[tier] * max(stored.shape))
            pixels = decode(laundered(Image.fromarray(stored), side, quality)).pixels
        scaled = min(pixels.shape[:2]) > VIEW_SIZE
        centres.append(_centre(pixels) if scaled else pixels)
        if whole:
            corners.append(_corner(pixels, rng))
    views = centres
    if whole:
        views = [*centres, *corners]
        for life in LIVES.values():
            pixels = decode(life(Image.fromarray(stored))).pixels
            views += [_centre(pixels), _corner(pixels, rng)]
    return np.stack([features(view) for view in views])


def _centre(pixels: np.ndarray) -> np.ndarray:
    return scaled_square(pixels, squares(pixels.shape[1], pixels.shape[0])[0], VIEW_SIZE)


def _corner(pixels: np.ndarray, rng: random.Random) -> np.ndarray:
    return scaled_square(pixels, rng.choice(squares(pixels.shape[1], pixels.shape[0])[1:]), VIEW_SIZE)


def sample_weights(
    items: Sequence[Item], balance: float, shares: np.ndarray | float = 1.0
) -> np.ndarray:
    """Both classes weigh the same; in it a group of n images n**balance, an origin likewise, and each
    image its share (n,). Mean 1."""
    groups = Counter((item.label, item.group) for item in items)
    origins = Counter((item.label, item.group, item.origin) for item in items)
    raw = np.array([
        groups[i.label, i.group] ** (balance - 1) * origins[i.label, i.group, i.origin] ** (balance - 1)
        for i in items
    ]) * shares  # fmt: skip
    labels = np.array([item.label for item in items])
    for label in (0, 1):
        raw[labels == label] /= raw[labels == label].sum()
    return raw * len(raw) / raw.sum()
