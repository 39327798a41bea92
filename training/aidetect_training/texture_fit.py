"""Fits a model's texture (`aidetect._texture`): the weights of hand-made features next to the network.

Every image gives vectors of its centre square and of a corner in each tier, and after random lives of
scaling, blur, noise and compression. One logistic regression tells AI from real by the centres in the
tiers; a second tells lives from tiers, which is what is strange to the first; a third tells AI from real
by all vectors, and speaks there.

Both classes weigh the same, and within a class groups and origins as the recipe weighs them. They weigh
the same also among views of about the same `zoom`, how many pixels of the view one of the original
became: cameras deliver large images and generators small ones, so that else scaling down would mean
"real", and a small photograph "AI". (It did until model 4; see `training/texture.md`.)
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import compress, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

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
from .variants import TIERS, VARIANTS

USUAL_TIERS = (*TIERS, "shared")
LOOKED_AT = (*USUAL_TIERS, "worn", "grainy")
"""The variants of an image that are looked at: the tiers, then random lives."""

VIEWS, USUAL = 2 * len(LOOKED_AT), 2 * len(USUAL_TIERS)
"""Vectors of an image, a centre and a corner each; those of the usual tiers come first."""

VIEW_SIZE = 256
STRENGTH = 0.005
"""Inverse strength of the regularisation; how it was chosen is told in `training/texture.md`."""

STRANGE_STRENGTH, WORN_STRENGTH = 0.01, 0.001
"""The same of the second and the third regression."""

ZOOMS = (0.18, 0.3, 0.45, 0.7, 1.05)
"""Borders between the zooms among which the classes weigh the same."""

MOST = 4.0
"""How many times as much as before a class may weigh in one of them."""

LEFT_OUT = 0.01
"""Share of the views in the usual tiers that are strange all the same."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Images that could be read; of each `rows` (n, `VIEWS`, `LENGTH`), its vectors, and `zooms`
    (n, `VIEWS`) of what they are of."""

    items: list[Item]
    rows: np.ndarray
    zooms: np.ndarray

    def where(self, wanted: Callable[[Item], bool]) -> "Looked":
        """Those of the images that are wanted."""
        kept = [wanted(item) for item in self.items]
        return Looked(list(compress(self.items, kept)), self.rows[kept], self.zooms[kept])


def look(items: Sequence[Item], workers: int = 2) -> Looked:
    """The `vectors` of images; those that cannot be read are left out."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        done = pool.map(vectors, items, chunksize=16)
        told = list(tqdm(done, total=len(items), unit="img", mininterval=10))
    read = [one is not None for one in told]
    rows = np.array([one[0] for one in told if one], np.float32).reshape(sum(read), VIEWS, LENGTH)
    zooms = np.array([one[1] for one in told if one]).reshape(sum(read), VIEWS)
    return Looked(list(compress(items, read)), rows, zooms)


def look_once(items: Sequence[Item], kept: Path, workers: int = 2) -> Looked:
    """`look`, or what it gave before, from the file in which it is kept.

    Raises ConfigurationError for a file that is none or of other images.
    """
    asked = np.array([str(item.path) for item in items])
    if not kept.exists():
        looked = look(items, workers)
        read = np.isin(asked, [str(item.path) for item in looked.items])
        with open(kept, "wb") as file:
            np.savez(file, asked=asked, read=read, rows=looked.rows, zooms=looked.zooms)
        return looked
    try:
        with np.load(kept) as arrays:
            told = {key: arrays[key] for key in ("asked", "read", "rows", "zooms")}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ConfigurationError(f"{kept} holds no vectors ({error}). Name another file.") from None
    if told["asked"].tolist() != asked.tolist() or told["rows"].shape[1:] != (VIEWS, LENGTH):
        raise ConfigurationError(f"{kept} is of other images. Name another file, or remove it.")
    return Looked(list(compress(items, told["read"])), told["rows"], told["zooms"])


def fit_texture(looked: Looked, balance: float) -> dict[str, Any]:
    """A `Texture` as a dictionary.

    Raises ConfigurationError where not both classes are there.
    """
    items, rows = looked.items, looked.rows
    labels = np.array([item.label for item in items])
    if len(set(labels.tolist())) < 2:
        raise ConfigurationError("a texture needs readable images of both classes. Add the others.")
    weights = even(sample_weights(items, balance), labels, looked.zooms)
    centres = slice(0, USUAL, 2)
    margin = _regression(rows[:, centres], labels, weights[:, centres], STRENGTH)
    worn = _regression(rows, labels, weights, WORN_STRENGTH)
    return {
        "version": VERSION,
        "view_size": VIEW_SIZE,
        "margin": digits(*margin),
        "strange": digits(*_strange(rows)),
        "worn": digits(*worn),
    }


