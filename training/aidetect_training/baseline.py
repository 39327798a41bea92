"""The no-detector baseline: what file size, dimensions, format and JPEG quality give away.

A detector that does not beat it by far has learnt how the set was gathered, not what AI looks like.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold

from aidetect._image_format import READ, identify

from .data import Item
from .scoring import Score


def baseline(scores: Sequence[Score], tier: str, folds: int = 5) -> float | None:
    """Balanced accuracy of gradient boosting on size, shape, bytes, format and JPEG tables of one
    tier's files, cross-validated with whole origins left out; None where a class has one origin."""
    rows = [score for score in scores if score.tier == tier]
    labels = np.array([row.item.label for row in rows])
    origins = np.array([row.item.origin for row in rows])
    features = np.array(
        [[*_numbers(row), *(_stored(row.item) if tier == "clean" else ())] for row in rows]
    )
    folds = min(folds, *(len(set(origins[labels == label])) for label in (0, 1)))
    if folds < 2:
        return None
    called = np.zeros_like(labels)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for training, held_out in splitter.split(features, labels, origins):
        model = HistGradientBoostingClassifier(class_weight="balanced", random_state=0)
        called[held_out] = model.fit(features[training], labels[training]).predict(features[held_out])
    return float(balanced_accuracy_score(labels, called))


def _numbers(score: Score) -> tuple[float, ...]:
    pixels = score.width * score.height
    return score.width, score.height, score.bytes, score.bytes / pixels, score.width / score.height


def _stored(item: Item) -> tuple[float, ...]:
    """Format, and the mean of the first quantisation table, which stands for JPEG's quality."""
    data = item.path.read_bytes()
    form = identify(data, str(item.path))
    if form != "JPEG":
        return READ.index(form), 0.0
    with JpegImageFile(io.BytesIO(data)) as image:
        return READ.index(form), float(np.mean(image.quantization[0]))
