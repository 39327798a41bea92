"""A picture for pictures: sky, hills and water, drawn here and so nobody's."""

import io

import numpy as np
from PIL import Image, ImageFilter

WIDTH, HEIGHT, SHORE = 960, 640, 400


def landscape() -> bytes:
    """A JPEG, the same each time: hills one behind the other, their reflection, a sensor's noise."""
    random = np.random.default_rng(7)
    down = np.linspace(0, 1, SHORE)[:, None, None]
    pixels = np.repeat(
        np.array([96, 140, 196]) * (1 - down) + np.array([250, 214, 170]) * down, WIDTH, 1
    )
    for distance in range(5):
        near = distance / 4
        line = SHORE * (0.45 + 0.5 * near) - _ridge(random) * (70 - 40 * near)
        inside = np.arange(SHORE)[:, None] > line[None, :]
        colour = np.array([168, 178, 190]) * (1 - near) + np.array([38, 58, 44]) * near
        grain = random.normal(0, 4 + 8 * near, (SHORE, WIDTH, 1))
        pixels[inside] = (colour + grain)[inside]
    ripple = (3 * np.sin(np.arange(HEIGHT - SHORE) ** 1.3 / 3)).astype(int)
    rows = SHORE - 1 - (np.arange(HEIGHT - SHORE) * SHORE // (HEIGHT - SHORE + 40))
    water = np.stack([np.roll(pixels[row], shift, 0) for row, shift in zip(rows, ripple, strict=True)])
    whole = np.concatenate([pixels, 0.72 * water + np.array([6, 14, 24])])
    lens = Image.fromarray(whole.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.9))
    sensor = np.asarray(lens, np.float64) + random.normal(0, 2, whole.shape)
    buffer = io.BytesIO()
    Image.fromarray(sensor.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _ridge(random: np.random.Generator) -> np.ndarray:
    """Heights of a ridge of hills, one for each column: noise that falls with its frequency."""
    frequency = np.fft.rfftfreq(WIDTH)
    frequency[0] = np.inf
    heights = np.fft.irfft(np.exp(2j * np.pi * random.random(frequency.size)) / frequency**1.4, WIDTH)
    return np.asarray(heights / np.abs(heights).max())
