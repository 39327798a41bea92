import numpy as np
import pytest
from sklearn.metrics import auc, roc_auc_score

from aidetect_training.metrics import (
    balanced_accuracy,
    expected_calibration_error,
    interval,
    macro,
    reliability,
    roc_points,
    summary,
)


def test_figures_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    says = np.array([0.05, 0.2, 0.4, 0.7, 0.1, 0.5, 0.6, 0.8, 0.9])
    figures = summary(labels, says)
    assert figures["images"] == 9
    assert figures["accuracy"] == pytest.approx(7 / 9)
    assert figures["accuracy_real"] == pytest.approx(3 / 4)
    assert figures["accuracy_ai"] == pytest.approx(4 / 5)  # 0.5 is called AI
    assert figures["balanced_accuracy"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert figures["balanced_accuracy"] == pytest.approx(balanced_accuracy(labels, says))
    # Of 20 pairs the AI image is ahead in 1 + 3 + 3 + 4 + 4.
    assert figures["auc"] == pytest.approx(15 / 20)
    # Without a false positive (threshold above 0.7) two of five are found.
    assert figures["tpr_at_1"] == figures["tpr_at_5"] == pytest.approx(2 / 5)
    assert figures["ai_called_real_at_0.9"] == pytest.approx(1 / 5)


def test_rates_at_one_and_five_percent_false_positives() -> None:
    real = np.arange(100) / 100
    ai = np.array([0.995, 0.985, 0.975, 0.955, 0.945, 0.5])
    figures = summary(np.repeat([0, 1], [100, 6]), np.concatenate((real, ai)))
    assert figures["tpr_at_1"] == pytest.approx(2 / 6)  # only 0.99 is above 0.985
    assert figures["tpr_at_5"] == pytest.approx(5 / 6)  # 0.95 to 0.99 are above 0.945


def test_a_perfect_and_a_reversed_ranking() -> None:
    labels, says = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    assert summary(labels, says)["auc"] == summary(labels, says)["tpr_at_1"] == 1
    assert summary(labels, 1 - says)["auc"] == summary(labels, 1 - says)["balanced_accuracy"] == 0


def test_calibration_error_by_hand() -> None:
    """One bin: 40 images at 0.85, half of them AI: a gap of 0.35, less √(2·0.85·0.15/40π)."""
    labels, says = np.tile([0, 1], 20), np.full(40, 0.85)
    bias = np.sqrt(2 * 0.85 * 0.15 / (40 * np.pi))
    assert expected_calibration_error(labels, says) == pytest.approx(0.35 - bias)
    # Beside it 60 images in another bin that hold what they promise: the gap counts for 40 %.
    labels = np.concatenate((labels, np.repeat([0, 1], [45, 15])))
    says = np.concatenate((says, np.full(60, 0.25)))
    assert expected_calibration_error(labels, says) == pytest.approx(0.4 * (0.35 - bias))


def test_bins_of_the_reliability_diagram_by_hand() -> None:
    says = np.array([0.01, 0.09, 0.55, 0.55, 0.55, 1.0])
    found = reliability(np.array([0, 1, 1, 1, 0, 1]), says)
    assert [n for n, _, _ in found] == [2, 3, 1]
    np.testing.assert_allclose([pair[1:] for pair in found], [(0.05, 0.5), (0.55, 2 / 3), (1, 1)])


def test_the_roc_curve_is_thinned_and_keeps_its_area() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 5000)
    says = rng.normal(labels, 1)
    points = roc_points(labels, says, most=100)
    assert len(points) == 100 and points[0] == (0, 0) and points[-1] == (1, 1)
    false_rate, true_rate = np.transpose(points)
    assert (np.diff(false_rate) >= 0).all() and (np.diff(true_rate) >= 0).all()
    assert auc(false_rate, true_rate) == pytest.approx(roc_auc_score(labels, says), abs=2e-3)
    assert roc_points(np.array([0, 1]), np.array([0.2, 0.9])) == [(0, 0), (0, 1), (1, 1)]


@pytest.mark.parametrize("images", [200, 2000])
def test_calibrated_probabilities_have_nearly_no_error(images: int) -> None:
    """The plain estimate would be about 0.1 and 0.03 here, for want of images."""
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(20):
        says = rng.random(images)
        errors.append(expected_calibration_error((rng.random(images) < says).astype(int), says))
    assert np.mean(errors) < 0.35 / np.sqrt(images)


def test_overconfidence_is_seen_and_the_ends_are_counted() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 5000)
    assert expected_calibration_error(labels, np.where(rng.random(5000) < 0.5, 0.0, 1.0)) > 0.45
    assert expected_calibration_error(np.array([0, 1]), np.array([0.0, 1.0])) == 0


def test_the_interval_covers_the_truth_when_origins_differ() -> None:
    """Accuracy varies by origin; in most of 40 worlds the true mean, 0.7, lies in the interval."""
    covered, widths = 0, []
    for world in range(40):
        rng = np.random.default_rng(world)
        chances = rng.uniform(0.4, 1.0, 48)
        labels = np.repeat([0, 1], 24 * 10)
        right = rng.random(480) < np.repeat(chances, 10)
        says = np.where(right == (labels == 1), 0.9, 0.1)
        origins = [f"o{i}" for i in np.repeat(np.arange(48), 10)]
        low, high = interval(origins, labels, says, balanced_accuracy, rounds=100, seed=world)
        covered += low <= 0.7 <= high
        widths.append(high - low)
    assert covered >= 33
    assert 0.05 < np.mean(widths) < 0.2


def test_the_interval_resamples_whole_origins() -> None:
    """A hundred images of one origin that agree are one observation, not a hundred."""
    labels = np.repeat([0, 1], 400)
    says = np.concatenate((np.full(400, 0.1), np.repeat([0.9, 0.9, 0.1, 0.1], 100)))
    together = [f"o{i}" for i in np.repeat(np.arange(8), 100)]
    alone = [f"o{i}" for i in range(800)]
    low, high = interval(together, labels, says, balanced_accuracy)
    assert (low, high) == pytest.approx((0.5, 1.0))
    low, high = interval(alone, labels, says, balanced_accuracy)
    assert 0.7 < low < 0.75 < high < 0.8
    assert interval(alone, labels, says, balanced_accuracy) == (low, high)


def test_an_origin_with_both_classes_is_resampled_in_each() -> None:
    labels, says = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.8])
    assert interval(["a", "a", "b", "b"], labels, says, balanced_accuracy) == (1.0, 1.0)


def test_macro_is_the_mean_of_each_group() -> None:
    assert macro(["b", "a", "b"], np.array([1.0, 0.5, 0.0])) == {"a": 0.5, "b": 0.5}


def test_where_origins_are_not_told_images_are_resampled() -> None:
    """The standard error of both classes' accuracies, .2 and .1 wrong of 200 each, is about .0177."""
    labels = np.repeat([0, 1], 200)
    says = np.concatenate((np.arange(200) < 40, np.arange(200) >= 20)).astype(float)
    low, high = interval(["set"] * 400, labels, says, balanced_accuracy)
    assert low < 0.85 < high
    assert high - low == pytest.approx(2 * 1.96 * 0.0177, rel=0.2)
