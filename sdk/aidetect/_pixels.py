"""Any loaded image as upright 8-bit sRGB pixels: what `_image.py` does once a decoder is done."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_pixels(image: Image.Image, turned: int) -> NDArray[np.uint8]:
    """Any loaded image as (height, width, 3) uint8 sRGB; `turned` is its EXIF orientation."""
    profile = image.info.get("icc_profile")
    alpha: Image.Image | None = None
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        image = _to_eight_bits(image)
    elif image.has_transparency_data:
        image, alpha = _split_alpha(image)
    image = _to_srgb(image, profile)
    if alpha is not None:
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=alpha)
        image = white
    if turned in _UPRIGHT:
        image = image.transpose(_UPRIGHT[turned])
    return np.asarray(image)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour and alpha of an image with any kind of transparency; None where all is opaque."""
    if image.mode in {"La", "RGBa"}:
        image = image.convert(image.mode.upper())
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    if image.mode != "RGBA":
        image = image.convert("RGBA")
    alpha = image.getchannel("A")
    return image.convert("RGB"), None if alpha.getextrema() == (255, 255) else alpha


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float gray as 8-bit gray; a transparent gray value becomes white.

    16 bits: v·255/65535, rounded. The wider types have no fixed white, so the range of the values
    tells it: 0–1 (float only), 0–255 or 0–65535 with a little overshoot clipped, else stretched.
    """
    values: NDArray[Any] = np.asarray(image)
    if image.mode.startswith("I;16"):
        table = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        gray = table[values]
        clear = image.info.get("transparency")
        if isinstance(clear, int):
            gray[values == clear] = 255
        return Image.fromarray(gray)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    whites, slack = ((1.0, 255.0, 65535.0), 0.25) if image.mode == "F" else ((255.0, 65535.0), 0.0)
    for white in whites:
        if low >= -slack * white and high <= (1 + slack) * white:
            low, high = 0.0, white
            break
    bounded = np.nan_to_num(np.clip(values.astype(np.float64), low, high), nan=low)
    scaled = np.rint((bounded - low) * (255 / max(high - low, 1e-9)))
    return Image.fromarray(scaled.astype(np.uint8))


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """RGB, through the embedded ICC profile where it fits the image, else by plain conversion.

    A profile that is broken or meant for another colour space is ignored, as browsers do. One
    that calls itself sRGB is skipped: most photographs carry it, and it would change nothing.
    """
    if image.mode not in {"RGB", "L", "CMYK", "LAB"}:
        image = image.convert("RGB")
    if isinstance(profile, bytes) and profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            description = (source.profile.profile_description or "").lower()
            fits = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}.get(image.mode)
            if source.profile.xcolor_space.strip() == fits and (
                "srgb" not in description or "linear" in description or fits != "RGB"
            ):
                target = ImageCms.createProfile("sRGB")
                return ImageCms.buildTransform(source, target, image.mode, "RGB").apply(image)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return image if image.mode == "RGB" else image.convert("RGB")
