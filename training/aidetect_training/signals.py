"""What fine-grained signals are worth, alone and next to the network.

    python -m aidetect_training.signals --data DATA --out training/results/signals

Each signal of `texture.py`, and all of them together, is fitted on `DATA/train` and nothing else: on
tiles in all three tiers, every class, origin and generator weighed as the recipe weighs them, by
logistic regression or gradient boosting, whichever ranks better on origins left out of a fold. It is
then measured on `DATA/devtest`. Next to the network: a logistic regression of the network's margin and
the signal's, fitted on tiles of the origins that the network never saw, with the signal's margins from
folds without these origins; its AUC less the network's own is what the signal adds.
Intervals: 95 %, resampling whole origins.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from aidetect._backends import open_backend
from aidetect._image import decode
from aidetect._views import extract_views
from aidetect._weights import load_package

from .data import Item, read_manifest, split
from .metrics import interval
from .recipe import load_recipe
from .texture import SIGNALS
from .texture_fit import sample_weights as weights
from .variants import TIERS, laundered

Array = np.ndarray

TILE = 256
ALL = "all of them"
FOLDS = 4
SHRINK = {"clean": 1.0, "web": 0.85, "hard": 0.7}
"""What a tier's scaling does to a tile on average: tiles are too small for the tiers' own limits."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One tile or image in one tier: each signal's vectors, a row a view, and the network's margin."""

    item: Item
    tier: str
    features: dict[str, Array]
    margin: float


def samples_of_tiles(items: Sequence[Item], margin: Any) -> list[Sample]:
    """Every tile once, in the tiers in turn."""
    found = []
    for index, item in enumerate(tqdm(items, unit="tile", mininterval=10)):
        tier = tuple(TIERS)[index % len(TIERS)]
        image = Image.fromarray(decode(item.path.read_bytes()).pixels)
        if limits := TIERS[tier]:
            side = round(SHRINK[tier] * max(image.size))
            image = Image.fromarray(decode(laundered(image, side, limits[1])).pixels)
        found.append(_sample(item, tier, np.asarray(image)[None], margin(np.asarray(image))))
    return found


def samples_of_images(items: Sequence[Item], margin: Any) -> list[Sample]:
    """Every image in every tier: its global view at the tiles' size, and a native one."""
    found = []
    for item in tqdm(items, unit="image", mininterval=10):
        stored = decode(item.path.read_bytes()).pixels
        for tier, limits in TIERS.items():
            pixels = stored
            if limits:
                pixels = decode(laundered(Image.fromarray(stored), *limits)).pixels
            views = extract_views(pixels, "fast", TILE).pixels
            found.append(_sample(item, tier, views, margin(pixels)))
    return found


def _sample(item: Item, tier: str, views: Array, margin: float) -> Sample:
    features = {name: np.array([signal(view) for view in views]) for name, signal in SIGNALS.items()}
    return Sample(item, tier, features, margin)


class Network:
    """The shipped model's margin of an image's global view, which alone has weight."""

    def __init__(self) -> None:
        package = load_package()
        if package.manifest.calibration["both"][1]:
            raise SystemExit("native views have weight in this model: score them here as well")
        self._backend, self._size = open_backend(package, "onnx", threads=1), package.manifest.view_size

    def __call__(self, pixels: Array) -> float:
        logits = self._backend.logits(extract_views(pixels, "fast", self._size).pixels[:1])[0]
        return float(logits[1] - logits[0])


def vectors(sample: Sample, name: str) -> Array:
    """The views' rows of one signal, or of all."""
    if name != ALL:
        return sample.features[name]
    return np.concatenate([sample.features[one] for one in SIGNALS], axis=1)


def models() -> dict[str, Any]:
    """Kept simple: what they cannot learn from 7,992 tiles is not worth shipping."""
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=2000)),
        "boosting": HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.06, max_leaf_nodes=8, max_bins=64, min_samples_leaf=60,
            l2_regularization=10.0, early_stopping=False, random_state=0,
        ),
    }  # fmt: skip


