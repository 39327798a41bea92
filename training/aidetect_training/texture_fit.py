"""Fits a model's texture (`aidetect._texture`): what is made of hand-made features next to the network.

Every image gives vectors in each tier and after a random life, since noise and blur, which no tier has,
once undid a texture fitted without them: whole images of their centre square and of one corner, scaled
to a view, tiles as they are. (Tiles enlarged to a view taught the enlarging; see `training/RESULTS.md`.)
Half of the margin is a logistic regression's, half a small network's. Both classes weigh the same, and
within a class groups and origins as the recipe weighs them.
"""

import base64
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

from aidetect import ConfigurationError, ImageError
from aidetect._image import decode
from aidetect._texture import LENGTH, VERSION, features, squares
from aidetect._views import scaled_square

from .data import Item
from .variants import TIERS, laundered, worn

VIEW_SIZE = 256
SHRINK = {"web": 0.85, "hard": 0.7}
"""What a tier's scaling does to the middle of an image on average, for tiles."""

STRENGTH = 0.002
"""Inverse strength of the regression's regularisation, with images as its unit. How this and what
`_network` holds were chosen is told in `training/RESULTS.md`."""


def fit_texture(items: Sequence[Item], balance: float, workers: int = 2) -> dict[str, Any]:
    """A `Texture` as a dictionary. Images that cannot be read are left out.

    Raises ConfigurationError where not both classes are there.
    """
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        done = pool.map(vectors, items, chunksize=16)
        rows = list(tqdm(done, total=len(items), unit="img", mininterval=10))
    if len({item.label for item, row in zip(items, rows, strict=True) if len(row)}) < 2:
        raise ConfigurationError("a texture needs readable images of both classes. Add the others.")
    each = [item for item, row in zip(items, rows, strict=True) for _ in row]
    labels = np.array([item.label for item in each])
    return fit_vectors(np.concatenate(rows), labels, sample_weights(each, balance))


def fit_vectors(x: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """A `Texture` as a dictionary, from features (n, `LENGTH`), labels and weights of mean 1 (n,)."""
    scaler = StandardScaler().fit(x, sample_weight=weights)
    z = scaler.transform(x)
    model = LogisticRegression(C=STRENGTH, max_iter=1000)
    model.fit(z, labels, sample_weight=weights)
    network = _network(z, labels, weights)
    with torch.inference_mode():
        deep = network(torch.from_numpy(z).float())[:, 0].numpy()
    # Each half in units of its own spread; the sum keeps the regression's.
    spread = float(np.std(z @ model.coef_[0]))
    slopes = model.coef_[0] / scaler.scale_ / 2
    constant = float(model.intercept_[0]) / 2 - slopes @ scaler.mean_
    last = network[-1]
    with torch.no_grad():
        for part in (last.weight, last.bias):
            part *= spread / float(np.std(deep)) / 2
    layers = [module for module in network if isinstance(module, nn.Linear)]
    return {
        "version": VERSION,
        "view_size": VIEW_SIZE,
        "constant": round(constant, 6),
        "weights": _digits(slopes),
        "hidden": {
            "mean": _digits(scaler.mean_),
            "scale": _digits(scaler.scale_),
            "layers": [
                {"biases": _digits(layer.bias.tolist()), "weights": _half(layer.weight)}
                for layer in layers
            ],
        },
    }


def _network(z: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> nn.Sequential:
    """Two hidden layers, trained on noisy mixtures of features (mixup, Zhang et al. 2018)."""
    epochs, batch, width, rate = 12, 256, 128, 2e-3
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = nn.Sequential(
        nn.Linear(LENGTH, width), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(width, 1),
    )  # fmt: skip
    given, wanted = torch.from_numpy(z).float(), torch.from_numpy(labels).float()
    steps = max(50, epochs * len(z) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss = nn.BCEWithLogitsLoss()
    for _ in range(steps):
        chosen = torch.from_numpy(rng.choice(len(z), batch, p=weights / weights.sum()))
        share = torch.from_numpy(rng.beta(0.4, 0.4, batch)).float()
        other = torch.randperm(batch)
        noisy = given[chosen] + torch.randn(batch, LENGTH) * 0.5
        mixed = share[:, None] * noisy + (1 - share[:, None]) * noisy[other]
        target = share * wanted[chosen] + (1 - share) * wanted[chosen][other]
        optimizer.zero_grad()
        loss(network(mixed)[:, 0], target * 0.9 + 0.05).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def _digits(values: Any) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _half(weights: torch.Tensor) -> str:
    """Row by row, as 16-bit floats (little-endian) in base64."""
    return base64.b64encode(weights.detach().numpy().astype("<f2").tobytes()).decode()


def vectors(item: Item) -> np.ndarray:
    """(n, `LENGTH`) of one image; n is 0 where it cannot be read."""
    try:
        stored = decode(item.path.read_bytes()).pixels
    except (ImageError, OSError):
        return np.empty((0, LENGTH), np.float32)
    whole, rng, views = max(stored.shape) > VIEW_SIZE, random.Random(item.path.name), []
    for pixels in _lives(stored, whole):
        if not whole:
            views.append(pixels)
            continue
        centre, *corners = squares(pixels.shape[1], pixels.shape[0])
        views += [scaled_square(pixels, box, VIEW_SIZE) for box in (centre, rng.choice(corners))]
    return np.stack([features(view) for view in views])


def _lives(stored: np.ndarray, whole: bool) -> Iterator[np.ndarray]:
    """The image in each tier, and worn. A tile, smaller than a tier's limit, is scaled as the middle of
    an image would be."""
    image = Image.fromarray(stored)
    for tier, limits in TIERS.items():
        if limits:
            side, quality = limits
            side = side if whole else round(SHRINK[tier] * max(stored.shape))
            yield decode(laundered(image, side, quality)).pixels
        else:
            yield stored
    yield decode(worn(image)).pixels


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
