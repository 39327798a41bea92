"""What happens to an image between its maker and the reader, in random measure.

Both classes go through the same chain: a part is cut out and rescaled by a random factor and filter
(or the whole is squashed into the square), turned, its colours moved, blurred or made noisy,
compressed once or twice, and a patch of it may be covered. The compression runs on a slightly
larger patch that is then cut at a random offset, so that the 8×8 grid of JPEG does not always lie
at the same place.

`colour_jitter` and `brightness_contrast` are the changes of the published recipe, each by up to a
fifth, which is Albumentations' default for transformations of these names; `jitter` is this
project's own, stronger one. `masking` is SAFE's: up to three in four of the squares of 16 pixels are
blackened. A chance of 0 draws no random number for these three, so that the streams of recipes without
them stay as they were.
"""

import io
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from .recipe_images import AugmentRecipe

MARGIN = 8
MASKED_SQUARE = 16
MOST_MASKED = 0.75
FILTERS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.BILINEAR,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
)
TURNS = (
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
)


def squash(image: Image.Image, size: int) -> Image.Image:
    """The whole image as a square of `size` pixels, whatever its shape; bilinear, antialiased."""
    return image.resize((size, size), Image.Resampling.BILINEAR)


def augment(
    tile: Image.Image, size: int, recipe: AugmentRecipe, rng: random.Random, view: str = "crop"
) -> np.ndarray:
    """An RGB tile → one size×size×3 uint8 crop. The tile's side has to be at least `size`; with
    `view` "squash" it may be an image of any size."""
    if view == "squash":
        patch = squash(tile, size)
    else:
        patch = _rescaled(tile, size + MARGIN, recipe, rng)
    if rng.random() < 0.5:
        patch = patch.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < recipe.rotate:
        patch = patch.transpose(rng.choice(TURNS))
    patch = _colours(patch, recipe, rng)
    if rng.random() < recipe.blur:
        patch = patch.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.5)))
    if rng.random() < recipe.noise:
        patch = _noisy(patch, rng)
    if rng.random() < recipe.codec:
        patch = compressed(patch, recipe.quality_range, rng)
        if rng.random() < recipe.second_codec:
            patch = compressed(patch, recipe.quality_range, rng)
    left, top = rng.randint(0, patch.width - size), rng.randint(0, patch.height - size)
    crop = np.array(patch.crop((left, top, left + size, top + size)))
    if rng.random() < recipe.cutout:
        _cover(crop, rng)
    if recipe.masking and rng.random() < recipe.masking:
        _mask(crop, rng)
    return crop


def compressed(image: Image.Image, qualities: tuple[int, int], rng: random.Random) -> Image.Image:
    """One round of JPEG (three in four, with either chroma sampling) or WebP at a random quality."""
    buffer = io.BytesIO()
    quality = rng.randint(*qualities)
    if rng.random() < 0.75:
        image.save(buffer, "JPEG", quality=quality, subsampling=rng.choice((0, 2)))
    else:
        image.save(buffer, "WEBP", quality=quality, method=2)
    return Image.open(buffer).convert("RGB")


def _rescaled(tile: Image.Image, side: int, recipe: AugmentRecipe, rng: random.Random) -> Image.Image:
    scale = 1.0
    if rng.random() < recipe.rescale:
        low, high = recipe.rescale_range
        scale = low * (high / low) ** rng.random()
    scale = max(scale, side / min(tile.size))
    source = min(side / scale, min(tile.size))
    left, top = rng.uniform(0, tile.width - source), rng.uniform(0, tile.height - source)
    if scale == 1.0:
        left, top = int(left), int(top)
        return tile.crop((left, top, left + side, top + side))
    box = (left, top, left + source, top + source)
    return tile.resize((side, side), rng.choice(FILTERS), box=box)


def _colours(patch: Image.Image, recipe: AugmentRecipe, rng: random.Random) -> Image.Image:
    if rng.random() < recipe.jitter:
        for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            patch = kind(patch).enhance(rng.uniform(0.6, 1.4))
        if rng.random() < 0.5:
            patch = Image.merge("RGB", rng.sample(patch.split(), 3))
    if recipe.colour_jitter and rng.random() < recipe.colour_jitter:
        patch = _jittered(patch, rng)
    if recipe.brightness_contrast and rng.random() < recipe.brightness_contrast:
        contrast, brightness = rng.uniform(0.8, 1.2), 255 * rng.uniform(-0.2, 0.2)
        levels = [min(255, max(0, round(contrast * v + brightness))) for v in range(256)]
        patch = patch.point(levels * 3)
    if rng.random() < recipe.gray:
        patch = patch.convert("L").convert("RGB")
    return patch


def _jittered(patch: Image.Image, rng: random.Random) -> Image.Image:
    """Brightness, contrast, saturation and hue, one after the other in random order."""
    for kind in rng.sample(
        (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color, None), 4
    ):
        if kind:
            patch = kind(patch).enhance(rng.uniform(0.8, 1.2))
        else:
            shift = round(256 * rng.uniform(-0.2, 0.2))
            hue, saturation, value = patch.convert("HSV").split()
            hue = hue.point([(level + shift) % 256 for level in range(256)])
            patch = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    return patch


def _noisy(patch: Image.Image, rng: random.Random) -> Image.Image:
    pixels = np.asarray(patch, dtype=np.float32)
    noise = np.random.default_rng(rng.getrandbits(64)).standard_normal(pixels.shape, dtype=np.float32)
    return Image.fromarray((pixels + noise * rng.uniform(1, 8)).clip(0, 255).astype(np.uint8))


def _cover(crop: np.ndarray, rng: random.Random) -> None:
    size = crop.shape[0]
    side = rng.randint(size // 8, size // 2)
    left, top = rng.randint(0, size - side), rng.randint(0, size - side)
    crop[top : top + side, left : left + side] = [rng.randint(0, 255) for _ in range(3)]


def _mask(crop: np.ndarray, rng: random.Random) -> None:
    size, side = crop.shape[0], MASKED_SQUARE
    corners = [(top, left) for top in range(0, size, side) for left in range(0, size, side)]
    share = rng.uniform(0, MOST_MASKED)
    for top, left in rng.sample(corners, round(share * len(corners))):
        crop[top : top + side, left : left + side] = 0
