"""Measures a checkpoint of a recipe of videos: the run in the middle of each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from aidetect import ConfigurationError

from .data import Item, SkippedList
from .metrics import balanced_accuracy, interval, summary
from .recipe import Recipe
from .scoring import load_checkpoint
from .video_data import MiddleRuns


def measure(recipe: Recipe, checkpoint: Path, items: Sequence[Item], out: Path) -> dict[str, Any]:
    """Writes `OUT/metrics.json`: the figures of `summary`, intervals that resample origins, and the AUC
    of two numbers that take no network: `auc_of_size`, the file's bytes, and `auc_of_motion`, the mean
    difference of frames from those before them. Videos that cannot be read are left out and listed in
    `OUT/skipped.txt`; those without the face that the recipe wants count, and are listed in
    `OUT/faceless.txt`.

    Raises ConfigurationError for a file that is no checkpoint of the recipe, and where one class has no
    video that can be read.
    """
    model = load_checkpoint(checkpoint, recipe)
    out.mkdir(parents=True, exist_ok=True)
    lists = [out / name for name in ("skipped.txt", "faceless.txt")]
    for path in lists:
        path.unlink(missing_ok=True)
    skipped, faceless = map(SkippedList, lists)
    samples = MiddleRuns(items, recipe)
    read, given, motion = [], [], []
    for number, item in enumerate(items):
        sample = samples[number]
        if isinstance(sample, str):
            skipped.add([sample])
            continue
        faceless.add(sample[2:])
        with torch.inference_mode():
            given.append(float(model(sample[0][None]).softmax(1)[0, 1]))
        motion.append(float(sample[0].float().diff(dim=0).abs().mean()))
        read.append(item)
    truth = np.array([item.label for item in read])
    if set(truth.tolist()) != {0, 1}:
        raise ConfigurationError(
            f"of the {len(items):,} videos {len(read):,} can be read, not of both classes; "
            f"{skipped.path} tells why."
        )
    probabilities, origins = np.array(given), [item.origin for item in read]
    result: dict[str, Any] = {"recipe": recipe.name, "checkpoint": checkpoint.name}
    result |= summary(truth, probabilities) | {"skipped": len(skipped)}
    if recipe.sequence.faces:
        result["faceless"] = len(faceless)
    for name, figure in (("balanced_accuracy", balanced_accuracy), ("auc", roc_auc_score)):
        result[f"{name}_interval"] = interval(origins, truth, probabilities, figure)
    result["auc_of_size"] = float(roc_auc_score(truth, [item.path.stat().st_size for item in read]))
    result["auc_of_motion"] = float(roc_auc_score(truth, motion))
    (out / "metrics.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result
