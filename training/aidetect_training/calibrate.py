"""Fits the map from margins to probability, and the two thresholds, on held-out images."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from aidetect import ConfigurationError
from aidetect._calibration import Calibration

from .scoring import Score

AI_ERROR = 0.05
REAL_ERROR = 0.05
FLOOR = 0.02


def fit(
    scores: Sequence[Score],
    ai_error: float = AI_ERROR,
    real_error: float = REAL_ERROR,
    crops: bool = True,
    unseen: Sequence[Sequence[Score]] = (),
) -> dict[str, Any]:
    """A `Calibration` as a dictionary, fitted on all tiers of the scores together.

    Both classes weigh the same, and within a class every generator or category does, so that
    neither a large collection nor the mixture of this set decides. `ai_error`: the share of real
    images that may reach the threshold for "ai" in any tier; `real_error`: of AI images for "real".
    Where no threshold keeps such a rate, the result states the one that is reached. Without `crops`
    native views get weight 0 and need not be in the scores.

    `unseen`: folds of further scores that have a texture's margins alone, by one that had not seen
    them, such as those of `texture_folds`. Then the first scores tell what network and texture weigh
    beside each other, and these, with a network that is of no opinion, the odds and the thresholds.
    `ai_error` is kept in each fold by itself, since to accuse somebody is the worse error and folds
    differ; `real_error` over all.
    """
    labels = np.array([score.item.label for score in scores])
    if len(set(labels.tolist())) < 2:
        raise ConfigurationError("calibration needs real and AI images")
    weights = _weights(scores)
    margins = [np.asarray(score.margins, dtype=np.float32) for score in scores]
    globals_ = np.array([m[0] for m in margins])
    textures = np.array([score.texture for score in scores])
    whole, slope, constant = _platt(np.column_stack((globals_, textures)), labels, weights)
    alone, both, texture = (whole, constant), (whole, 0.0, constant), (slope, slope)
    if crops:
        seen = np.array([len(m) > 1 for m in margins])
        if seen.sum() < 100:
            raise ConfigurationError(
                "calibration needs at least 100 images larger than the model's views"
            )
        if len(set(labels[seen].tolist())) < 2:
            raise ConfigurationError("calibration needs such larger images of both classes")
        native = np.array([m[1:].mean() if len(m) > 1 else 0.0 for m in margins])
        inputs = np.column_stack((globals_, native, textures))[seen]
        fitted = _platt(inputs, labels[seen], weights[seen])
        if fitted[1]:  # else crops need not be looked at, and images with and without them are alike
            both, texture = (fitted[0], fitted[1], fitted[3]), (fitted[2], slope)
    draft = Calibration(both, alone, FLOOR, 1 - FLOOR, FLOOR, ai_error, real_error, texture)
    folds = np.zeros(len(scores), int)
    if unseen:
        folds = np.repeat(np.arange(len(unseen)), [len(fold) for fold in unseen])
        scores = [score for fold in unseen for score in fold]
        draft, probabilities = _told_by(scores, draft, float(np.average(globals_, weights=weights)))
        labels, weights = np.array([score.item.label for score in scores]), _weights(scores)
    else:
        probabilities = np.array(
            [draft.probability(m, t) for m, t in zip(margins, textures.tolist(), strict=True)]
        )
    tiers = [score.tier for score in scores]
    parts = [_parts(probabilities, weights, labels == 0, list(zip(tiers, folds, strict=True))),
             _parts(probabilities, weights, labels == 1, tiers)]  # fmt: skip
    ai_from = max(_quantile(p, w, 1 - ai_error) for p, w in parts[0])
    real_to = min(_quantile(p, w, real_error) for p, w in parts[1])
    # A strong model needs no doubt: then one threshold serves both, where either error is kept.
    ai_from = round(min(max(ai_from, 0.5) + 1e-4, 1 - FLOOR), 4)
    real_to = round(max(min(real_to, 0.5) - 1e-4, FLOOR), 4)
    # Where even the surest answers are wrong more often than allowed, what is reached is told.
    ai_error = max(ai_error, *(float(w[p >= ai_from].sum() / w.sum()) for p, w in parts[0]))
    real_error = max(real_error, *(float(w[p <= real_to].sum() / w.sum()) for p, w in parts[1]))
    reached = {"ai_error": round(ai_error, 4), "real_error": round(real_error, 4)}
    return asdict(replace(draft, ai_from=ai_from, real_to=real_to, **reached))


def _parts(
    probabilities: np.ndarray, weights: np.ndarray, wanted: np.ndarray, keys: Sequence[Hashable]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Probabilities and weights of the wanted scores, one pair for each key."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    number = np.array([numbers[key] for key in keys])
    chosen = [wanted & (number == one) for one in numbers.values()]
    return [(probabilities[one], weights[one]) for one in chosen if one.any()]


def _told_by(
    unseen: Sequence[Score], draft: Calibration, network: float
) -> tuple[Calibration, np.ndarray]:
    """The draft with the odds of these, and their probabilities; `network`: its margin everywhere."""
    margin = np.array([network], np.float32)
    logits = [draft.logit(margin, score.texture) for score in unseen]
    labels = np.array([score.item.label for score in unseen])
    slope, shift = _platt(np.array(logits)[:, None], labels, _weights(unseen))
    whole, crops, constant = draft.both
    draft = replace(
        draft,
        both=(round(slope * whole, 6), round(slope * crops, 6), round(slope * constant + shift, 6)),
        alone=(round(slope * draft.alone[0], 6), round(slope * draft.alone[1] + shift, 6)),
        texture=(round(slope * draft.texture[0], 6), round(slope * draft.texture[1], 6)),
    )
    return draft, np.array([draft.probability(margin, score.texture) for score in unseen])


def _platt(features: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, ...]:
    """(slope of each feature, constant). No slope is negative: a view that looks more like AI may
    not make AI less likely; a feature that would get one is left out with slope 0."""
    slopes = np.zeros(features.shape[1])
    kept = np.arange(features.shape[1])
    while len(kept):
        model = LogisticRegression(C=1.0).fit(features[:, kept], labels, sample_weight=weights)
        if (model.coef_[0] >= 0).all():
            slopes[kept] = model.coef_[0]
            return (*(round(float(c), 6) for c in slopes), round(float(model.intercept_[0]), 6))
        kept = kept[model.coef_[0] >= 0]
    return (*slopes.tolist(), 0.0)


def _weights(scores: Sequence[Score]) -> np.ndarray:
    sizes = Counter((s.item.label, s.item.group) for s in scores)
    groups = Counter(label for label, _ in sizes)
    raw = np.array([1 / (sizes[s.item.label, s.item.group] * groups[s.item.label]) for s in scores])
    return raw * len(scores) / raw.sum()


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, share)), len(values) - 1)])
