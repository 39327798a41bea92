"""The preprocessing contract, version 1, second half: pixels to the views that the model sees.

One pure function of uint8 pixels, shared by training, SDK and worker, and held by golden vectors.
A model names the contract it was trained under; a change of a single pixel here is a new version.

View 0, `global`: the largest centred square of the image, brought to S×S. It is cropped, never
squashed, since a squash would show the aspect ratio. A square of side 8·S or more is first averaged
over blocks of f×f pixels, f = side // (4·S), a block at the edge over what there is of it; then
Pillow's antialiased bicubic filter does the rest, for smaller squares all of it. On 12 megapixels
that halves the time and moves the result by less than half a level on average. A shorter side
below S is enlarged by the same filter.

Views 1…, `native`: squares of S×S source pixels, where a generator's finest traces are unharmed by
resizing. They are spread over the image in rows of evenly spaced crops. Their corners lie on
multiples of 16 from the top left: so a crop starts with a whole JPEG block (8 pixels) and a whole
4:2:0 unit (16), and the phase of these grids is not one more thing to vary between views. Two
crops never share more than half of their area; an image without room gets fewer, one smaller than
S in either direction gets none (nothing is padded or mirrored). A global view that is itself at
native resolution (shorter side exactly S) counts as such a crop.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ._errors import ConfigurationError, InvalidArrayError

CONTRACT = 1
MIN_SIDE = 64
"""Shorter sides below this many pixels hold too little for a verdict."""

MIN_VIEW = 32
"""Smallest S for which the spacing rule below holds."""

_GRID = 16
_REDUCED_SIZES = 4
_STRIP_ROWS = 16
"""Rows of blocks averaged at once: strips stay in the processor's cache, a copy of all does not."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class ViewProfile:
    """How much of an image is looked at. Cost of the model grows with 1 + `native`."""

    native: int
    """Native-resolution crops at most; large images get exactly this many."""


PROFILES: dict[str, ViewProfile] = {
    "fast": ViewProfile(native=1),
    "default": ViewProfile(native=8),
    "thorough": ViewProfile(native=24),
}


@dataclass(frozen=True, slots=True)
class Views:
    """The views of one image, the global one first."""

    pixels: NDArray[np.uint8]
    """(n, S, S, 3) uint8 sRGB, contiguous, the views' own memory."""
    kinds: tuple[str, ...]
    """`global` or `native`, one for each view."""
    boxes: tuple[Box, ...]
    """(left, top, right, bottom) of each view in source pixels; right and bottom are exclusive."""


def extract_views(pixels: NDArray[np.uint8], profile: str, size: int, crops: bool = True) -> Views:
    """The views of an image (H, W, 3) uint8 under a profile of `PROFILES`; `size` is S, in pixels.
    Without `crops` the global one alone.

    Raises ConfigurationError for an unknown profile or too small an S, InvalidArrayError for pixels
    of another shape or type.
    """
    if profile not in PROFILES:
        raise ConfigurationError(f"Unknown views {profile!r}. Choose one of {', '.join(PROFILES)}.")
    if size < MIN_VIEW:
        raise ConfigurationError(f"View size {size} is too small. Use {MIN_VIEW} or more.")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InvalidArrayError(
            f"Got pixels of dtype {pixels.dtype}, shape {pixels.shape}; wanted uint8 (height, width, 3)."
        )
    height, width = pixels.shape[:2]
    boxes = [centre_square(width, height)]
    if crops:
        boxes += _native_boxes(width, height, size, PROFILES[profile].native)
    views = np.empty((len(boxes), size, size, 3), np.uint8)
    views[0] = scaled_square(pixels, boxes[0], size)
    for view, (left, top, right, bottom) in zip(views[1:], boxes[1:], strict=True):
        view[...] = pixels[top:bottom, left:right]
    kinds = ("global",) + ("native",) * (len(boxes) - 1)
    return Views(views, kinds, tuple(boxes))


