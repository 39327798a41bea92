"""A hand-made statistic beside the network: which residuals stand next to each other, and how often.

Cameras, hands and generators differ in how fine differences follow each other, and this survives
scaling and compression better than what a small network learns (see `training/texture.md`). The
features are co-occurrences as in steganalysis (Fridrich and Kodovský 2012), of luminance and two colour
differences on a pyramid of the view; the margin is a weighted sum of their square roots, fitted by
`aidetect-train texture`. Noise and blur undo it: a second sum tells where they are unlike what the first
was fitted on, and there a third one speaks, which was fitted on these too. A part of an image has a
margin of its own, so the map needs no gradient: each place tells what would be said of its surroundings
alone.
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

VERSION = 2
"""Version of features and sums; weights are fitted to one."""

LEVELS = 2
"""The view and its half."""

RESIDUALS = ((2, 2), (3, 3), (2, 1))
"""(order of the difference, step of its quantisation)."""

CELLS = 16
"""Rows and columns of the map of a view."""

SPREAD = 2.0
"""Standard deviation, in cells, of the Gaussian window around a place whose margin its cell shows."""

CORNER = 0.6
"""Share of the centre square's side that a corner has."""

_CUT = 2
_VALUES = 2 * _CUT + 1


def _alike() -> NDArray[np.intp]:
    """Class of each of the 125 triples under mirroring and negation."""
    names: dict[tuple[int, ...], int] = {}
    found = []
    for triple in product(range(-_CUT, _CUT + 1), repeat=3):
        negated = tuple(-value for value in triple)
        key = min(triple, triple[::-1], negated, negated[::-1])
        found.append(names.setdefault(key, len(names)))
    return np.array(found)


_CLASS = _alike()
_CLASSES = int(_CLASS.max()) + 1

PARTS = LEVELS * 3 * len(RESIDUALS)
LENGTH = PARTS * _CLASSES
"""Number of features."""


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
    return _roots(_totals(view)).ravel()


def _roots(counts: Array) -> Array:
    """Square roots of the shares, which add up to 1 along the last axis."""
    roots: Array = np.sqrt(counts / counts.sum(axis=-1, keepdims=True))
    return roots


def _totals(view: NDArray[np.uint8]) -> Array:
    """(`PARTS`, classes): how often triples of each class begin in the view."""
    found = [sum(np.bincount(code.ravel(), minlength=len(_CLASS)) for code in codes)
             for codes in _parts(view)]  # fmt: skip
    return np.array([np.bincount(_CLASS, counts, _CLASSES) for counts in found], np.float32)


def _counts(view: NDArray[np.uint8]) -> Array:
    """(`PARTS`, `CELLS`², classes): how often triples of each class begin in each cell."""
    size = CELLS * CELLS * _CLASSES
    found = [
        sum(np.bincount((_CLASS[code] + _cells(code.shape, turned)).ravel(), minlength=size)
            for turned, code in enumerate(codes))
        for codes in _parts(view)
    ]  # fmt: skip
    return np.array(found, np.float32).reshape(PARTS, CELLS * CELLS, _CLASSES)


@lru_cache(maxsize=64)
def _cells(shape: tuple[int, int], turned: int) -> NDArray[np.intp]:
    """Of each place the first index of its cell's counts."""
    lines, places = (np.arange(length) * CELLS // length for length in shape)
    cell = np.add.outer(lines, places * CELLS) if turned else np.add.outer(lines * CELLS, places)
    return cell * _CLASSES


def _parts(view: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Codes of the triples along rows, and along columns, turned, of each part in order."""
    for _ in range(LEVELS):
        red, green, blue = np.moveaxis(view.astype(np.int16), 2, 0)
        for plane in ((red + 2 * green + blue) // 4, red - green, blue - green):
            turned = np.ascontiguousarray(plane), np.ascontiguousarray(plane.T)
            for order, step in RESIDUALS:
                along, down = (_codes(one, order, step) for one in turned)
                yield along, down
        view = _halved(view)


def _codes(plane: NDArray[np.int16], order: int, step: int) -> NDArray[np.uint8]:
    """Which of the 125 triples begins at each place of each row."""
    residual = np.diff(plane, order, axis=1)
    value = np.full(residual.shape, _CUT, np.uint8)
    for limit in _LIMITS[step]:
        value += residual >= limit
        value -= residual <= -limit
    codes: NDArray[np.uint8] = (value[:, :-2] * _VALUES + value[:, 1:-1]) * _VALUES + value[:, 2:]
    return codes


def _halved(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of 2×2 pixels."""
    rows, columns = view.shape[0] // 2, view.shape[1] // 2
    cells = view[: 2 * rows, : 2 * columns].astype(np.uint16).reshape(rows, 2, columns, 2, 3)
    halved: NDArray[np.uint8] = ((cells.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
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
        """(…,) of features (…, `PARTS`, classes)."""
        weights = self.weights.reshape(PARTS, _CLASSES)
        told: Array = np.einsum("...pc,pc->...", roots, weights) + np.float32(self.constant)
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
        """At an image (H, W, 3) uint8 sRGB; a map takes a third more time."""
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
        roots = _roots(_totals(view) if counts is None else counts.sum(axis=1))
        share = min(max(float(self.strange(roots)), 0.0), 1.0)
        mixed = self.margin.mixed(self.worn, share)
        margin = float(mixed(roots))
        if counts is None:
            return margin, np.empty((0, 0), np.float32)
        # Products small enough for one thread: this runs in threads of its own.
        rows = _WINDOW @ counts.reshape(PARTS, CELLS, CELLS * _CLASSES)
        windows = _WINDOW @ rows.reshape(PARTS, CELLS, CELLS, _CLASSES)
        return margin, mixed(np.moveaxis(_roots(windows), 0, 2))

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
