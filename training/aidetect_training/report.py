"""What a model card says, read from the folders that `train` and `evaluate` write.

`report` puts model card, curves and tables on one HTML page that needs nothing from elsewhere, and the
same pictures as PNG files beside it: `report_card.py` and `report_results.py` say what is told,
`report_page.py` and `report_figures.py` make page and pictures.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import precision_recall_fscore_support

from aidetect import ConfigurationError

from .data import Item, split
from .layouts import read_dataset
from .prepare import plain
from .recipe import Recipe, load_recipe

FEW = 10
"""Images of a group from which on it is named among the best and the worst."""

_NEEDED = ("confusion", "roc", "reliability")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A folder of `evaluate`: `metrics.json`, and the sheets that were made."""

    name: str
    result: dict[str, Any]
    robustness: dict[str, dict[str, float]] | None
    adversarial: dict[str, dict[str, float]] | None

    @property
    def tiers(self) -> dict[str, dict[str, Any]]:
        tiers: dict[str, dict[str, Any]] = self.result["tiers"]
        return tiers

    @property
    def calibration(self) -> dict[str, Any] | None:
        """None of a checkpoint, which nothing was fitted to: it answers at even odds."""
        return self.result["model"].get("calibration")

    @property
    def kinds(self) -> list[str]:
        """Of confusion: at the forced choice, and where thresholds were fitted at those."""
        return ["forced", "shipped"] if self.calibration else ["forced"]


@dataclass(frozen=True, slots=True)
class Training:
    """A folder of `train`: the rows of `metrics.csv`, and which of them `best.ckpt` holds."""

    name: str
    rows: list[dict[str, float]]
    recipe: Recipe | None
    best: float | None
    """Samples seen by the weights that were kept."""


@dataclass(slots=True)
class Counts:
    """Of one set of training images: (class, kind) → images and origins."""

    names: str
    images: Counter[tuple[int, str]] = field(default_factory=Counter)
    origins: defaultdict[tuple[int, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def of_class(self, label: int) -> tuple[int, int]:
        """Images and origins."""
        chosen = [key for key in self.images if key[0] == label]
        return sum(self.images[key] for key in chosen), len(set().union(*map(self.origins.get, chosen)))


def read_folders(folders: Sequence[Path], recipe: str | None) -> tuple[list[Evaluation], list[Training]]:
    """Raises ConfigurationError for a folder that holds neither kind of result, or a broken one."""
    evaluations, trainings = [], []
    for folder in folders:
        name = _name(folder)
        if (folder / "metrics.json").is_file():
            evaluations.append(_evaluation(folder, name))
        if (folder / "metrics.csv").is_file():
            trainings.append(_training(folder, name, recipe))
        elif not (folder / "metrics.json").is_file():
            raise ConfigurationError(
                f"{folder} holds neither metrics.json, which aidetect-train evaluate writes, nor "
                "metrics.csv, which train writes after the first evaluation. Give such a folder."
            )
    return evaluations, trainings


def _name(folder: Path) -> str:
    return folder.absolute().name


def _evaluation(folder: Path, name: str) -> Evaluation:
    result = _json(folder / "metrics.json")
    try:
        complete = all(key in tier for tier in result["tiers"].values() for key in _NEEDED)
        complete = complete and bool(result["tiers"]) and "name" in result["model"]
    except (TypeError, KeyError, AttributeError):
        complete = False
    if not complete:
        raise ConfigurationError(
            f"{folder / 'metrics.json'} lacks what curves are drawn from: it is of an earlier version. "
            "Run aidetect-train evaluate again."
        )
    sheets = (folder / f"{sheet}.json" for sheet in ("robustness", "adversarial"))
    return Evaluation(name, result, *(_json(path) if path.is_file() else None for path in sheets))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Evaluate again.") from None


def _training(folder: Path, name: str, recipe: str | None) -> Training:
    path = folder / "metrics.csv"
    try:
        with open(path, newline="", encoding="utf-8") as table:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(table)]
        if not rows or not {"samples", "loss", "auc", "balanced_accuracy"} <= rows[0].keys():
            raise ValueError("it holds no evaluation")
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Train first.") from None
    kept: Mapping[str, Any] = {}
    if (folder / "best.ckpt").is_file():
        kept = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True, mmap=True)
    known = recipe or kept.get("recipe")
    best = kept["row"]["samples"] if kept else None
    try:
        return Training(name, rows, load_recipe(known) if known else None, best)
    except ConfigurationError:
        if recipe:
            raise
        return Training(name, rows, None, best)  # trained from a file: its name alone is kept


def training_images(folders: Sequence[Path], recipe: Recipe | None) -> Counts:
    """Kinds and counts of these folders together; with a recipe of its training part alone."""
    items = [item for folder in folders for item in read_dataset(folder)]
    if recipe and recipe.data.validation_origins:
        held_out = {plain(origin) for origin in recipe.data.validation_origins}
        items = [item for item in items if plain(item.origin) not in held_out]
    elif recipe and recipe.data.validation_share:
        items, _ = split(items, recipe.data)
    return _counts(" and ".join(map(_name, folders)), items)


def _counts(names: str, items: Sequence[Item]) -> Counts:
    counts = Counts(names)
    for item in items:
        kind = (item.label, item.group)
        counts.images[kind] += 1
        counts.origins[kind].add(plain(item.origin))
    return counts


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One line of a classification report; None where nothing was called so."""

    name: str
    precision: float | None
    recall: float
    f1: float | None
    support: int


def classification_report(confusion: Mapping[str, Mapping[str, int]]) -> list[ClassRow]:
    """Precision, recall, F1 and support of real, AI and their mean, from counts by class and answer.
    An image that got no answer counts as not found, in either class."""
    codes = {"real": 0, "ai": 1, "uncertain": 2}
    cells = [
        (codes[truth], codes[answer], count)
        for truth, row in confusion.items()
        for answer, count in row.items()
    ]
    truth, answer, count = zip(*cells, strict=True)
    figures = precision_recall_fscore_support(
        truth, answer, labels=[0, 1], sample_weight=count, zero_division=np.nan
    )
    rows = [
        ClassRow(name, _number(precision), float(recall), _number(f1), int(support))
        for name, precision, recall, f1, support in zip(("real", "AI"), *figures, strict=True)
    ]
    means = [float(np.mean(column)) for column in figures[:3]]
    total = sum(row.support for row in rows)
    return [*rows, ClassRow("mean", _number(means[0]), means[1], _number(means[2]), total)]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def extremes(evaluation: Evaluation, most: int = 3) -> dict[str, list[tuple[str, int, float]]]:
    """(group, images, share called right at the forced choice, mean of the tiers) by `ai best`,
    `ai worst`, `real best`, `real worst`, of groups of `FEW` images or more."""
    tiers = list(evaluation.tiers.values())
    found = {}
    for kind in ("ai", "real"):
        groups = [
            (name.removeprefix(f"{kind} "), int(figures["images"]),
             float(np.mean([tier["by_group"][name]["accuracy"] for tier in tiers])))
            for name, figures in tiers[0]["by_group"].items()
            if name.startswith(f"{kind} ") and figures["images"] >= FEW
        ]  # fmt: skip
        ranked = sorted(groups, key=lambda group: -group[2])
        most_here = min(most, len(ranked) // 2)
        found[f"{kind} best"] = ranked[:most_here]
        found[f"{kind} worst"] = ranked[len(ranked) - most_here :][::-1]
    return found
