"""Fine-grained signals find what they are for, in tiles made here."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect_training.data import Item
from aidetect_training.signals import table, weights
from aidetect_training.texture import SIGNALS, cooccurrence, demosaicing, jpeg_history, spectrum
from aidetect_training.variants import TIERS

PEAK_AT_A_QUARTER = -12 + 3  # of the last twelve numbers: k = 2 across


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """256×256 of smooth shapes and a sensor's noise."""
    random = np.random.default_rng(3)
    coarse = Image.fromarray(random.integers(40, 210, (16, 16, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((256, 256), Image.Resampling.BICUBIC), np.float64)
    return (smooth + random.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", SIGNALS)
def test_have_one_length_for_every_tile(name: str, scene: np.ndarray) -> None:
    signal = SIGNALS[name]
    lengths = {signal(tile).shape for tile in (scene, scene[:180, :141], np.zeros_like(scene))}
    assert len(lengths) == 1
    assert np.isfinite(signal(np.zeros_like(scene))).all() and np.isfinite(signal(scene)).all()


def test_spectrum_sees_a_period_of_four(scene: np.ndarray) -> None:
    added = (4 * np.cos(np.pi / 2 * np.arange(256)))[None, :, None]
    striped = (scene + added).clip(0, 255).astype(np.uint8)
    assert spectrum(striped)[PEAK_AT_A_QUARTER] > spectrum(scene)[PEAK_AT_A_QUARTER] + 0.8


def test_cooccurrence_sees_smoothing_and_not_mirroring(scene: np.ndarray) -> None:
    softened = np.asarray(Image.fromarray(scene).resize((128, 128)).resize((256, 256)))
    right = cooccurrence(scene)
    assert np.abs(cooccurrence(softened) - right).max() > 0.1
    np.testing.assert_allclose(cooccurrence(scene[::-1, ::-1]), right, atol=1e-9)


def test_jpeg_history_sees_blocks_where_they_are(scene: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(scene).save(file, "JPEG", quality=30)
    compressed = np.asarray(Image.open(file))
    assert jpeg_history(compressed)[0] > 1.3 > 1.1 > jpeg_history(scene)[0]
    assert jpeg_history(compressed[3:, 3:])[0] < jpeg_history(compressed)[0] - 0.2


def test_demosaicing_sees_interpolated_green(scene: np.ndarray) -> None:
    plane = scene.astype(np.float64)
    around = (
        np.roll(plane, 1, 0) + np.roll(plane, -1, 0) + np.roll(plane, 1, 1) + np.roll(plane, -1, 1)
    ) / 4
    rows, columns = np.mgrid[:256, :256]
    bayer = np.where(((rows + columns) % 2 == 0)[..., None], plane, around)
    filtered = demosaicing(bayer.clip(0, 255).astype(np.uint8))
    assert filtered[0] > demosaicing(scene)[0] + 1


def test_weights_balance_classes_and_groups() -> None:
    items = [
        Item(Path(f"{i}"), int(i < 30), "g" if i < 30 else "", "s", f"o{i % 3}", "c") for i in range(90)
    ]
    given = weights(items, 0.5)
    assert given.sum() == pytest.approx(90) and given[:30].sum() == pytest.approx(45)


def test_table_has_a_row_a_signal() -> None:
    tier = {"alone": 0.5, "alone_interval": (0.4, 0.6), "added": -0.01, "added_interval": (-0.02, 0.01)}
    row = {"features": 3, "model": "logistic", "folds_auc": 0.5, **dict.fromkeys(TIERS, tier)}
    text = table({"one": row, "two": row})
    assert len(text.splitlines()) == 4 and "-0.010 (-0.02…0.01)" in text
