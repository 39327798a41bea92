"""Fits a model's texture (`aidetect._texture`): the weights of hand-made features next to the network.

Every image gives a vector in each tier: whole images of their centre square, scaled down, tiles as they
are. (Tiles enlarged to a view taught the enlarging; see `training/RESULTS.md`.) The weights are a
logistic regression's; both classes weigh the same, and within a class groups and origins as the recipe
weighs them.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from aidetect import ConfigurationError, ImageError
from aidetect._image import decode
from aidetect._texture import VERSION, features
from aidetect._views import centre_square, scaled_square

from .data import Item
from .variants import TIERS, laundered

VIEW_SIZE = 256
SHRINK = {"web": 0.85, "hard": 0.7}
"""What a tier's scaling does to the middle of an image on average, for tiles."""

STRENGTH = 0.005
"""Inverse strength of the regularisation; how it was chosen is told in `training/RESULTS.md`."""


def fit_texture(items: Sequence[Item], balance: float, workers: int = 2) -> dict[str, Any]:
    """A `Texture` as a dictionary. Images that cannot be read are left out.

    Raises ConfigurationError where not both classes are there.
    """
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        done = pool.map(vectors, items, chunksize=16)
        rows = list(tqdm(done, total=len(items), unit="img", mininterval=10))
    read = [item for item, row in zip(items, rows, strict=True) if len(row)]
    if len({item.label for item in read}) < 2:
        raise ConfigurationError("a texture needs readable images of both classes. Add the others.")
    x = np.concatenate([row for row in rows if len(row)])
    each = len(TIERS)
    labels = np.repeat([item.label for item in read], each)
    weights = np.repeat(sample_weights(read, balance), each)
    scaler = StandardScaler().fit(x, sample_weight=weights)
    model = LogisticRegression(C=STRENGTH, max_iter=1000)
    model.fit(scaler.transform(x), labels, sample_weight=weights)
    slopes = model.coef_[0] / scaler.scale_
    constant = float(model.intercept_[0] - slopes @ scaler.mean_)
    return {
        "version": VERSION,
        "view_size": VIEW_SIZE,
        "constant": round(constant, 6),
        "weights": [float(f"{slope:.5g}") for slope in slopes],
    }


def vectors(item: Item) -> np.ndarray:
    """(tiers, `LENGTH`) of one image, or (0,) where it cannot be read."""
    try:
        stored = decode(item.path.read_bytes()).pixels
    except (ImageError, OSError):
        return np.empty(0, np.float32)
    found = []
    for tier, limits in TIERS.items():
        pixels = stored
        if limits:
            side, quality = limits
            if max(stored.shape) <= VIEW_SIZE:  # a tile, which the tier's own limit would not touch
                side = round(SHRINK[tier] * max(stored.shape))
            pixels = decode(laundered(Image.fromarray(stored), side, quality)).pixels
        if min(pixels.shape[:2]) > VIEW_SIZE:
            box = centre_square(pixels.shape[1], pixels.shape[0])
            pixels = scaled_square(pixels, box, VIEW_SIZE)
        found.append(features(pixels))
    return np.stack(found)


def sample_weights(items: Sequence[Item], balance: float) -> np.ndarray:
    """Both classes weigh the same; in it a group of n images n**balance, an origin likewise. Mean 1."""
    groups = Counter((item.label, item.group) for item in items)
    origins = Counter((item.label, item.group, item.origin) for item in items)
    raw = np.array([
        groups[i.label, i.group] ** (balance - 1) * origins[i.label, i.group, i.origin] ** (balance - 1)
        for i in items
    ])  # fmt: skip
    labels = np.array([item.label for item in items])
    for label in (0, 1):
        raw[labels == label] /= raw[labels == label].sum()
    return raw * len(raw) / raw.sum()
