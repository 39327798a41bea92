"""The robustness sheet: what single changes to an image do to a model's answers.

For each change of `variants.SHEET`: ranking and forced choice, how far P(AI) moves, and how many images
are called "ai" before and "real" after or the other way round.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aidetect._calibration import Calibration

from .evaluate import called
from .metrics import summary
from .scoring import Score

UNCHANGED = "clean"


def robustness(scores: Sequence[Score], calibration: Calibration) -> dict[str, dict[str, float]]:
    """Figures by variant, from scores of the same images in `clean` and in each of the variants.

    `auc`, `balanced_accuracy`; `moved`: mean change of P(AI), in size; `towards_real`: the same with
    its sign, above 0 where AI images lose; `flips`: share of images whose label turns into the opposite;
    `real_called_ai` and `ai_called_real`: shares of either class with that label, afterwards.
    """
    by_variant: dict[str, dict[Path, tuple[Score, float, str]]] = {}
    for score in scores:
        probability = calibration.probability(np.asarray(score.margins, np.float32), score.texture)
        answer = (score, probability, called(score, probability, calibration))
        by_variant.setdefault(score.tier, {})[score.item.path] = answer
    before = by_variant[UNCHANGED]
    return {name: _figures(before, after) for name, after in by_variant.items()}


def _figures(
    before: dict[Path, tuple[Score, float, str]], after: dict[Path, tuple[Score, float, str]]
) -> dict[str, float]:
    shared = [path for path in before if path in after]
    truth = np.array([before[path][0].item.label for path in shared])
    was = np.array([before[path][1] for path in shared])
    now = np.array([after[path][1] for path in shared])
    figures = summary(truth, now)
    flips = [{before[path][2], after[path][2]} == {"ai", "real"} for path in shared]
    labels = np.array([after[path][2] for path in shared])
    return {
        "images": float(len(shared)),
        "auc": figures["auc"],
        "balanced_accuracy": figures["balanced_accuracy"],
        "moved": float(np.abs(now - was).mean()),
        "towards_real": float((was - now).mean()),
        "flips": float(np.mean(flips)),
        "real_called_ai": float(np.mean(labels[truth == 0] == "ai")),
        "ai_called_real": float(np.mean(labels[truth == 1] == "real")),
    }


def write(sheet: dict[str, dict[str, float]], out: Path) -> None:
    """Writes `robustness.json` and `robustness.md` into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "robustness.json").write_text(json.dumps(sheet, indent=1) + "\n", encoding="utf-8")
    (out / "robustness.md").write_text(table(sheet) + "\n", encoding="utf-8")


def table(sheet: dict[str, dict[str, Any]]) -> str:
    """The sheet in Markdown, a row a change."""
    lines = [
        "| change | AUC | balanced accuracy | P(AI) moves by | of that towards “real” | flips"
        " | real called “ai” | AI called “real” |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {f['auc']:.3f} | {f['balanced_accuracy']:.3f} | {f['moved']:.3f} |"
        f" {f['towards_real']:+.3f} | {f['flips']:.3f} | {f['real_called_ai']:.3f} |"
        f" {f['ai_called_real']:.3f} |"
        for name, f in sheet.items()
    ]
    return "\n".join(lines)
