"""Fits a texture on every origin there is, and tells by folds what it would say of unseen makers.

Fold k leaves out the AI images of the k-th of the recipe's `families` of generators and a share of the
real origins, and measures on these alone; AI images of no family are always fitted on. So every whole
image gets margins by a texture that saw nothing by its generator or, where it is real, of its origin
(an AI origin with generators of several families is in several folds). They tell how well it ranks, how
far its odds are to be trusted, and how much less where a view is strange. `calibrate` takes them in
place of the margins of the shipped texture, which has seen them all. No test set is looked at.
"""

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from aidetect import ConfigurationError
from aidetect._texture import Sum, Texture

from .data import Item
from .prepare import plain
from .recipe_images import DataRecipe
from .scoring import Score
from .texture_fit import LOOKED_AT, Looked, digits, even, fit_texture, sample_weights

COLUMNS = ("path", "label", "generator", "source", "origin", "category", "fold", "tier", "margin")

Found = dict[str, Any]
Folds = list[list[Score]]
"""Of each fold the scores of its images, without a network's margins."""


def fold_of(item: Item, families: Sequence[Sequence[str]]) -> int | None:
    """Which fold measures an image: that of its generator's family, or a real one's by its origin."""
    if not item.label:
        digest = hashlib.sha256(plain(item.origin).encode()).hexdigest()
        return int(digest, 16) % len(families)
    return next((fold for fold, family in enumerate(families) if item.generator in family), None)


def fit_by_folds(looked: Looked, recipe: DataRecipe) -> tuple[Found, Folds, Found]:
    """A `Texture` as a dictionary, fitted on all; the scores of the folds; and the AUC of these by fold
    and tier, with their mean.

    Raises ConfigurationError where the recipe names no families, or a fold lacks a class.
    """
    families = recipe.families
    if not families:
        raise ConfigurationError("folds need families of generators in the recipe's [data]")
    folds = []
    for fold in range(len(families)):
        inside = looked.where(lambda item, fold=fold: fold_of(item, families) != fold)
        outside = looked.where(lambda item, fold=fold: fold_of(item, families) == fold)
        if len({item.label for item in outside.items}) < 2:
            raise ConfigurationError(f"fold {fold + 1} leaves out no images of one of the classes")
        told = _told(Texture.from_dict(fit_texture(inside, recipe.balance)), outside.rows)
        folds.append((outside, told))
    slope, shift = _trust(folds, recipe.balance)
    scores, areas = [], []
    for outside, told in folds:
        margins = told @ (1.0, slope, shift)
        areas.append(_areas(outside, margins, recipe.balance))
        scores.append([
            _score(item, tier, margin)
            for item, row in zip(outside.items, margins, strict=True)
            for tier, margin in zip(LOOKED_AT, row, strict=True)
        ])  # fmt: skip
    texture = fit_texture(looked, recipe.balance)
    worn = Sum.from_dict(texture["worn"])
    texture["worn"] = digits(slope * worn.weights, slope * worn.constant + shift)
    mean = {tier: float(np.mean([one[tier] for one in areas])) for tier in LOOKED_AT}
    images = sum(len(outside.items) for outside, _ in folds)
    found = {"families": families, "images": images, "auc": areas, "mean": mean}
    return texture, scores, found | {"worn": {"slope": slope, "shift": shift}}


def _score(item: Item, tier: str, margin: float) -> Score:
    """One that only a texture has given."""
    return Score(item, tier, (), 0, 0, 0, 0.0, float(margin))


def _told(texture: Texture, rows: np.ndarray) -> np.ndarray:
    """(n, tiers, 3) of vectors (n, `VIEWS`, `LENGTH`), means over centre and corner: what of a margin is
    the first sum's and what that of strange views, and how strange the views are, 0 to 1."""
    share = texture.strange(rows).clip(0, 1)
    parts = np.stack(((1 - share) * texture.margin(rows), share * texture.worn(rows), share), axis=-1)
    return parts.reshape(len(rows), len(LOOKED_AT), 2, 3).mean(axis=2)


def _labels_and_weights(looked: Looked, balance: float) -> tuple[np.ndarray, np.ndarray]:
    """(n,) and (n, tiers)."""
    labels = np.array([item.label for item in looked.items])
    return labels, even(sample_weights(looked.items, balance), labels, looked.zooms[:, ::2])


def _trust(folds: Sequence[tuple[Looked, np.ndarray]], balance: float) -> tuple[float, float]:
    """Slope and shift that give what is said of strange views the same odds as the rest."""
    parts = [_labels_and_weights(outside, balance) for outside, _ in folds]
    labels = np.concatenate([np.repeat(part, len(LOOKED_AT)) for part, _ in parts])
    weights = np.concatenate([part.ravel() for _, part in parts])
    told = np.concatenate([told.reshape(-1, 3) for _, told in folds])
    model = LogisticRegression(C=1e3).fit(told, labels, sample_weight=weights)
    usual, strange, shift = model.coef_[0]
    if usual <= 0:
        raise ConfigurationError("of makers that it has not seen this texture tells nothing")
    return max(0.0, float(strange / usual)), float(shift / usual)


def _areas(looked: Looked, margins: np.ndarray, balance: float) -> dict[str, float]:
    labels, weights = _labels_and_weights(looked, balance)
    return {
        tier: float(roc_auc_score(labels, one, sample_weight=weight))
        for tier, one, weight in zip(LOOKED_AT, margins.T, weights.T, strict=True)
    }


def write(scores: Folds, found: dict[str, Any], out: Path) -> str:
    """`margins.csv` and `folds.json` in `out`; returns a table of the AUC."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "folds.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    with open(out / "margins.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
        for number, fold in enumerate(scores):
            for score in fold:
                told = (getattr(score.item, key) for key in COLUMNS[1:6])
                row = (score.item.path.name, *told, number, score.tier, f"{score.texture:.5f}")
                writer.writerow(row)
    rows = [(f"fold {n + 1}", one) for n, one in enumerate(found["auc"])] + [("mean", found["mean"])]
    head = f"| AUC | {' | '.join(LOOKED_AT)} |\n|---|{'---|' * len(LOOKED_AT)}\n"
    return head + "\n".join(
        f"| {name} | {' | '.join(f'{one[tier]:.3f}' for tier in LOOKED_AT)} |" for name, one in rows
    )


def read(path: Path) -> Folds:
    """The scores of a `margins.csv`; raises ConfigurationError for a file of another kind."""
    folds: dict[int, list[Score]] = defaultdict(list)
    try:
        with open(path, newline="", encoding="utf-8") as table:
            for row in csv.DictReader(table):
                texts = (row[key] for key in COLUMNS[2:6])
                item = Item(Path(row["path"]), int(row["label"]), *texts)
                folds[int(row["fold"])].append(_score(item, row["tier"], float(row["margin"])))
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path} is no margins.csv of `texture --folds` ({error}).") from None
    return list(folds.values())


def replaced(scores: Sequence[Score], unseen: Folds) -> list[Score]:
    """The scores with the textures of `unseen`; those of other images and tiers are left out.

    Raises ConfigurationError where none is left.
    """
    known = {(one.item.path.name, one.tier): one.texture for fold in unseen for one in fold}
    keyed = [(score, (score.item.path.name, score.tier)) for score in scores]
    kept = [replace(score, texture=known[key]) for score, key in keyed if key in known]
    if not kept:
        raise ConfigurationError("the margins are of other images. Give those of the same ones.")
    return kept