def fitted(model: Any, x: Array, y: Array, w: Array) -> Any:
    key = f"{model.steps[-1][0]}__sample_weight" if hasattr(model, "steps") else "sample_weight"
    return model.fit(x, y, **{key: w})


def out_of_fold(kind: str, x: Array, items: Sequence[Item], balance: float) -> Array:
    """Margins of every tile from a model that saw none of its origin."""
    y = np.array([item.label for item in items])
    margins = np.zeros(len(items))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for inside, outside in folds.split(x, y, [item.origin for item in items]):
        w = weights([items[i] for i in inside], balance)
        model = fitted(models()[kind], x[inside], y[inside], w)
        margins[outside] = model.decision_function(x[outside])
    return margins


def measure(name: str, tiles: list[Sample], images: list[Sample]) -> dict[str, Any]:
    """One row of the table."""
    recipe = load_recipe("default").data
    items = [sample.item for sample in tiles]
    x = np.concatenate([vectors(sample, name) for sample in tiles])
    y, w = np.array([item.label for item in items]), weights(items, recipe.balance)
    folds = {kind: out_of_fold(kind, x, items, recipe.balance) for kind in models()}
    ranked = {kind: float(roc_auc_score(y, f, sample_weight=w)) for kind, f in folds.items()}
    kind = max(ranked, key=ranked.__getitem__)
    model = fitted(models()[kind], x, y, w)
    own = np.array([model.decision_function(vectors(s, name)).mean() for s in images])
    _, unseen = split(items, recipe)
    paths = {item.path for item in unseen}
    held_out = np.array([item.path in paths for item in items])
    pair = np.column_stack(([sample.margin for sample in tiles], folds[kind]))[held_out]
    scale = pair.std(axis=0)
    joint = LogisticRegression().fit(
        pair / scale,
        y[held_out],
        sample_weight=weights([i for i, h in zip(items, held_out, strict=True) if h], recipe.balance),
    )
    network = np.array([sample.margin for sample in images])
    together = joint.decision_function(np.column_stack((network, own)) / scale)
    row: dict[str, Any] = {"features": x.shape[1], "model": kind, "folds_auc": ranked[kind]}
    row["slopes"] = joint.coef_[0].tolist()
    for tier in TIERS:
        at = np.array([sample.tier == tier for sample in images])
        truth = np.array([sample.item.label for sample in images])[at]
        origins = [sample.item.origin for sample in images if sample.tier == tier]
        row[tier] = _figures(origins, truth, network[at], own[at], together[at])
    return row


def _figures(
    origins: Sequence[str], truth: Array, network: Array, own: Array, together: Array
) -> dict[str, Any]:
    def gain(labels: Array, both: Array) -> float:
        return float(roc_auc_score(labels, both[:, 1]) - roc_auc_score(labels, both[:, 0]))

    both = np.column_stack((network, together))
    return {
        "alone": float(roc_auc_score(truth, own)),
        "alone_interval": interval(origins, truth, own, roc_auc_score),
        "network": float(roc_auc_score(truth, network)),
        "added": gain(truth, both),
        "added_interval": interval(origins, truth, both, gain),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row a signal, AUC alone and gain next to the network in each tier."""
    head = ["signal", "numbers", "model", "folds", *(f"{tier} alone" for tier in TIERS),
            *(f"{tier} added" for tier in TIERS)]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, row in rows.items():
        cells = [name, str(row["features"]), row["model"], f"{row['folds_auc']:.3f}"]
        for key, form in (("alone", "{:.3f}"), ("added", "{:+.3f}")):
            for tier in TIERS:
                low, high = row[tier][f"{key}_interval"]
                cells.append(f"{form.format(row[tier][key])} ({low:.2f}…{high:.2f})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and devtest/")
    parser.add_argument("--out", type=Path, required=True, help="folder for signals.json")
    options = parser.parse_args()
    network = Network()
    tiles = samples_of_tiles(read_manifest(options.data / "train"), network)
    images = samples_of_images(read_manifest(options.data / "devtest"), network)
    rows = {name: measure(name, tiles, images) for name in (*SIGNALS, ALL)}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "signals.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
