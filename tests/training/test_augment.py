import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aidetect_training.augment import augment, compressed
from aidetect_training.recipe_images import AugmentRecipe

from .conftest import QUIET, picture

ALWAYS = AugmentRecipe(
    rescale=1, codec=1, second_codec=1, rotate=1, jitter=1, gray=1, blur=1, noise=1, cutout=1
)


@pytest.fixture(scope="module")
def tile() -> Image.Image:
    return picture(0, 96, 80, np.random.default_rng(0))


@pytest.mark.parametrize("size", [32, 64, 72, 80])
@pytest.mark.parametrize("recipe", [QUIET, ALWAYS, AugmentRecipe()], ids=["none", "all", "default"])
def test_a_crop_has_its_size_whatever_is_done(
    tile: Image.Image, size: int, recipe: AugmentRecipe
) -> None:
    for seed in range(12):
        crop = augment(tile, size, recipe, random.Random(seed))
        assert crop.shape == (size, size, 3) and crop.dtype == np.uint8


@pytest.mark.parametrize("recipe", [ALWAYS, AugmentRecipe()], ids=["all", "default"])
def test_the_seed_alone_decides(tile: Image.Image, recipe: AugmentRecipe) -> None:
    first = [augment(tile, 48, recipe, random.Random(seed)) for seed in range(8)]
    again = [augment(tile, 48, recipe, random.Random(seed)) for seed in range(8)]
    np.testing.assert_array_equal(first, again)
    assert len({crop.tobytes() for crop in first}) == 8


@pytest.mark.parametrize("factors", [(0.01, 0.01), (1.0, 1.0), (0.9999, 1.0001), (100.0, 100.0)])
@pytest.mark.parametrize("qualities", [(1, 1), (100, 100)])
def test_the_extremes_of_the_options(
    tile: Image.Image, factors: tuple[float, float], qualities: tuple[int, int]
) -> None:
    recipe = replace(ALWAYS, rescale_range=factors, quality_range=qualities)
    for seed in range(6):
        assert augment(tile, 64, recipe, random.Random(seed)).shape == (64, 64, 3)


@pytest.mark.parametrize("rescale", [0.0, 1.0])
def test_nothing_from_outside_the_tile_is_shown(rescale: float) -> None:
    """A tile without a dark pixel gives no dark one: PIL fills with black what lies outside."""
    tile = Image.new("RGB", (70, 90), (200, 180, 160))
    recipe = replace(QUIET, rescale=rescale, rescale_range=(0.1, 3.0))
    for seed in range(200):
        crop = augment(tile, 62, recipe, random.Random(seed))
        assert (crop == (200, 180, 160)).all()


def test_without_changes_a_crop_is_a_piece_of_the_tile_or_its_mirror() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    places = {pixels[i : i + 40, j : j + 40].tobytes() for i in range(11) for j in range(11)}
    mirrored = pixels[:, ::-1]
    places |= {mirrored[i : i + 40, j : j + 40].tobytes() for i in range(11) for j in range(11)}
    seen = {augment(Image.fromarray(pixels), 40, QUIET, random.Random(s)).tobytes() for s in range(60)}
    assert seen <= places
    assert len(seen) > 30


def test_grey_is_grey_and_the_cutout_covers_a_square(tile: Image.Image) -> None:
    grey = augment(tile, 64, replace(QUIET, gray=1.0), random.Random(0))
    assert (grey[..., 0] == grey[..., 1]).all() and (grey[..., 1] == grey[..., 2]).all()
    white = Image.new("RGB", (72, 72), "white")
    for seed in range(20):
        crop = augment(white, 64, replace(QUIET, cutout=1.0), random.Random(seed))
        covered = (crop != 255).any(axis=2)
        rows, columns = covered.any(axis=1).sum(), covered.any(axis=0).sum()
        assert 8 <= rows == columns <= 32
        assert covered.sum() == rows * columns


def test_compression_is_stronger_at_lower_quality(tile: Image.Image) -> None:
    def error(quality: int) -> float:
        changed = compressed(tile, (quality, quality), random.Random(0))
        return float(np.abs(np.asarray(changed, float) - np.asarray(tile, float)).mean())

    assert error(20) > error(60) > error(95) > 0
