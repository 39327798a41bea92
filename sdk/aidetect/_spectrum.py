"""The power spectrum of an image's luminance: how much detail of each fineness and direction it has.

Generators that enlarge by transposed convolution or by interpolation leave peaks at whole fractions of
the sampling frequency and too little or too much power at the finest grain (Durall et al. 2020; Frank
et al. 2020). JPEG leaves peaks too, at multiples of an eighth, and so does any resizing: a spectrum is
something to look at, not a verdict. `training/texture.md` says what it was worth when measured.
"""

import numpy as np
from numpy.typing import NDArray

SIDE = 128
"""Side of the blocks that are transformed, in pixels."""

MOST_BLOCKS = 64

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def power_spectrum(pixels: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.float32]:
    """Mean power of an image (H, W, 3) uint8, (side, side) float32, frequency 0 in the middle.

    Welch 1967: blocks that overlap by half under a Hann window, their powers averaged; of a large image
    at most `MOST_BLOCKS`, evenly spread. An image with a side shorter than the block is cut into blocks
    of that shorter side.
    """
    height, width = pixels.shape[:2]
    side = max(1, min(side, height, width))
    tops, lefts = _starts(height, side), _starts(width, side)
    places = [(top, left) for top in tops for left in lefts]
    chosen = np.linspace(0, len(places) - 1, min(len(places), MOST_BLOCKS)).round().astype(int)
    window = np.outer(np.hanning(side + 2)[1:-1], np.hanning(side + 2)[1:-1]).astype(np.float32)
    total = np.zeros((side, side), np.float32)
    for top, left in (places[index] for index in chosen):
        block = pixels[top : top + side, left : left + side] @ _LUMA
        waves = np.fft.fft2((block - block.mean()) * window)
        total += np.square(waves.real) + np.square(waves.imag)
    shifted: NDArray[np.float32] = np.fft.fftshift(total)
    return shifted / np.float32(len(chosen) * np.square(window).sum())


def radial_profile(power: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Mean log10 power in `bins` rings of equal width, from 0 to half the sampling frequency."""
    side = len(power)
    frequency = np.fft.fftshift(np.fft.fftfreq(side))
    radius = np.hypot(frequency[:, None], frequency[None, :])
    ring = (radius * 2 * bins).astype(int).ravel()
    inside = ring < bins
    level = np.log10(power.ravel() + 1e-3)
    count = np.bincount(ring[inside], minlength=bins)
    total = np.bincount(ring[inside], level[inside], minlength=bins)
    return (total / np.maximum(count, 1)).astype(np.float32)


def _starts(length: int, side: int) -> list[int]:
    """Starts of blocks along a side, half a block apart; the last ends at or before the edge."""
    return list(range(0, length - side + 1, max(1, side // 2)))
