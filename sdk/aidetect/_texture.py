"""A hand-made statistic beside the network: which residuals stand next to each other, and how often.

Cameras, hands and generators differ in how fine differences follow each other, and this survives
scaling and compression better than what a small network learns (see `training/texture.md`). The
features are co-occurrences as in steganalysis (Fridrich and Kodovský 2012), of luminance and two colour
differences, and local binary patterns (Ojala, Pietikäinen and Mäenpää 2002) of luminance, on a pyramid
of the view; the margin is a weighted sum of their square roots, fitted by `aidetect-train texture`.
Noise and blur undo it: a second sum tells where they are unlike what the first was fitted on, and there
a third one speaks, which was fitted on these too. A part of an image has a margin of its own, so the map
needs no gradient: each place tells what would be said of its surroundings alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import ModelIntegrityError
from ._views import Box, centre_square, scaled_square

Array = NDArray[np.float32]

VERSION = 3
"""Version of features and sums; weights are fitted to one."""

LEVELS = 3
"""The view, its half and its quarter."""

COOCCURRING = 2
"""Levels, from the first, whose residuals are counted; patterns are on all."""

RESIDUALS = ((2, 2), (3, 3), (2, 1))
"""(order of the difference, step of its quantisation)."""

BRIGHTER = (0, 8)
"""By more than how many quarters of a level a neighbour has to be brighter to be so in a pattern."""

CELLS = 16
"""Rows and columns of the map of a view."""

SPREAD = 2.0
"""Standard deviation, in cells, of the Gaussian window around a place whose margin its cell shows."""

CORNER = 0.6
"""Share of the centre square's side that a corner has."""

_CUT = 2
_VALUES = 2 * _CUT + 1


def _triples() -> NDArray[np.intp]:
    """Class of each of the 125 triples under mirroring and negation."""
    names: dict[tuple[int, ...], int] = {}
    found = []
    for triple in product(range(-_CUT, _CUT + 1), repeat=3):
        negated = tuple(-value for value in triple)
        key = min(triple, triple[::-1], negated, negated[::-1])
        found.append(names.setdefault(key, len(names)))
    return np.array(found)


def _patterns() -> NDArray[np.intp]:
    """Class of each of the 256 patterns of a ring of neighbours under rotation and reflection."""
    names: dict[tuple[int, ...], int] = {}
    found = []
    for ring in product((0, 1), repeat=8):
        key = min(way[n:] + way[:n] for way in (ring, ring[::-1]) for n in range(8))
        found.append(names.setdefault(key, len(names)))
    return np.array(found)


_TRIPLES, _PATTERNS = _triples(), _patterns()

COOCCURRENCES = COOCCURRING * 3 * len(RESIDUALS)
"""Parts of the features that are of residuals; they come first."""

SIZES = [int(_TRIPLES.max()) + 1] * COOCCURRENCES + [int(_PATTERNS.max()) + 1] * LEVELS * len(BRIGHTER)
"""Number of features in each part."""

LENGTH = sum(SIZES)
"""Number of features."""

_STARTS = np.cumsum([0, *SIZES[:-1]])

_RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""Where the neighbours are, one beside the other."""


def _window() -> Array:
    """(`CELLS`, `CELLS`): what each cell adds along one side to the window around each."""
    apart = np.subtract.outer(np.arange(CELLS), np.arange(CELLS))
    weights: Array = np.exp(-((apart / SPREAD) ** 2) / 2).astype(np.float32)
    return weights


_WINDOW = _window()
_SUPPORT = _WINDOW.sum(axis=1) / _WINDOW.sum(axis=1).max()

SUPPORT: Array = np.outer(_SUPPORT, _SUPPORT)
"""(`CELLS`, `CELLS`): how much of a window lies in the view, 1 in the middle."""


def _limits(step: int) -> list[int]:
    """The smallest residuals that are 1, 2, … steps, rounded."""
    return [next(r for r in range(step * n + 1) if np.rint(r / step) >= n) for n in range(1, _CUT + 1)]


_LIMITS = {step: _limits(step) for _, step in RESIDUALS}


def features(view: NDArray[np.uint8]) -> Array:
    """(`LENGTH`,) of a view (S, S, 3) uint8 sRGB, S from 64: the square roots of shares, which add up to
    1 in each part."""
    return _roots(_totals(view))


def _roots(counts: Array) -> Array:
    """Square roots of the shares, which add up to 1 in each part of the last axis."""
    sums = np.add.reduceat(counts, _STARTS, axis=-1)
    roots: Array = np.sqrt(counts / np.repeat(sums, SIZES, axis=-1))
    return roots


def _totals(view: NDArray[np.uint8]) -> Array:
    """(`LENGTH`,): how often each class occurs in the view."""
    found = [
        _by_class(np.bincount(np.concatenate(codes, axis=None), minlength=len(classes)), classes)
        for classes, codes in _parts(view)
    ]
    return np.concatenate(found, dtype=np.float32, casting="same_kind")


def _counts(view: NDArray[np.uint8]) -> Array:
    """(`CELLS`, `CELLS`, `LENGTH`): how often each class occurs in each cell."""
    found = []
    for classes, codes in _parts(view):
        kinds = len(classes)
        placed = [_cells(code.shape, turned, kinds) + code for turned, code in enumerate(codes)]
        counts = np.bincount(np.concatenate(placed, axis=None), minlength=kinds * CELLS**2)
        found.append(_by_class(counts.reshape(CELLS, CELLS, kinds), classes))
    return np.concatenate(found, axis=2, dtype=np.float32, casting="same_kind")


def _by_class(counts: NDArray[np.intp], classes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Counts (…, codes) summed over the codes of each class (codes,): (…, classes)."""
    order = np.argsort(classes, kind="stable")
    firsts = np.flatnonzero(np.diff(classes[order], prepend=-1))
    summed: NDArray[np.intp] = np.add.reduceat(counts[..., order], firsts, axis=-1)
    return summed


