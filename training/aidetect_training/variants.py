"""What happens to images on their way: the tiers of an evaluation, and the sheet of single changes.

Each variant takes the upright pixels of an image and gives the bytes of the file that a user would
meet. Lossless ones (blur, noise, crops) are stored as PNG, so that they change one thing alone.
Noise depends on the image's size alone, so that a sheet is the same each time.
"""

import io
import random
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageFilter

from .augment import FILTERS, compressed

Variant = Callable[[Image.Image], bytes]

TIERS: dict[str, tuple[int, int] | None] = {"clean": None, "web": (768, 60), "hard": (512, 40)}
"""Tier → (longest side, JPEG quality); None as stored."""


def laundered(image: Image.Image, long_side: int, quality: int) -> bytes:
    """The image scaled to at most `long_side` and compressed as JPEG, as web sites do."""
    if max(image.size) > long_side:
        image = _scaled(image, long_side / max(image.size))
    return encoded(image, "JPEG", quality=quality)


def _scaled_size(image: Image.Image, scale: float) -> tuple[int, int]:
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    return image.resize(_scaled_size(image, scale), Image.Resampling.LANCZOS)


def encoded(image: Image.Image, form: str, **options: int) -> bytes:
    """A file of this format; `options` are Pillow's."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _png(image: Image.Image) -> bytes:
    return encoded(image, "PNG", compress_level=1)


def delivery(rng: random.Random) -> tuple[str, int]:
    """Format and quality in which photographs are usually passed on: JPEG 78…92, or WebP 75…90."""
    return ("WEBP", rng.randint(75, 90)) if rng.random() < 0.25 else ("JPEG", rng.randint(78, 92))


def shared(image: Image.Image) -> bytes:
    """Stored once more in the usual way. The same image in the same way each time."""
    form, quality = delivery(random.Random(zlib.crc32(image.tobytes())))
    return encoded(image, form, quality=quality)


def _resized(image: Image.Image, scale: float) -> bytes:
    return _png(_scaled(image, scale))


def _blurred(image: Image.Image, sigma: float) -> bytes:
    return _png(image.filter(ImageFilter.GaussianBlur(sigma)))


def _noisy(image: Image.Image, sigma: float) -> bytes:
    noise = np.random.default_rng(image.size).normal(0, sigma, (image.height, image.width, 3))
    pixels = (np.asarray(image, np.float32) + noise).clip(0, 255).round().astype(np.uint8)
    return _png(Image.fromarray(pixels))


def _cropped(image: Image.Image, share: float) -> bytes:
    """The middle: `share` of either side."""
    width, height = round(image.width * share), round(image.height * share)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return _png(image.crop((left, top, left + width, top + height)))


def _thumbnail_enlarged(image: Image.Image, side: int) -> bytes:
    """Saved as a JPEG thumbnail, then brought back to its size by somebody who has only that."""
    small = _scaled(image, min(1.0, side / max(image.size)))
    again = Image.open(io.BytesIO(encoded(small, "JPEG", quality=80)))
    return encoded(again.resize(image.size, Image.Resampling.BICUBIC), "JPEG", quality=85)


def _screenshot(image: Image.Image) -> bytes:
    """Shown by a browser at four fifths of its size with its bilinear filter, and captured as PNG."""
    size = (max(1, image.width * 4 // 5), max(1, image.height * 4 // 5))
    return _png(image.resize(size, Image.Resampling.BILINEAR))


def _social(image: Image.Image) -> bytes:
    """Posted (long side 1080, JPEG 75), saved and sent on by a messenger (800, JPEG 60)."""
    posted = Image.open(io.BytesIO(laundered(image, 1080, 75)))
    return laundered(posted, 800, 60)


def worn(image: Image.Image) -> bytes:
    """After a random life: scaled down to as little as a quarter, blurred, made noisy (now and then in
    gray alone) and compressed, each at times. The same image has the same life each time."""
    return _life(image, scaling=0.5, blur=0.4, noise=0.4, sigma=(0.7, 12), compression=0.6)


def grainy(image: Image.Image) -> bytes:
    """After a random life, as `worn`, with noise always, and coarser."""
    return _life(image, scaling=0.4, blur=0.2, noise=1.0, sigma=(1.0, 15), compression=0.4)


def _life(
    image: Image.Image,
    scaling: float,
    blur: float,
    noise: float,
    sigma: tuple[float, float],
    compression: float,
) -> bytes:
    """Each with its chance; `sigma`: the least deviation of the noise, and how many times as much the
    most is."""
    rng = random.Random(zlib.crc32(image.tobytes()))
    if rng.random() < scaling:
        scale = max(0.25 * 4 ** rng.random(), 100 / min(image.size))
        if scale < 1:
            image = image.resize(_scaled_size(image, scale), rng.choice(FILTERS))
    if rng.random() < blur:
        image = image.filter(ImageFilter.GaussianBlur(0.4 * 6 ** rng.random()))
    if rng.random() < noise:
        grain = np.random.default_rng(rng.getrandbits(64)).standard_normal((*image.size[::-1], 3))
        if rng.random() < 0.3:
            grain[:] = grain[..., :1]
        pixels = np.asarray(image, np.float32) + grain * sigma[0] * sigma[1] ** rng.random()
        image = Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))
    if rng.random() < compression:
        image = compressed(image, (30, 95), rng)
    return _png(image)


SHEET: dict[str, Variant] = {
    **{f"jpeg{q}": partial(encoded, form="JPEG", quality=q) for q in (95, 90, 75, 60, 50, 40, 30)},
    **{f"webp{q}": partial(encoded, form="WEBP", quality=q) for q in (80, 50)},
    **{f"resize{s:g}": partial(_resized, scale=s) for s in (0.25, 0.5, 0.75, 1.5, 2)},
    **{f"blur{s:g}": partial(_blurred, sigma=s) for s in (0.5, 1, 2)},
    **{f"noise{s:g}": partial(_noisy, sigma=s) for s in (2, 5, 10)},
    **{f"crop{s:g}": partial(_cropped, share=s) for s in (0.75, 0.5)},
    "thumbnail": partial(_thumbnail_enlarged, side=256),
    "screenshot": _screenshot,
    "social": _social,
}
"""The robustness sheet: one change each."""

VARIANTS: dict[str, Variant | None] = {
    **{
        tier: limits and partial(laundered, long_side=limits[0], quality=limits[1])
        for tier, limits in TIERS.items()
    },
    "shared": shared,
    "worn": worn,
    "grainy": grainy,
    **SHEET,
}
"""All that `--tiers` may name; None: the file as it is stored."""
