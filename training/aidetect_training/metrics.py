"""The numbers that are reported, from labels and P(AI) alone."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.metrics import log_loss, precision_recall_fscore_support, roc_auc_score, roc_curve

Array = np.ndarray


def summary(labels: Array, probabilities: Array) -> dict[str, float]:
    """Forced choice at 0.5, ranking, and calibration. `labels` 0/1 and P(AI), one per image.

    accuracy, accuracy_real, accuracy_ai, balanced_accuracy; auc; tpr_at_1 and tpr_at_5: AI found
    at 1 and 5 % false positives; ece: expected calibration error (ten bins, less its small-sample bias).
    """
    real, ai = labels == 0, labels == 1
    called = probabilities >= 0.5
    false_rate, true_rate, _ = roc_curve(labels, probabilities, drop_intermediate=False)
    accuracy_real, accuracy_ai = float(np.mean(~called[real])), float(np.mean(called[ai]))
    return {
        "images": float(labels.size),
        "accuracy": float(np.mean(called == ai)),
        "accuracy_real": accuracy_real,
        "accuracy_ai": accuracy_ai,
        "balanced_accuracy": (accuracy_real + accuracy_ai) / 2,
        "auc": float(roc_auc_score(labels, probabilities)),
        "tpr_at_1": float(true_rate[false_rate <= 0.01].max()),
        "tpr_at_5": float(true_rate[false_rate <= 0.05].max()),
        "ece": expected_calibration_error(labels, probabilities),
        "ai_called_real_at_0.9": float(np.mean(probabilities[ai] <= 0.1)),
    }


def class_summary(labels: Array, probabilities: Array) -> dict[str, float]:
    """For any number of classes: `labels` (n,) class numbers, `probabilities` (n, classes).

    accuracy of the most probable class; precision, recall and f1, means over the classes that `labels`
    have (so balanced_accuracy, the mean recall, is the same as recall); auc, the mean over them of each
    class against the rest; cross_entropy in nats.
    """
    there = np.unique(labels)
    called = probabilities.argmax(1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, called, labels=there, average="macro", zero_division=0
    )
    aucs = [roc_auc_score(labels == number, probabilities[:, number]) for number in there]
    return {
        "images": float(labels.size),
        "accuracy": float(np.mean(called == labels)),
        "balanced_accuracy": float(recall),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auc": float(np.mean(aucs)),
        "cross_entropy": float(log_loss(labels, probabilities, labels=range(probabilities.shape[1]))),
    }


def balanced_accuracy(labels: Array, probabilities: Array) -> float:
    """Mean of both classes' accuracy where P(AI) ≥ 0.5 is called AI."""
    called = probabilities >= 0.5
    return float(np.mean(~called[labels == 0]) + np.mean(called[labels == 1])) / 2


def expected_calibration_error(labels: Array, probabilities: Array, bins: int = 10) -> float:
    """Mean gap of confidence and frequency over equal-width bins, weighted by their counts.

    Even a perfectly calibrated model shows a gap in bins of few images: E|k/n − p| is about
    √(2p(1−p)/πn). That part is subtracted per bin (never below 0; Bröcker 2012 discusses the bias).
    """
    total = 0.0
    for n, mean, share in reliability(labels, probabilities, bins):
        bias = float(np.sqrt(2 * mean * (1 - mean) / (np.pi * n)))
        total += n * max(0.0, abs(share - mean) - bias)
    return total / labels.size


def reliability(labels: Array, probabilities: Array, bins: int = 10) -> list[tuple[int, float, float]]:
    """(images, mean P(AI), share of AI images) of each of `bins` equal-width bins that holds any."""
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    return [
        (int(chosen.sum()), float(probabilities[chosen].mean()), float(labels[chosen].mean()))
        for b in range(bins)
        if (chosen := index == b).any()
    ]


def roc_points(labels: Array, probabilities: Array, most: int = 100) -> list[tuple[float, float]]:
    """(false-positive rate, true-positive rate) along the ROC curve from (0, 0) to (1, 1), thinned to
    `most` points, rounded to four digits."""
    false_rate, true_rate, _ = roc_curve(labels, probabilities)
    kept = np.unique(np.linspace(0, len(false_rate) - 1, most).round().astype(int))
    return [
        (round(float(x), 4), round(float(y), 4))
        for x, y in zip(false_rate[kept], true_rate[kept], strict=True)
    ]


def interval(
    origins: Sequence[str],
    labels: Array,
    probabilities: Array,
    figure: Callable[[Array, Array], float],
    rounds: int = 300,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % bootstrap interval of `figure(labels, probabilities)` that resamples whole origins of
    each class: images of one origin resemble each other, so resampling images is too sure. That is
    done only of a class with a single origin, as where a data set does not tell origins."""
    rng = np.random.default_rng(seed)
    names = np.asarray(origins)
    members = [
        [
            np.flatnonzero((names == name) & (labels == label))
            for name in np.unique(names[labels == label])
        ]
        for label in (0, 1)
    ]
    members = [list(groups[0][:, None]) if len(groups) == 1 else groups for groups in members]
    values = []
    for _ in range(rounds):
        picked = np.concatenate(
            [groups[i] for groups in members for i in rng.integers(0, len(groups), len(groups))]
        )
        values.append(figure(labels[picked], probabilities[picked]))
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def macro(groups: Sequence[str], values: Array) -> dict[str, float]:
    """Mean of `values` (one per image) within each group, by group name."""
    names = np.asarray(groups)
    return {str(name): float(values[names == name].mean()) for name in np.unique(names)}
