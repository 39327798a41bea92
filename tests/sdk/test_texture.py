"""The texture: its features against a plain count, its map, and what it does to an answer."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aidetect import ModelIntegrityError
from aidetect._calibration import Calibration
from aidetect._heatmap import merge
from aidetect._texture import (
    BRIGHTER,
    CELLS,
    COOCCURRENCES,
    COOCCURRING,
    LENGTH,
    LEVELS,
    RESIDUALS,
    SIZES,
    SUPPORT,
    Sum,
    Texture,
    features,
    squares,
)
from aidetect._views import extract_views

NONE = {"constant": -0.25, "weights": [0.0] * LENGTH}
GOOD = {"version": 3, "view_size": 64, "margin": NONE, "strange": NONE, "worn": NONE}


def scene(height: int, width: int, seed: int = 3) -> NDArray[np.uint8]:
    """Ramps, an edge and grain."""
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.linspace(0, 150, height), np.linspace(0, 60, width))
    ramp[:, width // 2 :] += 25
    noise = rng.normal(0, 4, (height, width, 3))
    return (ramp[:, :, None] * (1, 0.8, 0.6) + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def texture() -> Texture:
    weights = np.random.default_rng(1).normal(0, 1, LENGTH).astype(np.float32)
    return Texture(Sum(weights, 0.5), 64)


def counted(view: NDArray[np.uint8], order: int, step: int) -> NDArray[np.float64]:
    """Of the luminance, in plain Python: classes in the order in which their first triple comes."""
    plane = [[(r + 2 * g + b) // 4 for r, g, b in row] for row in view.astype(int).tolist()]
    classes: dict[tuple[int, ...], int] = {}
    for triple in product(range(-2, 3), repeat=3):
        turned = [t[::way] for t in (triple, tuple(-v for v in triple)) for way in (1, -1)]
        if not any(t in classes for t in turned):
            classes |= dict.fromkeys(turned, len(set(classes.values())))
    found = [0] * len(set(classes.values()))
    for lines in (plane, list(zip(*plane, strict=True))):
        for line in lines:
            values = list(line)
            for _ in range(order):
                values = [after - before for before, after in pairwise(values)]
            cut = [max(-2, min(2, int(np.rint(value / step)))) for value in values]
            for triple in zip(cut, cut[1:], cut[2:], strict=False):
                found[classes[triple]] += 1
    return np.sqrt(np.array(found) / sum(found))


def ringed(view: NDArray[np.uint8], least: int) -> NDArray[np.float64]:
    """Of the luminance, in plain Python: classes in the order in which their first pattern comes."""
    plane = [[r + 2 * g + b for r, g, b in row] for row in view.astype(int).tolist()]
    classes: dict[tuple[int, ...], int] = {}
    for ring in product((0, 1), repeat=8):
        turned = [way[n:] + way[:n] for way in (ring, ring[::-1]) for n in range(8)]
        if ring not in classes:
            classes |= dict.fromkeys(turned, len(set(classes.values())))
    found = [0] * len(set(classes.values()))
    around = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    for y, x in product(range(1, len(plane) - 1), range(1, len(plane[0]) - 1)):
        found[classes[tuple(int(plane[y + v][x + u] - plane[y][x] > least) for v, u in around)]] += 1
    return np.sqrt(np.array(found) / sum(found))


def halved(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    cells = view.astype(int).reshape(view.shape[0] // 2, 2, view.shape[1] // 2, 2, 3)
    return ((cells.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)


def split(found: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Features part by part."""
    return np.split(found, np.cumsum(SIZES)[:-1])


