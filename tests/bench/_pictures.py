"""Made-up images that cost what photographs do."""

import io

import numpy as np
from PIL import Image


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """Colour ramps, soft blobs and sensor-like noise: it decodes and compresses like a photograph."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (height // 40, width // 40, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    noise = rng.integers(-6, 7, (height, width, 1), dtype=np.int16)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {"compress_level": 1}))
    return buffer.getvalue()
