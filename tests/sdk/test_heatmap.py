"""The map of a whole image: what it is the mean of, where it is empty, and its form for caches."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aidetect import AidetectError
from aidetect._calibration import Calibration
from aidetect._engine import Engine
from aidetect._heatmap import SMALL_SIDE, STEP, ZERO, HeatMap, merge
from aidetect._views import extract_views

SIDE = 64


def calibration(whole: float, crops: float, constant: float = 0.0) -> Calibration:
    return Calibration((whole, crops, constant), (1.0, -0.25), 0.01, 0.6, 0.4, 0.05, 0.05)


def cells(count: int, low: int = 4) -> np.ndarray:
    return np.random.default_rng(count).normal(0, 1, (count, low, low)).astype(np.float32)


def test_global_view_alone_fills_the_centre_square() -> None:
    views = extract_views(np.zeros((128, 200, 3), np.uint8), "default", SIDE)
    own = cells(len(views.kinds))
    drawn = merge(own, views, calibration(0.5, 0.0, 0.3), (200, 128))
    assert drawn.values.shape == (128, 200) and drawn.values.dtype == np.float32
    seen = np.isfinite(drawn.values)
    assert seen[:, 36:164].all() and not seen[:, :36].any() and not seen[:, 164:].any()
    # The middles of the cells hold the cells' own log-odds: 128 pixels, 4 cells, middles at 16, 48, …
    middle = drawn.values[15:17, 36 + 47 : 36 + 49].mean()
    assert middle == pytest.approx(0.5 * own[0][0, 1] + 0.3, abs=0.02)


def test_an_image_of_one_view_uses_its_own_scale() -> None:
    views = extract_views(np.zeros((40, 40, 3), np.uint8), "default", SIDE)
    assert views.kinds == ("global",)
    drawn = merge(np.full((1, 2, 2), 2.0, np.float32), views, calibration(9.0, 9.0), (40, 40))
    np.testing.assert_allclose(drawn.values, 1.0 * 2.0 - 0.25)


def test_views_weigh_as_in_the_decision() -> None:
    """Every cell of a view alike: where both kinds lie the map says what the decision would."""
    views = extract_views(np.zeros((256, 256, 3), np.uint8), "default", SIDE)
    margins = np.array([2.0] + [-1.0] * (len(views.kinds) - 1), np.float32)
    given = calibration(0.5, 0.25, 0.1)
    own = np.broadcast_to(margins[:, None, None], (len(margins), 4, 4)).astype(np.float32)
    drawn = merge(own, views, given, (256, 256))
    left, top, right, bottom = views.boxes[1]
    decided = np.log(given.probability(margins) / (1 - given.probability(margins)))
    assert np.allclose(drawn.values[top:bottom, left:right], decided, atol=1e-5)
    only_global = np.log(
        given.view_probabilities(margins)[0] / (1 - given.view_probabilities(margins)[0])
    )
    uncovered = np.ones((256, 256), bool)
    for left, top, right, bottom in views.boxes[1:]:
        uncovered[top:bottom, left:right] = False
    assert uncovered.any() and np.allclose(drawn.values[uncovered], only_global, atol=1e-5)


def test_crops_alone_show_crops_alone() -> None:
    views = extract_views(np.zeros((256, 256, 3), np.uint8), "fast", SIDE)
    drawn = merge(cells(2), views, calibration(0.0, 1.0), (256, 256))
    left, top, right, bottom = views.boxes[1]
    assert np.isfinite(drawn.values).sum() == (right - left) * (bottom - top)
    tiny = merge(cells(2), views, calibration(0.0, 1.0), (256, 256), side=3)
    assert np.isfinite(tiny.values).sum() == 1


def test_weights_of_nothing_show_nothing() -> None:
    views = extract_views(np.zeros((256, 256, 3), np.uint8), "fast", SIDE)
    drawn = merge(cells(2), views, calibration(0.0, 0.0), (256, 256))
    assert np.isnan(drawn.values).all() and drawn.peak == 0.0
    assert not np.asarray(Image.open(io.BytesIO(drawn.to_png()))).any()


@settings(max_examples=25)
@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(["fast", "default"]))
def test_any_shape_of_image_has_a_map_of_four_kilobytes_at_most(
    width: int, height: int, profile: str
) -> None:
    if width * height > 300_000:
        height = max(1, 300_000 // width)
    views = extract_views(np.zeros((height, width, 3), np.uint8), profile, SIDE)
    drawn = merge(
        10 * cells(len(views.kinds)), views, calibration(0.7, 0.6), (width, height), SMALL_SIDE
    )
    assert max(drawn.values.shape) <= SMALL_SIDE and np.isfinite(drawn.values).any()
    assert len(drawn.to_png()) <= 4096


def test_noise_of_the_largest_form_fits_too() -> None:
    values = np.random.default_rng(0).normal(0, 3, (SMALL_SIDE, SMALL_SIDE)).astype(np.float32)
    assert len(HeatMap(values, 1, 1).to_png()) <= 4096


def test_png_keeps_scale_and_sign() -> None:
    values = np.array([[0.0, 1.0, -1.0, np.nan], [9.0, -9.0, 0.5, 0.01]], np.float32)
    data = HeatMap(values, 400, 200).to_png()
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "L"
        grey = np.asarray(image)
    assert grey.tolist() == [[ZERO, ZERO + STEP, ZERO - STEP, 0], [255, 1, ZERO + STEP // 2, ZERO]]
    back = HeatMap.from_png(data, 400, 200)
    assert (back.width, back.height) == (400, 200)
    np.testing.assert_allclose(back.values[0], values[0], atol=0.5 / STEP)


@pytest.mark.parametrize("mode, size", [("RGB", (8, 8)), ("L", (4000, 1))])
def test_other_pictures_are_no_maps(mode: str, size: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    for data in (file.getvalue(), file.getvalue()[:30], b"", b"GIF89a"):
        with pytest.raises(AidetectError, match="Ask for it again"):
            HeatMap.from_png(data, 8, 8)


def test_the_peak_is_on_either_side_of_0() -> None:
    values = np.full((4, 8), 0.2, np.float32)
    values[1, 6] = np.nan
    values[3, 0] = -3
    assert HeatMap(values, 800, 400).peak == 3.0


@pytest.mark.parametrize("backend", ["onnx", "openvino", "torch"])
def test_engine_fills_results_and_changes_no_answer(backend: str, photograph: Path) -> None:
    engine = Engine(backend=backend, threads=1)
    images = [engine.prepare(photograph.read_bytes())] * 2
    plain, drawn = engine.judge(images), engine.judge(images, heat_maps=True)
    assert [one.heat_map for one in plain] == [None, None]
    result, full = engine.explain(images[0])
    for one in drawn:
        assert one.heat_map is not None and len(one.heat_map) <= 4096
        small = HeatMap.from_png(one.heat_map, 640, 480)
        assert small.values.shape == (36, 48)
        assert abs(one.probability - plain[0].probability) < 0.01
    assert full.values.shape == (384, 512)
    # Up to what interpolation does at the edges, the map's mean is the decision.
    decided = np.log(result.probability / (1 - result.probability))
    assert np.nanmean(full.values) == pytest.approx(decided, abs=0.1)
    assert engine.judge([], heat_maps=True) == []