def test_features_are_the_shares_that_a_plain_count_gives() -> None:
    levels = [scene(64, 64)]
    for _ in range(LEVELS - 1):
        levels.append(halved(levels[-1]))
    parts = split(features(levels[0]))
    for level, view in enumerate(levels[:COOCCURRING]):
        luminance = parts[level * COOCCURRENCES // COOCCURRING :]
        for part, (order, step) in zip(luminance, RESIDUALS, strict=False):
            np.testing.assert_allclose(part, counted(view, order, step), atol=1e-6)
    rings = parts[COOCCURRENCES:]
    assert len(rings) == LEVELS * len(BRIGHTER)
    for part, (view, least) in zip(rings, product(levels, BRIGHTER), strict=True):
        np.testing.assert_allclose(part, ringed(view, least), atol=1e-6)


def test_shares_of_a_part_add_up_and_forget_what_is_turned() -> None:
    view = scene(96, 96)
    found = features(view)
    assert found.shape == (LENGTH,) and found.dtype == np.float32
    np.testing.assert_allclose([np.square(part).sum() for part in split(found)], 1, atol=1e-5)
    for turned in (view[::-1], view[:, ::-1], view.transpose(1, 0, 2)):
        np.testing.assert_allclose(features(np.ascontiguousarray(turned)), found, atol=1e-6)


def test_the_margin_is_the_weighted_sum_of_the_features(texture: Texture) -> None:
    view = scene(64, 64)
    margin, local = texture.margins(view)
    assert margin == pytest.approx(texture.margin.weights @ features(view) + 0.5, abs=1e-4)
    assert local.shape == SUPPORT.shape == (CELLS, CELLS)
    assert SUPPORT.max() == 1 and SUPPORT[0, 0] == pytest.approx(SUPPORT[0, 8] ** 2)


@pytest.mark.parametrize(("constant", "share"), [(-3.0, 0.0), (0.25, 0.25), (0.75, 0.75), (3.0, 1.0)])
def test_what_is_strange_is_told_by_another_sum(texture: Texture, constant: float, share: float) -> None:
    view = scene(64, 64)
    other = Texture(Sum(-2 * texture.margin.weights, 7.0), 64)
    mixed = replace(texture, strange=Sum(np.zeros(LENGTH, np.float32), constant), worn=other.margin)
    (own, places), (worn, worn_places) = texture.margins(view), other.margins(view)
    margin, local = mixed.margins(view)
    assert margin == pytest.approx((1 - share) * own + share * worn, abs=1e-3)
    np.testing.assert_allclose(local, (1 - share) * places + share * worn_places, atol=1e-2)


def test_strangeness_is_of_the_view(texture: Texture) -> None:
    """Weights that ask for grain: a smooth view is told by one sum, a noisy one by the other."""
    smooth = scene(64, 64) // 8 * 8
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    weights = (features(noisy) - features(smooth)).astype(np.float32)
    middle = float(weights @ (features(noisy) + features(smooth)) / 2)
    nothing = Sum(np.zeros(LENGTH, np.float32), 9.0)
    mixed = replace(texture, strange=Sum(20 * weights, -20 * middle), worn=nothing)
    assert mixed.margins(noisy)[0] == pytest.approx(9, abs=1e-3)
    assert mixed.margins(smooth)[0] == pytest.approx(texture.margins(smooth)[0], abs=1e-3)


def test_a_place_tells_the_margin_of_its_surroundings(texture: Texture) -> None:
    """Where they hold nothing else, that of a view of the same."""
    view = np.concatenate([scene(128, 64, seed=4), scene(128, 64, seed=5)[::-1]], axis=1)
    _, local = texture.margins(view)
    for column, half in ((0, view[:, :64]), (CELLS - 1, view[:, 64:])):
        margin, of_half = texture.margins(np.ascontiguousarray(np.concatenate([half, half], axis=1)))
        assert local[8, column] == pytest.approx(of_half[8, column], abs=0.05 * abs(margin) + 0.3)


@pytest.mark.parametrize(
    "kept",
    [slice(0, sum(SIZES[: COOCCURRENCES // COOCCURRING])), slice(sum(SIZES[:COOCCURRENCES]), None)],
    ids=["co-occurrences", "patterns"],
)
def test_a_place_shows_what_is_there(kept: slice) -> None:
    """Weights that ask for flatness alone: a flat patch in grain stands out where it is."""
    view = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    view[32:64, 80:112] = 90
    weights = np.zeros(LENGTH, np.float32)
    weights[kept] = features(np.full((128, 128, 3), 90, np.uint8))[kept]
    _, local = Texture(Sum(weights, 0.0), 128).margins(view)
    row, column = np.unravel_index(local.argmax(), local.shape)
    assert 4 <= row < 8 and 10 <= column < 14


@given(st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=100)
def test_all_parts_are_squares_within_the_image(width: int, height: int) -> None:
    for left, top, right, bottom in squares(width, height):
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert right - left == bottom - top


@pytest.mark.parametrize("shape", [(64, 64), (300, 90), (1, 1), (3, 700), (65, 4001)])
def test_any_image_has_a_finite_margin(texture: Texture, shape: tuple[int, int]) -> None:
    look = texture.look(scene(*shape))
    assert look.local.shape == (5, CELLS, CELLS) and np.isfinite(look.local).all()
    centre, *corners = look.margins
    assert look.margin == pytest.approx((centre + np.mean(corners)) / 2, abs=1e-5)
    unmapped = texture.look(scene(*shape), heat_map=False)
    assert unmapped.margin == look.margin and unmapped.local.size == 0


def test_the_map_of_an_image_has_its_log_odds_as_mean(texture: Texture) -> None:
    pixels = scene(128, 200)
    look = texture.look(pixels)
    views = extract_views(pixels, "default", 64, crops=False)
    given = Calibration((0.5, 0.0, 0.1), (0.5, 0.1), 0.01, 0.6, 0.4, 0.05, 0.05, (0.02, 0.02))
    cells = np.full((1, 4, 4), 0.7, np.float32)
    drawn = merge(cells, views, given, (200, 128), texture=look)
    probability = given.probability(np.array([0.7], np.float32), look.margin)
    assert 0.02 < probability < 0.98
    assert np.isfinite(drawn.values).mean() > 0.8
    log_odds = np.log(probability / (1 - probability))
    assert np.nanmean(drawn.values) == pytest.approx(log_odds, abs=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 1},
        {"margin": NONE | {"weights": [0.0]}},
        {"worn": NONE | {"weights": [float("nan")] * LENGTH}},
        {"strange": NONE | {"weights": ["a"] * LENGTH}},
        {"strange": NONE | {"constant": None}},
        {"worn": NONE | {"constant": float("inf")}},
        {"margin": None},
        {"view_size": 16},
    ],
)
def test_a_texture_of_another_form_is_told(wrong: dict[str, object]) -> None:
    assert Texture.from_dict(GOOD).margin.constant == -0.25
    with pytest.raises(ModelIntegrityError, match="texture"):
        Texture.from_dict(GOOD | wrong)
    with pytest.raises(ModelIntegrityError, match="texture"):
        Texture.from_dict({})