def _strange(rows: np.ndarray) -> tuple[np.ndarray, float]:
    """What is unlike the usual tiers, by vectors (n, `VIEWS`, `LENGTH`)."""
    usual, unlike = rows[:, :USUAL], rows[:, USUAL : USUAL + 2]
    both = np.concatenate([usual.reshape(-1, 1, LENGTH), unlike.reshape(-1, 1, LENGTH)])
    labels = np.repeat([0, 1], [usual[..., 0].size, unlike[..., 0].size])
    weights = np.where(labels, USUAL / 2, 1.0)[:, None]
    slopes, _ = _regression(both, labels, weights, STRANGE_STRENGTH)
    limit = float(np.quantile(usual.reshape(-1, LENGTH) @ slopes, 1 - LEFT_OUT))
    return slopes, -limit


def _regression(
    rows: np.ndarray, labels: np.ndarray, weights: np.ndarray, strength: float
) -> tuple[np.ndarray, float]:
    """Slopes and constant of a logistic regression on standardised features: of vectors (n, views,
    `LENGTH`) with labels (n,) and weights (n, views)."""
    views = rows.shape[1]
    x, labels, weights = rows.reshape(-1, LENGTH), np.repeat(labels, views), weights.ravel()
    scaler = StandardScaler().fit(x, sample_weight=weights)
    model = LogisticRegression(C=strength, max_iter=1000)
    model.fit(scaler.transform(x), labels, sample_weight=weights)
    slopes = model.coef_[0] / scaler.scale_
    return slopes, float(model.intercept_[0] - slopes @ scaler.mean_)


def digits(slopes: np.ndarray, constant: float) -> dict[str, Any]:
    """A `Sum` as a dictionary, rounded to what tells."""
    return {"constant": round(constant, 6), "weights": [float(f"{slope:.5g}") for slope in slopes]}


def vectors(item: Item) -> tuple[np.ndarray, np.ndarray] | None:
    """(`VIEWS`, `LENGTH`) of one image, of centre and a corner of each of `LOOKED_AT`, and their zooms
    (`VIEWS`,); or None where it cannot be read."""
    try:
        stored = decode(item.path.read_bytes()).pixels
    except (ImageError, OSError):
        return None
    rows, zooms, rng = [], [], random.Random(item.path.name)
    for name in LOOKED_AT:
        variant = VARIANTS[name]
        pixels = decode(variant(Image.fromarray(stored))).pixels if variant else stored
        scale = item.scale * min(pixels.shape[:2]) / min(stored.shape[:2])
        centre, *corners = squares(pixels.shape[1], pixels.shape[0])
        for box in (centre, rng.choice(corners)):
            rows.append(features(scaled_square(pixels, box, VIEW_SIZE)))
            zooms.append(scale * VIEW_SIZE / (box[2] - box[0]))
    return np.stack(rows), np.array(zooms)


def sample_weights(items: Sequence[Item], balance: float) -> np.ndarray:
    """(n,): both classes weigh the same; in it a group of n images n**balance, an origin likewise.
    Mean 1."""
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


def even(weights: np.ndarray, labels: np.ndarray, zooms: np.ndarray) -> np.ndarray:
    """(n, views): the weights (n,) in each view, moved so that where zooms (n, views) are alike, both
    classes (n,) weigh the same, or as near to it as `MOST` lets them."""
    bins = np.digitize(zooms, ZOOMS)
    moved = np.repeat(weights[:, None], zooms.shape[1], axis=1)
    for view, zoom in product(range(zooms.shape[1]), range(len(ZOOMS) + 1)):
        column = moved[:, view]
        parts = [(bins[:, view] == zoom) & (labels == label) for label in (0, 1)]
        masses = [column[part].sum() for part in parts]
        wanted = min(sum(masses) / 2, MOST * min(masses))
        for part, mass in zip(parts, masses, strict=True):
            column[part] *= wanted / mass if mass else 0.0
    return moved