@lru_cache(maxsize=64)
def _cells(shape: tuple[int, int], turned: int, kinds: int) -> NDArray[np.intp]:
    """Of each place the first index of its cell's counts, one for each of the kinds."""
    lines, places = (np.arange(length) * CELLS // length for length in shape)
    cell = np.add.outer(lines, places * CELLS) if turned else np.add.outer(lines * CELLS, places)
    return cell * kinds


def _parts(view: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.intp], list[NDArray[np.uint8]]]]:
    """Of each part in order the class of each code, and the codes: of triples along rows, and along
    columns, turned; or of patterns."""
    levels = [np.moveaxis(one.astype(np.int16), 2, 0) for one in _pyramid(view)]
    for red, green, blue in levels[:COOCCURRING]:
        for plane in ((red + 2 * green + blue) // 4, red - green, blue - green):
            turned = np.ascontiguousarray(plane), np.ascontiguousarray(plane.T)
            for order, step in RESIDUALS:
                yield _TRIPLES, [_codes(one, order, step) for one in turned]
    for red, green, blue in levels:
        luminance = red + 2 * green + blue
        for least in BRIGHTER:
            yield _PATTERNS, [_rings(luminance, least)]


def _rings(plane: NDArray[np.int16], least: int) -> NDArray[np.uint8]:
    """Which of the 256 patterns is around each place that has eight neighbours."""
    rows, columns = plane.shape[0] - 2, plane.shape[1] - 2
    limit = plane[1:-1, 1:-1] + np.int16(least)
    codes = np.zeros(limit.shape, np.uint8)
    for down, right in _RING:
        codes += codes
        codes += plane[1 + down : 1 + down + rows, 1 + right : 1 + right + columns] > limit
    return codes


def _codes(plane: NDArray[np.int16], order: int, step: int) -> NDArray[np.uint8]:
    """Which of the 125 triples begins at each place of each row."""
    residual = np.diff(plane, order, axis=1)
    value = np.full(residual.shape, _CUT, np.uint8)
    for limit in _LIMITS[step]:
        value += residual >= limit
        value -= residual <= -limit
    codes: NDArray[np.uint8] = (value[:, :-2] * _VALUES + value[:, 1:-1]) * _VALUES + value[:, 2:]
    return codes


def _pyramid(view: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The view and what is below it, `LEVELS` in all."""
    levels = [view]
    while len(levels) < LEVELS:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of 2×2 pixels."""
    even = view[: view.shape[0] // 2 * 2, : view.shape[1] // 2 * 2].astype(np.uint16)
    rows = even[::2] + even[1::2]
    halved: NDArray[np.uint8] = ((rows[:, ::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)
    return halved


def squares(width: int, height: int) -> list[Box]:
    """The parts of an image that are looked at: the centre square, then the four corners."""
    side = min(width, height)
    small = max(1, round(CORNER * side))
    lefts, tops = (0, width - small), (0, height - small)
    corners = [(x, y, x + small, y + small) for y in tops for x in lefts]
    return [centre_square(width, height), *corners]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a texture says of one image: `margins` (n,) of the parts in `boxes` (left, top, right, bottom
    in source pixels), and `local` (n, `CELLS`, `CELLS`), those of the surroundings of each place, or
    (n, 0, 0) where no map was asked for."""

    boxes: tuple[Box, ...]
    margins: Array
    local: Array

    @property
    def margin(self) -> float:
        """Above 0 where the image looks more like AI; the centre weighs as much as all corners."""
        return float(self.margins[0] + self.margins[1:].mean()) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """`weights` (`LENGTH`,) of the features, and a constant."""

    weights: Array
    constant: float

    def __call__(self, roots: Array) -> Array:
        """(…,) of features (…, `LENGTH`)."""
        told: Array = np.einsum("...f,f->...", roots, self.weights) + np.float32(self.constant)
        return told

    def mixed(self, other: "Sum", share: float) -> "Sum":
        """With a share of another."""
        own = 1 - share
        weights = np.float32(own) * self.weights + np.float32(share) * other.weights
        return Sum(weights, own * self.constant + share * other.constant)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Sum":
        """Raises KeyError, TypeError or ValueError where they are not of this form."""
        weights, constant = np.array(values["weights"], np.float32), float(values["constant"])
        if weights.shape != (LENGTH,) or not np.isfinite([constant, *weights]).all():
            raise ValueError(f"wanted a finite constant and {LENGTH} finite weights")
        return cls(weights, constant)


NOTHING = Sum(np.zeros(LENGTH, np.float32), 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Texture:
    """What a model makes of views of `view_size` pixels a side: `margin`, a weighted sum of features. Of
    views with more noise or blur than it was fitted on, `strange` is above 0; from 1 on `worn` stands in
    its place, between the two are mixed."""

    margin: Sum
    view_size: int
    strange: Sum = NOTHING
    worn: Sum = NOTHING

    def look(self, pixels: NDArray[np.uint8], heat_map: bool = True) -> Look:
        """At an image (H, W, 3) uint8 sRGB; a map takes nearly as long again."""
        boxes = squares(pixels.shape[1], pixels.shape[0])
        told = [self.margins(scaled_square(pixels, box, self.view_size), heat_map) for box in boxes]
        return Look(
            tuple(boxes),
            np.array([margin for margin, _ in told], np.float32),
            np.stack([local for _, local in told]),
        )

    def margins(self, view: NDArray[np.uint8], heat_map: bool = True) -> tuple[float, Array]:
        """Of a view (S, S, 3), and (`CELLS`, `CELLS`) of the surroundings of its places, or (0, 0)."""
        counts = _counts(view) if heat_map else None
        roots = _roots(_totals(view) if counts is None else counts.sum(axis=(0, 1)))
        share = min(max(float(self.strange(roots)), 0.0), 1.0)
        mixed = self.margin.mixed(self.worn, share)
        margin = float(mixed(roots))
        if counts is None:
            return margin, np.empty((0, 0), np.float32)
        # Products small enough for one thread: this runs in threads of its own.
        windows = _WINDOW @ (_WINDOW @ counts).swapaxes(0, 1)
        return margin, mixed(_roots(windows)).T

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Texture":
        """From a manifest's `texture`; raises ModelIntegrityError where it is not of this form."""
        try:
            if values["version"] != VERSION:
                raise ValueError(f"version {values['version']}; this one knows {VERSION}")
            sums = [Sum.from_dict(values[key]) for key in ("margin", "strange", "worn")]
            size = int(values["view_size"])
            if not 64 <= size <= 1024:
                raise ValueError("wanted a view size of 64 to 1024")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelIntegrityError(f"the manifest's texture cannot be used: {error}") from None
        return cls(sums[0], size, *sums[1:])
