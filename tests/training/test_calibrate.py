from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from aidetect import ConfigurationError
from aidetect._calibration import Calibration
from aidetect_training.calibrate import fit
from aidetect_training.metrics import expected_calibration_error
from aidetect_training.scoring import Score

from .scores import Model, scores


def probabilities(calibration: Calibration, images: list[Score]) -> np.ndarray:
    return np.array([calibration.probability(np.array(s.margins, np.float32)) for s in images])


def worst_error(calibration: Calibration, images: list[Score], label: int) -> float:
    """Share of a class beyond the other's threshold, each group with the same weight, worst tier."""
    worst, sizes = 0.0, Counter(s.item.group for s in images if s.item.label == label)
    for tier in {s.tier for s in images}:
        chosen = [s for s in images if s.tier == tier and s.item.label == label]
        says = probabilities(calibration, chosen)
        wrong = says <= calibration.real_to if label else says >= calibration.ai_from
        weights = np.array([1 / sizes[s.item.group] for s in chosen])
        worst = max(worst, float((wrong * weights).sum() / weights.sum()))
    return worst


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("allowed", [0.01, 0.05, 0.2])
def test_the_thresholds_keep_the_error_rates_they_state(strength: float, allowed: float) -> None:
    images = scores(Model(strength), images=500)
    calibration = Calibration.from_dict(fit(images, ai_error=allowed, real_error=allowed / 2))
    assert (calibration.ai_error, calibration.real_error) == (allowed, allowed / 2)
    assert worst_error(calibration, images, 0) <= allowed + 1e-9
    assert worst_error(calibration, images, 1) <= allowed / 2 + 1e-9


def test_the_thresholds_are_no_stricter_than_they_have_to_be() -> None:
    images = scores(Model(0.5), images=800)
    calibration = Calibration.from_dict(fit(images, ai_error=0.05, real_error=0.1))
    assert worst_error(calibration, images, 0) > 0.045
    assert worst_error(calibration, images, 1) > 0.09


def test_a_strong_model_gets_one_threshold() -> None:
    calibration = Calibration.from_dict(fit(scores(Model(8.0))))
    assert (calibration.real_to, calibration.ai_from) == (0.4999, 0.5001)


def test_rates_that_cannot_be_kept_are_told_as_they_are() -> None:
    """A fifth of the real images of a small tier look as much like AI as anything can."""
    images = scores(Model(8.0), images=1000, tiers=("clean",))
    fooled = [s for s in scores(Model(8.0), images=100, tiers=("web",), seed=1)]
    for index in range(0, 100, 10):
        fooled[index] = replace(fooled[index], margins=(20.0,) * 9)
    calibration = Calibration.from_dict(fit(images + fooled))
    assert calibration.ai_from == 0.98
    assert calibration.ai_error == pytest.approx(worst_error(calibration, images + fooled, 0), abs=1e-4)
    assert 0.15 < calibration.ai_error < 0.25
    assert calibration.real_error == 0.05


def test_probabilities_are_calibrated_and_rise_with_every_margin() -> None:
    images = scores(Model(0.7), images=4000)
    calibration = Calibration.from_dict(fit(images))
    labels = np.array([s.item.label for s in images])
    says = probabilities(calibration, images)
    assert expected_calibration_error(labels, says) < 0.03
    assert says[labels == 1].mean() > says[labels == 0].mean() + 0.2

    def of(*margins: float) -> float:
        return calibration.probability(np.array(margins, np.float32))

    steps = np.linspace(-3, 3, 13).tolist()
    for one, other in pairwise(steps):
        assert of(other) > of(one)
        assert of(0.3, other, 0.1) > of(0.3, one, 0.1)
        assert of(other, 0.3, 0.1) >= of(one, 0.3, 0.1)
    assert of(other, other, other) > of(one, one, one)


@pytest.mark.parametrize("part", ["global", "native", "both"])
def test_a_view_that_is_worse_than_chance_is_left_out(part: str) -> None:
    images = []
    for s in scores(Model(1.0)):
        signs = np.where(np.arange(9) == 0, part == "native", part == "global") * 2 - 1
        images.append(replace(s, margins=tuple((np.array(s.margins) * signs).tolist())))
    calibration = Calibration.from_dict(fit(images))
    assert min(*calibration.both[:2], calibration.alone[0]) >= 0
    assert (calibration.both[0] > 0) == (part == "native")
    assert (calibration.both[1] > 0) == (part == "global")
    assert (calibration.alone[0] > 0) == (part == "native")


def test_neither_a_large_class_nor_a_large_collection_decides() -> None:
    images = scores(Model(0.7), images=800, tiers=("web",))
    many = [s for s in images if s.item.label == 0] * 5 + [s for s in images if s.item.label]
    one_group = images + [s for s in images if s.item.generator == "gen1"] * 7
    plain, more_real, more_of_one = (fit(part) for part in (images, many, one_group))
    for other in (more_real, more_of_one):
        assert other["both"] == pytest.approx(plain["both"], abs=0.05)
        assert other["alone"] == pytest.approx(plain["alone"], abs=0.05)


def test_images_without_native_views_are_calibrated_too() -> None:
    images = scores(Model(1.0), images=300)
    small = [replace(s, margins=s.margins[:1]) for s in scores(Model(1.0), images=100, seed=3)]
    calibration = Calibration.from_dict(fit(images + small))
    assert worst_error(calibration, images + small, 0) <= 0.05 + 1e-9


def test_what_cannot_be_fitted_says_why() -> None:
    images = scores(Model())
    with pytest.raises(ConfigurationError, match="real and AI"):
        fit([s for s in images if s.item.label])
    with pytest.raises(ConfigurationError, match="real and AI"):
        fit([])
    with pytest.raises(ConfigurationError, match="at least 100"):
        fit([replace(s, margins=s.margins[:1]) for s in images])
    with pytest.raises(ConfigurationError, match="both classes"):
        fit([replace(s, margins=s.margins[:1]) if s.item.label else s for s in images])
