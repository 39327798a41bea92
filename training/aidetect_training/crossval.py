"""K-fold cross-validation of a recipe: stratified by class, grouped by origin, resumable.

The recipe's validation part is the separate test set: no fold trains on it or chooses a checkpoint by
it. The rest is cut into folds; each in turn chooses the checkpoint of a network that is trained on the
others. `OUT/fold1`, `OUT/fold2`, … are training folders as `train` makes them; started again, the
command goes on where it stopped. `OUT/crossval.json` and `crossval.md` tell mean ± standard deviation
over the folds.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from aidetect import ConfigurationError

from .backbones import cost, network
from .data import Item, SkippedList, check_classes, chosen, split
from .layouts import read_dataset
from .prepare import plain
from .recipe import Recipe
from .recipe_images import DataRecipe
from .rows import read_rows
from .scoring import load_checkpoint
from .train import fit
from .validation import Validation

SPEED_BATCH = 16
SPEED_ROUNDS = 10


def crossval(
    recipe: Recipe, data: Path, folds: int, out: Path, device: str = "auto", workers: int = 2
) -> dict[str, Any]:
    """Trains and measures `folds` networks; returns what `crossval.json` holds.

    Raises ConfigurationError for data that cannot be cut so, where `out` holds folds of other images,
    when a fold was stopped by a signal, and as `fit` does.
    """
    items = read_dataset(data)
    test: list[Item] = []
    if recipe.data.validation_origins or recipe.data.validation_share:
        rest, test = split(items, recipe.data)
    else:
        rest = chosen(items, recipe.data)
    parts = cut(rest, recipe.data, folds)
    out.mkdir(parents=True, exist_ok=True)
    _same_folds(
        out / "folds.json",
        {i.path.relative_to(data).as_posix(): k for k, part in enumerate(parts) for i in part},
    )
    results = []
    for number, validation in enumerate(parts):
        folder = out / f"fold{number + 1}"
        training = [item for k, part in enumerate(parts) if k != number for item in part]
        fit(recipe, training, validation, folder, device, workers)
        samples = ended(recipe, training, folder)
        results.append(_result(recipe, training, test, folder, samples, workers))
    found = {
        "recipe": recipe.name,
        "backbone": recipe.model.backbone,
        "images": {"folds": [len(part) for part in parts], "test": len(test)},
        **cost(network(recipe), recipe.model.view_size),
        "images_per_second": _speed(recipe),
        "folds": results,
        "mean": _mean(results),
    }
    (out / "crossval.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (out / "crossval.md").write_text(table(found) + "\n", encoding="utf-8")
    return found


def cut(items: Sequence[Item], recipe: DataRecipe, folds: int) -> list[list[Item]]:
    """`folds` parts with about the same classes; no origin, nor any related to it, is in two of them.

    Raises ConfigurationError where one class is in a single fold, so that no network could be trained
    without that fold.
    """
    related = {plain(name): plain(names[0]) for names in recipe.related_origins for name in names}
    groups = [related.get(plain(item.origin), plain(item.origin)) for item in items]
    if len(set(groups)) < folds:
        raise ConfigurationError(f"{len(set(groups))} origins cannot be cut into {folds} folds")
    labels = [item.label for item in items]
    cutter = StratifiedGroupKFold(folds, shuffle=True, random_state=recipe.split_seed)
    parts = [[items[i] for i in held] for _, held in cutter.split(labels, labels, groups)]
    for number, part in enumerate(parts):
        others = [item for k, other in enumerate(parts) if k != number for item in other]
        check_classes(others, part, recipe)
    return parts


def _same_folds(path: Path, folds: dict[str, int]) -> None:
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != folds:
        raise ConfigurationError(
            f"{path} tells of other folds: the images or the recipe's [data] have changed, and a "
            "network might be tested on what it was trained on. Give another folder."
        )
    path.write_text(json.dumps(folds) + "\n", encoding="utf-8")


def ended(recipe: Recipe, training: Sequence[Item], folder: Path) -> int:
    """The samples after which a run ended; raises ConfigurationError where it was stopped before."""
    state = torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True, mmap=True)
    samples = int(state["samples"])
    if samples < recipe.train.over(len(training)).samples and state["stale"] < recipe.train.patience:
        raise ConfigurationError(f"{folder} was stopped. Start the same command again to go on.")
    return samples


def _result(
    recipe: Recipe,
    training: Sequence[Item],
    test: Sequence[Item],
    folder: Path,
    samples: int,
    workers: int,
) -> dict[str, Any]:
    """Figures of a fold that has ended: at each evaluation and at the best, and of the best on the test
    set. Kept in `result.json`."""
    path = folder / "result.json"
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["samples"] == samples:
            return kept
    rows = read_rows(folder / "metrics.csv")
    for row in rows:
        row["epochs"] = row["samples"] / len(training)
    best = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)["row"]
    result = {"samples": samples, "evaluations": rows, "best": best}
    if test:
        whole = replace(recipe, data=replace(recipe.data, sampling="shuffled"))
        watch = Validation(whole, test, workers, SkippedList(folder / "skipped.txt"))
        model = load_checkpoint(folder / "best.ckpt", recipe).to(memory_format=torch.channels_last)
        result["test"] = watch.figures(model, torch.device("cpu"), recipe.train.precision)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def _speed(recipe: Recipe) -> float:
    """Images a second of a forward pass on this machine's CPU, the best of some batches."""
    model, size = network(recipe).eval(), recipe.model.view_size
    pixels = torch.zeros((SPEED_BATCH, 3, size, size), dtype=torch.uint8)
    seconds = []
    with torch.inference_mode():
        for _ in range(SPEED_ROUNDS):
            begun = time.perf_counter()
            model(pixels)
            seconds.append(time.perf_counter() - begun)
    return SPEED_BATCH / min(seconds)


FIGURES = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc")


def _mean(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard deviation over the folds, by what was measured: `1 epochs`, …, `best`, `test`.
    Of evaluations only those that every fold has come to."""
    measured: dict[str, list[dict[str, float]]] = {}
    for number in range(min(len(result["evaluations"]) for result in results)):
        name = f"{np.mean([r['evaluations'][number]['epochs'] for r in results]):.3g} epochs"
        measured[name] = [result["evaluations"][number] for result in results]
    for name in ("best", "test"):
        if name in results[0]:
            measured[name] = [result[name] for result in results]
    return {
        name: {
            key: (float(np.mean([row[key] for row in rows])), float(np.std([row[key] for row in rows])))
            for key in ("loss", *FIGURES)
            if all(key in row for row in rows)
        }
        for name, rows in measured.items()
    }


def table(found: dict[str, Any]) -> str:
    """The means ± deviations in Markdown."""
    mean = found["mean"]
    keys = [key for key in ("loss", *FIGURES) if any(key in row for row in mean.values())]
    lines = [
        f"{found['recipe']} ({found['backbone']}): {found['parameters'] / 1e6:.1f} million parameters, "
        f"{found['gflops']:.2f} GFLOPs an image, {found['images_per_second']:.0f} images/s here; "
        f"folds of {', '.join(map(str, found['images']['folds']))} images, "
        f"{found['images']['test']} in the test set.",
        "",
        "| | " + " | ".join(keys).replace("_", " ") + " |",
        "|---" * (len(keys) + 1) + "|",
    ]
    for name, row in mean.items():
        cells = (f"{row[k][0]:.3f} ± {row[k][1]:.3f}" if k in row else "" for k in keys)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
