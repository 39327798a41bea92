"""Turns scores into the figures that are published: `metrics.json` and `tables.md`."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from aidetect import ConfigurationError
from aidetect._calibration import Calibration, decide

from .baseline import baseline
from .data import Item
from .metrics import balanced_accuracy, interval, macro, reliability, roc_points, summary
from .scoring import Score

HEAD = (
    ("balanced_accuracy", "Balanced accuracy, forced choice"),
    ("auc", "AUC"),
    ("tpr_at_5", "AI found at 5 % false positives"),
    ("tpr_at_1", "AI found at 1 % false positives"),
    ("accuracy_real", "Real called real, forced choice"),
    ("accuracy_ai", "AI called AI, forced choice"),
    ("ece", "Expected calibration error"),
    ("ai_called_real_at_0.9", "AI called real with ≥ 0.9 confidence"),
    ("answered", "Answered (not “uncertain”)"),
    ("right_of_answered", "Of what is answered, right"),
    ("real_flagged", "Real images flagged “ai”"),
    ("art_flagged", "Real art flagged “ai”"),
    ("baseline", "No-detector baseline, balanced accuracy"),
)


def evaluate(scores: Sequence[Score], calibration: Calibration) -> dict[str, Any]:
    """All figures: by tier, by generator and source within a tier, and flips between tiers; and of each
    tier what pictures are drawn from: confusion matrices (`forced` choice and the model's own labels,
    `shipped`), points of the ROC curve, and the reliability diagram's bins."""
    if len({score.item.label for score in scores}) < 2:
        raise ConfigurationError("an evaluation needs readable images of both classes. Add the others.")
    probabilities = np.array(
        [calibration.probability(np.asarray(s.margins, np.float32), s.texture) for s in scores]
    )
    labels = [called(score, p, calibration) for score, p in zip(scores, probabilities, strict=True)]
    tiers = list(dict.fromkeys(score.tier for score in scores))
    result: dict[str, Any] = {"tiers": {}}
    for tier in tiers:
        index = [i for i, score in enumerate(scores) if score.tier == tier]
        chosen = [scores[i] for i in index]
        result["tiers"][tier] = _tier(chosen, probabilities[index], [labels[i] for i in index])
        result["tiers"][tier]["baseline"] = baseline(scores, tier)
    result["flips"] = _flips(scores, labels)
    return result


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly over classes, origins and groups, the same each time."""
    ordered = sorted(items, key=lambda item: (item.label, item.origin, item.group, str(item.path)))
    if len(ordered) <= most:
        return ordered
    return [ordered[i * len(ordered) // most] for i in range(most)]


def called(score: Score, probability: float, calibration: Calibration) -> str:
    """The label that the SDK's rules give to an image with this P(AI)."""
    views = calibration.view_probabilities(np.asarray(score.margins, np.float32), score.texture)
    return decide(calibration, probability, views, min(score.width, score.height), score.flatness)[0]


def _tier(scores: list[Score], probabilities: np.ndarray, labels: list[str]) -> dict[str, Any]:
    truth = np.array([score.item.label for score in scores])
    origins = [score.item.origin for score in scores]
    answers = np.array(labels)
    figures: dict[str, Any] = dict(summary(truth, probabilities))
    answered = answers != "uncertain"
    right = np.where(truth == 1, answers == "ai", answers == "real")
    art = np.array([s.item.label == 0 and s.item.category in ("art", "anime") for s in scores])
    figures["answered"] = float(answered.mean())
    figures["right_of_answered"] = float(right[answered].mean()) if answered.any() else None
    figures["real_flagged"] = float((answers[truth == 0] == "ai").mean())
    figures["art_flagged"] = float((answers[art] == "ai").mean()) if art.any() else None
    for name, figure in (("balanced_accuracy", balanced_accuracy), ("auc", roc_auc_score)):
        figures[f"{name}_interval"] = interval(origins, truth, probabilities, figure)
    correct = np.where(truth == 1, probabilities >= 0.5, probabilities < 0.5).astype(float)
    kinds = ["ai" if s.item.label else "real" for s in scores]
    groups = [f"{kind} {s.item.group}" for kind, s in zip(kinds, scores, strict=True)]
    named = [f"{kind} {origin}" for kind, origin in zip(kinds, origins, strict=True)]
    figures["by_group"] = _by(groups, correct, probabilities)
    figures["by_origin"] = _by(named, correct, probabilities)
    generators = macro([s.item.group for s in scores if s.item.label], correct[truth == 1])
    figures["macro_accuracy_ai"] = float(np.mean(list(generators.values())))
    forced = np.where(probabilities >= 0.5, "ai", "real")
    figures["confusion"] = {"forced": _confusion(kinds, forced), "shipped": _confusion(kinds, answers)}
    figures["roc"] = roc_points(truth, probabilities)
    figures["reliability"] = reliability(truth, probabilities)
    return figures


def _confusion(kinds: Sequence[str], answers: np.ndarray) -> dict[str, dict[str, int]]:
    """How many images of each class got which answer."""
    given = Counter(zip(kinds, answers.tolist(), strict=True))
    return {
        kind: {answer: given[kind, answer] for answer in ("real", "uncertain", "ai")}
        for kind in ("real", "ai")
    }


def _by(names: list[str], correct: np.ndarray, probabilities: np.ndarray) -> dict[str, dict[str, float]]:
    right, mean = macro(names, correct), macro(names, probabilities)
    return {
        n: {"images": names.count(n), "accuracy": right[n], "mean_probability": mean[n]} for n in right
    }


def _flips(scores: Sequence[Score], labels: Sequence[str]) -> float | None:
    """Share of images called "ai" in one tier and "real" in another."""
    by_image: dict[Path, set[str]] = {}
    for score, label in zip(scores, labels, strict=True):
        by_image.setdefault(score.item.path, set()).add(label)
    if len({score.tier for score in scores}) < 2:
        return None
    return float(np.mean([{"ai", "real"} <= said for said in by_image.values()]))


def write(result: dict[str, Any], out: Path) -> None:
    """Writes `metrics.json` and `tables.md` into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    tiers = result["tiers"]
    lines = [head_table(result)]
    for part in ("by_group", "by_origin"):
        lines += ["", f"## Forced-choice accuracy, {part.replace('_', ' ')}", ""]
        lines += ["| | images | " + " | ".join(tiers) + " |", "|---" * (len(tiers) + 2) + "|"]
        first = next(iter(tiers.values()))
        for name in first[part]:
            row = [f"{f[part][name]['accuracy']:.2f}" for f in tiers.values()]
            lines.append(f"| {name} | {first[part][name]['images']} | " + " | ".join(row) + " |")
    (out / "tables.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def head_table(result: dict[str, Any]) -> str:
    """The figures of the set as a whole, a column a tier, in Markdown."""
    tiers = result["tiers"]
    lines = ["| | " + " | ".join(tiers) + " |", "|---" * (len(tiers) + 1) + "|"]
    for key, title in HEAD:
        cells = (cell(figures, key) for figures in tiers.values())
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    if result["flips"] is not None:
        blank = " |" * (len(tiers) - 1)
        lines.append(f"| Flips ai↔real between tiers | {result['flips']:.3f} |{blank}")
    return "\n".join(lines)


def cell(figures: dict[str, Any], key: str) -> str:
    value = figures[key]
    if value is None:
        return "–"
    text = f"{value:.3f}"
    if span := figures.get(f"{key}_interval"):
        text += f" ({span[0]:.2f}–{span[1]:.2f})"
    return text
