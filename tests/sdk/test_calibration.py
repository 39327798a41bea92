from dataclasses import asdict

import numpy as np
import pytest

from aidetect import ModelIntegrityError
from aidetect._calibration import Calibration, decide

CALIBRATION = Calibration(
    both=(0.5, 1.0, -0.25),
    alone=(0.8, 0.1),
    floor=0.02,
    ai_from=0.8,
    real_to=0.2,
    ai_error=0.05,
    real_error=0.05,
)


def margins(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_probability_by_hand() -> None:
    # 0.5 · 1 + 1 · mean(2, 0) − 0.25 = 1.25
    assert CALIBRATION.probability(margins(1, 2, 0)) == pytest.approx(1 / (1 + np.exp(-1.25)))
    assert CALIBRATION.probability(margins(-1)) == pytest.approx(1 / (1 + np.exp(0.7)))


def test_never_surer_than_the_floor_allows() -> None:
    assert CALIBRATION.probability(margins(1e4, 1e4)) == 0.98
    assert CALIBRATION.probability(margins(-1e4)) == pytest.approx(0.02)


def test_equal_views_say_what_the_image_says() -> None:
    views = CALIBRATION.view_probabilities(margins(0.7, 0.7, 0.7))
    assert views == pytest.approx([CALIBRATION.probability(margins(0.7, 0.7, 0.7))] * 3)


@pytest.mark.parametrize(
    ("probability", "views", "side", "flat", "expected"),
    [
        (0.80, [0.9, 0.9, 0.4], 300, 0.0, ("ai", None)),
        (0.20, [0.1, 0.1, 0.6], 300, 0.0, ("real", None)),
        (0.79, [0.9, 0.9, 0.9], 300, 0.0, ("uncertain", "between_thresholds")),
        (0.21, [0.1, 0.1, 0.1], 300, 0.0, ("uncertain", "between_thresholds")),
        (0.97, [0.9, 0.4], 300, 0.0, ("uncertain", "views_disagree")),
        (0.03, [0.1, 0.5], 300, 0.0, ("uncertain", "views_disagree")),
        (0.97, [0.9, 0.9], 63, 0.0, ("uncertain", "too_small")),
        (0.97, [0.9, 0.9], 64, 0.0, ("ai", None)),
        (0.97, [0.9, 0.9], 300, 0.9, ("uncertain", "flat")),
        (0.03, [0.1, 0.1], 10, 1.0, ("uncertain", "too_small")),
    ],
)
def test_truth_table(probability, views, side, flat, expected) -> None:  # type: ignore[no-untyped-def]
    assert decide(CALIBRATION, probability, views, side, flat) == expected


def test_round_trip() -> None:
    assert Calibration.from_dict(asdict(CALIBRATION)) == CALIBRATION


@pytest.mark.parametrize(
    "change",
    [
        {"both": [1, 2]},
        {"both": "abc"},
        {"both": [1, 2, float("nan")]},
        {"alone": []},
        {"alone": [1, None]},
        {"ai_from": 0.1},
        {"floor": 0},
        {"real_to": "x"},
        {"ai_error": 2},
        {"real_error": "none"},
        {"unknown": 1},
    ],
)
def test_unusable_calibration_is_a_typed_error(change: dict[str, object]) -> None:
    with pytest.raises(ModelIntegrityError, match="calibration"):
        Calibration.from_dict({**asdict(CALIBRATION), **change})


def test_missing_key_is_a_typed_error() -> None:
    values = asdict(CALIBRATION)
    del values["ai_from"]
    with pytest.raises(ModelIntegrityError):
        Calibration.from_dict(values)
