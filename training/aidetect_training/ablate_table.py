"""What trials of `ablate` came to: a row a run as CSV, a row a trial in Markdown."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aidetect import ConfigurationError

from .metrics import interval, summary

BASE = "base"


def row_of(
    name: str, seed: int, result: Mapping[str, Any], base: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The row of a run from what was measured of it, and of the base with the same seed (None: it is
    the base).

    `over_base` and its interval: how much its AUC is above the base's, on the same resampled origins, so
    that what is hard for both does not count. `auc_unseen` is of real images and those of generators
    that no training image is of. Raises ConfigurationError where the two could not read the same images.
    """
    row: dict[str, Any] = {"trial": name, "seed": seed}
    if "diverged" in result:
        return row | {"diverged": result["diverged"]}
    labels, given = np.array(result["labels"]), np.array(result["probabilities"])
    row |= {key: result[key] for key in ("samples", "loss", "seconds_per_1000", "parameters")}
    figures = summary(labels, given)
    row |= {key: figures[key] for key in ("auc", "balanced_accuracy")}
    row["auc_low"], row["auc_high"] = interval(result["origins"], labels, given, auc)
    chosen = (labels == 0) | np.array(result["unseen"])
    if labels[chosen].any():
        row["auc_unseen"] = auc(labels[chosen], given[chosen])
    if base is None or "diverged" in base:
        return row
    other = np.array(base["probabilities"])
    if base["labels"] != result["labels"] or base["origins"] != result["origins"]:
        raise ConfigurationError(
            f"{name} could read {given.size} of the held-out images, the base {other.size}, or others: "
            "mend the images, and remove both folders."
        )

    def above(truth: np.ndarray, at: np.ndarray) -> float:
        return auc(truth, given[at]) - auc(truth, other[at])

    everywhere = np.arange(labels.size)
    row["over_base"] = above(labels, everywhere)
    ends = interval(result["origins"], labels, everywhere, above)
    row["over_base_low"], row["over_base_high"] = ends
    return row


def auc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """scikit-learn's `roc_auc_score`, many times as fast, for bootstraps: of all pairs of a real and an
    AI image the share in which AI's is above; ties count half."""
    real, ai = np.sort(probabilities[labels == 0]), probabilities[labels == 1]
    below = np.searchsorted(real, ai, "left") + np.searchsorted(real, ai, "right")
    return float(below.mean() / (2 * real.size))


COLUMNS = (
    "trial", "seed", "samples", "auc", "auc_low", "auc_high", "over_base", "over_base_low",
    "over_base_high", "auc_unseen", "balanced_accuracy", "loss", "seconds_per_1000", "parameters",
    "diverged",
)  # fmt: skip


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()})


def table(rows: Sequence[Mapping[str, Any]], expected: Mapping[str, str]) -> str:
    """A row a trial in Markdown, best first below the base, with what was `expected` of it; of more than
    one seed means."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["trial"], []).append(row)
    good = {name: [r for r in mine if "auc" in r] for name, mine in by_name.items()}
    base = [row["auc"] for row in good[BASE]]
    lines = []
    if len(base) > 1:
        deviation = float(np.std(base, ddof=1))
        lines += [
            f"The base's AUC with {len(base)} seeds: {' '.join(f'{auc:.3f}' for auc in base)}, standard "
            f"deviation {deviation:.3f}: two runs of the same thing differ by up to about "
            f"{2 * 2**0.5 * deviation:.3f}.",
            "",
        ]
    lines += [
        "| trial | expected | seeds | AUC | 95 % | over the base | 95 % | AUC on unseen generators "
        "| balanced accuracy | training loss | s per 1,000 |",
        "|---" * 11 + "|",
    ]
    order = sorted(by_name, key=lambda name: (name != BASE, -_mean(good[name], "auc")))
    for name in order:
        mine = good[name]
        if not mine:
            lines.append(f"| {name} | {expected[name]} | {len(by_name[name])} | diverged |" + " |" * 7)
            continue
        cells = [
            name, expected.get(name, ""), str(len(mine)), f"{_mean(mine, 'auc'):.3f}",
            _range(mine, "auc"), "" if name == BASE else f"{_mean(mine, 'over_base'):+.3f}",
            "" if name == BASE else _range(mine, "over_base", "+"), f"{_mean(mine, 'auc_unseen'):.3f}",
            f"{_mean(mine, 'balanced_accuracy'):.3f}", f"{_mean(mine, 'loss'):.3f}",
            f"{_mean(mine, 'seconds_per_1000'):.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    values = [row[key] for row in rows if row.get(key) is not None]
    return float(np.mean(values)) if values else float("nan")


def _range(rows: Sequence[Mapping[str, Any]], key: str, sign: str = "") -> str:
    low, high = _mean(rows, f"{key}_low"), _mean(rows, f"{key}_high")
    return f"{low:{sign}.3f} … {high:{sign}.3f}"
