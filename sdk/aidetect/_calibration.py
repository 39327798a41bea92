"""From a model's logits to a calibrated probability, and from there to a label.

The rules are few and written down here; their numbers were fitted on origins and generators that
the model never saw in training, and travel in the model's manifest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import ModelIntegrityError
from ._verdict import Label, UncertainBecause
from ._views import MIN_SIDE

FLAT_SHARE = 0.9
"""Share of one flat tone from which on there is nothing to look at."""

DISAGREEMENT = 0.5
"""Share of views on the other side of even odds from which on no answer is given."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt scaling over the inputs, and two thresholds.

    A view's margin is logit(AI) - logit(real). With native views:
    P = sigmoid(both[0]·global margin + both[1]·mean native margin + both[2] + texture[0]·t); without:
    P = sigmoid(alone[0]·global margin + alone[1] + texture[1]·t); t is the margin of the texture
    (`_texture.py`), 0 for a model without. P is then kept within [floor, 1 - floor]: no more
    sureness than the number of images it was fitted on supports.
    At or above `ai_from` the label is `ai`, at or below `real_to` it is `real`.
    `ai_error` and `real_error` are the error rates that the thresholds were fitted to: the share
    of real images called AI, and of AI images called real.
    """

    both: tuple[float, float, float]
    alone: tuple[float, float]
    floor: float
    ai_from: float
    real_to: float
    ai_error: float
    real_error: float
    texture: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.real_to <= self.ai_from <= 1 - self.floor < 1:
            raise ValueError("needs 0 < floor <= real_to <= ai_from <= 1 - floor < 1")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Calibration":
        """Raises ModelIntegrityError where the manifest's calibration is not of this form."""
        try:
            plain = {**values, "both": tuple(values["both"]), "alone": tuple(values["alone"])}
            plain["texture"] = tuple(values.get("texture", (0.0, 0.0)))
            if [len(plain[key]) for key in ("both", "alone", "texture")] != [3, 2, 2]:
                raise ValueError("wrong number of coefficients")
            made = cls(**plain)
            rates = (made.ai_error, made.real_error)
            if not all(map(math.isfinite, made.both + made.alone + made.texture)) or not all(
                0 <= r <= 1 for r in rates
            ):
                raise ValueError("coefficients are finite numbers, error rates 0 to 1")
            return made
        except (KeyError, TypeError, ValueError) as error:
            raise ModelIntegrityError(f"the manifest's calibration cannot be used: {error}") from None

    @property
    def weighs_crops(self) -> bool:
        """Whether native views have a part in the decision."""
        return self.both[1] > 0

    def weights(self, views: int) -> tuple[float, float, float, float]:
        """Of the global margin, of the native ones' mean, of the texture's, and the constant, for an
        image of so many views."""
        if views > 1:
            return self.both[0], self.both[1], self.texture[0], self.both[2]
        return self.alone[0], 0.0, self.texture[1], self.alone[1]

    def probability(self, margins: NDArray[np.float32], texture: float = 0.0) -> float:
        """P(AI) of an image from its views' margins (n,), the global view's first, and its texture's."""
        return min(max(_sigmoid(self.logit(margins, texture)), self.floor), 1 - self.floor)

    def logit(self, margins: NDArray[np.float32], texture: float = 0.0) -> float:
        """Logarithm of the odds before the floor is kept; arguments as for `probability`."""
        whole, crops, slope, constant = self.weights(len(margins))
        told = whole * margins[0] + slope * texture + constant
        if crops:
            told += crops * margins[1:].mean()
        return float(told)

    def view_probabilities(self, margins: NDArray[np.float32], texture: float = 0.0) -> list[float]:
        """What each view would say if it stood for all of its kind."""
        if len(margins) == 1:
            return [self.probability(margins, texture)]
        whole, crops, slope, constant = self.weights(len(margins))
        rest = slope * texture + constant
        return [_sigmoid(float((whole + crops) * margin + rest)) for margin in margins]


def decide(
    calibration: Calibration,
    probability: float,
    views: Sequence[float],
    shorter_side: int,
    flatness: float,
) -> tuple[Label, UncertainBecause | None]:
    """The label, and why it is `uncertain` where it is. The first rule that applies decides.

    1. shorter side below 64 pixels: `too_small`; 2. nine tenths of one flat tone: `flat`;
    3. between the thresholds: `between_thresholds`; 4. at least half of the views on the other
    side of even odds: `views_disagree`; 5. else `ai` or `real`.
    """
    if shorter_side < MIN_SIDE:
        return "uncertain", "too_small"
    if flatness >= FLAT_SHARE:
        return "uncertain", "flat"
    if calibration.real_to < probability < calibration.ai_from:
        return "uncertain", "between_thresholds"
    label: Label = "ai" if probability >= calibration.ai_from else "real"
    against = sum((view >= 0.5) != (label == "ai") for view in views)
    if against / len(views) >= DISAGREEMENT:
        return "uncertain", "views_disagree"
    return label, None


def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
