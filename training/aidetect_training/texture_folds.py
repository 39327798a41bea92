"""Measures a texture by folds that leave whole families of generators out.

Fold k leaves out the AI images of the k-th of the recipe's `families` and a share of the real origins,
and measures on these alone; AI images of no family are always trained on. No test set is looked at for
it, so that a texture may be chosen by it.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from aidetect import ConfigurationError
from aidetect._texture import PARTS, Texture

from .data import Item
from .prepare import plain
from .recipe_images import DataRecipe
from .texture_fit import Looked, fit_texture, sample_weights
from .variants import TIERS

MEASURED = {**{tier: (n, n + len(TIERS)) for n, tier in enumerate(TIERS)}, "worn": (6, 7)}
"""The two rows of a whole image's `vectors`, centre and corner, that its margin is the mean of."""


def fold_of(item: Item, families: Sequence[Sequence[str]]) -> int | None:
    """Which fold measures an image: that of its generator's family, or a real one's by its origin."""
    if not item.label:
        digest = hashlib.sha256(plain(item.origin).encode()).hexdigest()
        return int(digest, 16) % len(families)
    return next((fold for fold, family in enumerate(families) if item.generator in family), None)


def measure(looked: Looked, recipe: DataRecipe) -> dict[str, Any]:
    """`auc`: of each fold, by tier and worn, on the whole images that it leaves out; `mean` of these.

    Raises ConfigurationError where the recipe names no families, or a fold lacks a class.
    """
    families = recipe.families
    if not families:
        raise ConfigurationError("folds need families of generators in the recipe's [data]")
    found = []
    for fold in range(len(families)):
        inside = looked.where(lambda item, fold=fold: fold_of(item, families) != fold)
        outside = looked.where(lambda item, fold=fold: fold_of(item, families) == fold)
        texture = Texture.from_dict(fit_texture(inside, recipe.balance))
        found.append(_areas(outside, texture, recipe.balance))
    mean = {name: float(np.mean([one[name] for one in found])) for name in MEASURED}
    return {"families": families, "images": len(looked.items), "auc": found, "mean": mean}


def _areas(looked: Looked, texture: Texture, balance: float) -> dict[str, float]:
    pairs = [pair for pair in zip(looked.items, looked.rows, strict=True) if len(pair[1]) > len(TIERS)]
    labels = [item.label for item, _ in pairs]
    if len(set(labels)) < 2:
        raise ConfigurationError("a fold leaves out no whole images of one of the classes")
    weights = sample_weights([item for item, _ in pairs], balance)
    margins = told(texture, np.stack([row for _, row in pairs]))
    return {
        name: float(roc_auc_score(labels, margins[:, list(two)].mean(axis=1), sample_weight=weights))
        for name, two in MEASURED.items()
    }


def told(texture: Texture, rows: np.ndarray) -> np.ndarray:
    """Margins (…,) of `features` (…, `LENGTH`)."""
    roots = rows.reshape(*rows.shape[:-1], PARTS, -1)
    share = texture.strange(roots).clip(0, 1)
    return (1 - share) * texture.margin(roots) + share * texture.worn(roots)


def write(found: dict[str, Any], out: Path) -> str:
    """`folds.json` in `out`; returns a table."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "folds.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    rows = [(f"fold {n + 1}", one) for n, one in enumerate(found["auc"])] + [("mean", found["mean"])]
    head = f"| AUC | {' | '.join(MEASURED)} |\n|---|{'---|' * len(MEASURED)}\n"
    return head + "\n".join(
        f"| {name} | {' | '.join(f'{one[tier]:.3f}' for tier in MEASURED)} |" for name, one in rows
    )