def centre_square(width: int, height: int) -> Box:
    """What the global view looks at."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def scaled_square(pixels: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """A square box of the image, averaged in blocks and resized to (S, S, 3), as the global view is."""
    left, top, right, bottom = box
    side = right - left
    factor = max(1, side // (_REDUCED_SIZES * size))
    if factor == 1:
        square = Image.fromarray(pixels[top:bottom, left:right])
    else:
        square = Image.new("RGB", (-(-side // factor),) * 2)
        step = factor * _STRIP_ROWS
        for index, start in enumerate(range(top, bottom, step)):
            strip = Image.fromarray(pixels[start : min(start + step, bottom), left:right])
            square.paste(strip.reduce(factor), (0, index * _STRIP_ROWS))
    extent = (0, 0, side / factor, side / factor)
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC, box=extent))


def _native_boxes(width: int, height: int, size: int, count: int) -> list[Box]:
    """Up to `count` boxes of S×S, row by row from the top left.

    The number of rows is the one that finds room for most crops and, among equals, divides the
    image into the squarest cells; the rows' lengths differ by one at most (8 crops on a square
    image: 3, 2, 3).
    """
    if min(width, height) < size:
        return []
    most_rows, most_columns = _most(height, size), _most(width, size)

    def lengths(rows: int) -> list[int]:
        ends = [(2 * count * row + rows) // (2 * rows) for row in range(rows + 1)]
        return [min(most_columns, end - start) for start, end in pairwise(ends)]

    def merit(rows: int) -> tuple[int, Fraction]:
        cells = Fraction(width * rows * rows, count * height)
        return sum(lengths(rows)), -max(cells, 1 / cells)

    best = max(range(1, min(count, most_rows) + 1), key=merit)
    boxes = [
        (left, top, left + size, top + size)
        for top, length in zip(_positions(height, size, best), lengths(best), strict=True)
        for left in _positions(width, size, length)
    ]
    if min(width, height) == size:
        seen = centre_square(width, height)
        boxes = [box for box in boxes if 2 * _shared(box, seen) <= size * size]
    return boxes


def _most(length: int, size: int) -> int:
    """Crops along one side with their starts on the grid and at least S/2 apart."""
    return 1 + (length - size) // _GRID // -(-size // (2 * _GRID))


def _positions(length: int, size: int, count: int) -> list[int]:
    """Starts of `count` crops along a side: centred in equal cells, or edge to edge if they overlap."""
    if length >= count * size:
        spare = [(2 * index + 1) * length - count * size for index in range(count)]
        return [start // (2 * count) // _GRID * _GRID for start in spare]
    steps = (length - size) // _GRID
    return [index * steps // (count - 1) * _GRID for index in range(count)]


def _shared(one: Box, other: Box) -> int:
    """Pixels that two boxes have in common."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)


_CELL = 8
_CELL_RANGE = 8
_TONE_RANGE = 16


def flatness(pixels: NDArray[np.uint8]) -> float:
    """Share of an image that is one flat tone, 0 to 1; meant for the global view (S, S, 3).

    Cells of 8×8 pixels are flat if every channel stays within 8 levels, which forgives JPEG noise.
    The tone is that of the flat cell of median brightness; counted are the flat cells whose mean is
    within 16 levels of it in every channel. A blank image gives 1, a page of text the share of its
    paper, a smooth sky only the part of one tone, noise and texture 0.
    """
    rows, columns = max(1, pixels.shape[0] // _CELL), max(1, pixels.shape[1] // _CELL)
    whole = pixels[: rows * _CELL, : columns * _CELL]
    if whole.shape[0] < _CELL or whole.shape[1] < _CELL:
        return float(int(np.ptp(pixels, axis=(0, 1)).max()) <= _CELL_RANGE)
    cells = whole.reshape(rows, _CELL, columns, _CELL, 3)
    flat = (cells.max(axis=(1, 3)) - cells.min(axis=(1, 3))).max(axis=2) <= _CELL_RANGE
    if not flat.any():
        return 0.0
    means = cells.mean(axis=(1, 3))[flat]
    tone = means[np.argsort(means.sum(axis=1), kind="stable")[len(means) // 2]]
    near = np.abs(means - tone).max(axis=1) <= _TONE_RANGE
    return float(near.sum() / flat.size)
