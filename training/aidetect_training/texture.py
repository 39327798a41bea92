"""Fine-grained signals of an image's pixels, next to the network: small features, numpy only.

Each takes a tile (H, W, 3) uint8 of 128 pixels or more a side and gives a vector whose length depends
on nothing. What each is worth is measured by `python -m aidetect_training.signals`.
"""

from itertools import product

import numpy as np

from aidetect._spectrum import SIDE, power_spectrum, radial_profile
from aidetect._texture import COOCCURRENCES, COOCCURRING, RESIDUALS, SIZES, features

Array = np.ndarray

RINGS = 32
_BLOCK = 8


def spectrum(pixels: Array) -> Array:
    """Radial power spectrum (level taken out), and how far multiples of an eighth of the sampling
    frequency stand out of their surroundings, along both axes and diagonally (Frank et al. 2020)."""
    power = power_spectrum(pixels)
    profile = radial_profile(power, RINGS)
    level = np.log10(power + 1e-3)
    middle, step = SIDE // 2, SIDE // 8
    peaks = []
    for k, (down, across) in product(range(1, 5), ((0, 1), (1, 0), (1, 1))):
        row, column = (middle + step * k * down) % SIDE, (middle + step * k * across) % SIDE
        around = np.take(np.take(level, range(row - 4, row + 5), 0, mode="wrap"),
                         range(column - 4, column + 5), 1, mode="wrap")  # fmt: skip
        peaks.append(level[row, column] - np.median(around))
    return np.concatenate((profile - profile.mean(), profile[1:] - profile[:-1], peaks))


def cooccurrence(pixels: Array) -> Array:
    """How often neighbouring residuals take which values together (Fridrich and Kodovský 2012): of the
    SDK's `_texture`, the tile itself and second differences in steps of 2 alone."""
    parts = features(pixels)[: sum(SIZES[:COOCCURRENCES])].reshape(COOCCURRENCES, -1)
    return parts[: COOCCURRENCES // COOCCURRING : len(RESIDUALS)].ravel()


def jpeg_history(pixels: Array) -> Array:
    """Traces of 8×8 blocks: the strength of steps at each of the eight phases, and for nine low
    frequencies of the aligned blocks' DCT how their histograms are gapped, which two compressions leave
    (Popescu and Farid 2004): share of zeros, and the height of the histogram's strongest period."""
    luminance = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    found = []
    for turned in (luminance, luminance.T):
        steps = np.abs(np.diff(turned, axis=1)).mean(axis=0) + 1e-6
        steps = steps[: len(steps) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).mean(axis=0)
        ordered = np.sort(steps / steps.mean())
        found += [steps[_BLOCK - 1] / steps.mean(), *ordered[[0, -2, -1]]]
    rows, columns = (length // _BLOCK * _BLOCK for length in luminance.shape)
    blocks = luminance[:rows, :columns].reshape(rows // _BLOCK, _BLOCK, -1, _BLOCK) - 128
    coefficients = np.einsum("ur,arbc,vc->uvab", _DCT, blocks, _DCT, optimize=True)
    for u, v in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2), (0, 3)):
        values = np.rint(coefficients[u, v]).astype(int).ravel().clip(-64, 63)
        histogram = np.bincount(values + 64, minlength=128) / values.size
        period = np.abs(np.fft.rfft(histogram))[4:]
        found += [histogram[64], period.max(), period.argmax() / len(period), period.mean()]
    return np.array(found)


def _dct() -> Array:
    """The orthonormal 8-point DCT-II."""
    u, x = np.mgrid[:_BLOCK, :_BLOCK]
    matrix = np.cos((2 * x + 1) * u * np.pi / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


_DCT = _dct()


def demosaicing(pixels: Array) -> Array:
    """Whether pixels of one lattice of a camera's colour filter are better predicted from their
    neighbours than those of the other (Popescu and Farid 2005): of each channel the error's variance
    on the two diagonals and the four places of a 2×2 cell, and its period of 2 (Gallagher and Chen
    2008)."""
    found = []
    for plane in np.moveaxis(pixels.astype(np.float32), 2, 0):
        around = plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]
        error = plane[1:-1, 1:-1] - around / 4
        rows, columns = (length // 2 * 2 for length in error.shape)
        error = np.abs(error[:rows, :columns])
        cells = np.log(np.square(error).reshape(rows // 2, 2, columns // 2, 2).mean(axis=(0, 2)) + 0.1)
        diagonal = abs(cells[0, 0] + cells[1, 1] - cells[0, 1] - cells[1, 0])
        stripes = (abs(cells[0].sum() - cells[1].sum()), abs(cells[:, 0].sum() - cells[:, 1].sum()))
        traces = [np.log(np.abs(np.fft.rfft(error.mean(axis=axis)))[1:] + 1e-6) for axis in (0, 1)]
        traces.append(np.log(np.abs(np.fft.rfft(_diagonal_mean(error)))[1:] + 1e-6))
        found += [diagonal, *stripes, *(trace[-1] - np.median(trace) for trace in traces)]
    return np.array(found)


def _diagonal_mean(error: Array) -> Array:
    """Mean along the anti-diagonals of the largest square: their even and odd ones are the lattices."""
    side = min(error.shape) // 2 * 2
    index = np.add.outer(np.arange(side), np.arange(side)).ravel()
    total = np.bincount(index, error[:side, :side].ravel())
    return (total / np.bincount(index))[side // 2 : side // 2 + side]


SIGNALS = {
    "radial spectrum and periodic peaks": spectrum,
    "residual co-occurrence": cooccurrence,
    "JPEG history": jpeg_history,
    "demosaicing trace": demosaicing,
}
