"""Where in an image the model saw what: the views' local margins merged into one map.

A map's unit is log-odds of AI, above 0 towards AI, below towards real: what the calibrated decision
would be if all of the image were like this place. What it explains is the decision, so views weigh
in it as they do there: one that the calibration gives weight 0 does not show, and places that no
weighted view covers hold NaN. Over the global view's square, if it alone has weight, the mean of its
cells is the log-odds of the probability that was answered.

The map is as coarse as the network: each view has one cell per 32 of its own pixels, stretched over
the view and interpolated between the cells' middles.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ._calibration import Calibration
from ._errors import AidetectError
from ._head import Head
from ._texture import SUPPORT, Look
from ._views import Box, Views

Array = NDArray[np.float32]

FULL_SIDE = 512
"""Longer side of a map's full form, in cells; images smaller than this have one cell a pixel."""

SMALL_SIDE = 48
"""Longer side of the form for caches: 2304 bytes before compression, so never above 4 KB."""

ZERO, STEP = 128, 32
"""A grey value stands for (value - ZERO) / STEP log-odds; 1 and 255 also for all beyond, 0 for NaN."""


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """A map of a whole image: `values` (rows, columns) float32 in log-odds, above 0 towards AI, NaN
    where the decision did not look; `width` and `height` of the image in pixels."""

    values: Array
    width: int
    height: int

    @property
    def peak(self) -> float:
        """The largest distance from 0; 0.0 for a map of nothing."""
        seen = self.values[np.isfinite(self.values)]
        return float(np.abs(seen).max()) if seen.size else 0.0

    def to_png(self) -> bytes:
        """8-bit grey, a pixel a cell: `ZERO`, `STEP`."""
        scaled = np.nan_to_num(np.rint(self.values * STEP + ZERO), nan=0.0)
        grey = np.where(np.isfinite(self.values), scaled.clip(1, 255), 0).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(grey).save(file, "PNG")
        return file.getvalue()

    @classmethod
    def from_png(cls, data: bytes, width: int, height: int) -> "HeatMap":
        """Inverse of `to_png`, to half a step; raises AidetectError for anything else."""
        try:
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                if image.mode != "L" or max(image.size) > FULL_SIDE:
                    raise ValueError("not a small grey image")
                grey = np.asarray(image, np.float32)
        except (OSError, ValueError, SyntaxError) as error:
            raise AidetectError(
                f"this is not a heat map of aidetect ({error}). Ask for it again."
            ) from None
        values = np.where(grey == 0, np.float32("nan"), (grey - ZERO) / np.float32(STEP))
        return cls(values.astype(np.float32), width, height)


@dataclass(frozen=True, slots=True, eq=False)
class Mapper:
    """Draws the maps of one model."""

    head: Head
    calibration: Calibration

    def draw(
        self,
        maps: Array,
        margins: Array,
        views: Sequence[Views],
        sizes: Sequence[tuple[int, int]],
        textures: Sequence[Look | None],
        side: int = FULL_SIDE,
    ) -> list[HeatMap]:
        """The maps of images of `sizes` (width, height), `side` places long at most, from what the
        network answered to all their views in order: N×C×h×w maps and N margins; `textures` of the
        images, None for a model without."""
        weighed = np.concatenate([self._weighed(len(one.kinds)) for one in views])
        cells = np.zeros((len(maps), *maps.shape[2:]), np.float32)
        cells[weighed] = self.head.cells(maps[weighed], margins[weighed])
        ends = np.cumsum([len(one.kinds) for one in views])[:-1]
        return [
            merge(own, one, self.calibration, size, side, texture)
            for own, one, size, texture in zip(
                np.split(cells, ends), views, sizes, textures, strict=True
            )
        ]

    def _weighed(self, count: int) -> NDArray[np.bool_]:
        """Which of an image's views the decision weighs: the others need no cells."""
        whole, crops, _, _ = self.calibration.weights(count)
        return np.array([whole > 0] + [crops > 0] * (count - 1))


def merge(
    cells: Array,
    views: Views,
    calibration: Calibration,
    size: tuple[int, int],
    side: int = FULL_SIDE,
    texture: Look | None = None,
) -> HeatMap:
    """One map of an image of `size` (width, height) from its views' cells (N×h×w, `Head.cells`) and its
    texture.

    At a place that only some views cover, these stand for all, as in `Calibration.view_probabilities`;
    where the texture alone looked, the views' mean does.
    """
    width, height = size
    share = min(1.0, side / max(size))
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    whole, crops, slope, constant = calibration.weights(len(cells))
    local, weight = np.zeros((2, rows, columns), np.float32)
    if whole:
        seen, stretched = _stretched(cells[0], views.boxes[0], size, local.shape)
        local += whole * np.where(seen, stretched, 0)
        weight += whole * seen
    if crops:
        added, count = np.zeros((2, rows, columns), np.float32)
        for one, box in zip(cells[1:], views.boxes[1:], strict=True):
            seen, stretched = _stretched(one, box, size, local.shape)
            added += np.where(seen, stretched, 0)
            count += seen
        local += crops * added / np.maximum(count, 1)
        weight += crops * (count > 0)
    covered = weight > 0
    values = (whole + crops) * local / np.where(covered, weight, 1) + constant
    if slope and texture is not None:
        seen, means = _texture(texture, size, local.shape)
        if covered.any():
            values[~covered] = values[covered].mean()
        values += slope * means
        covered |= seen
    return HeatMap(np.where(covered, values, np.nan).astype(np.float32), width, height)


def _texture(
    texture: Look, size: tuple[int, int], shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_], Array]:
    """Which places the texture looked at, and there the mean of the parts that cover them, each weighing
    as much as it saw of the place's surroundings. Where all saw little, as at an image's edges, it stays
    near the texture's margin, which is the mean of all and stands for the other places."""
    added, support = np.zeros((2, *shape), np.float32)
    covered = np.zeros(shape, bool)
    for cells, box in zip(texture.local, texture.boxes, strict=True):
        seen, weight = _stretched(SUPPORT, box, size, shape)
        _, stretched = _stretched(SUPPORT * (cells - texture.margin), box, size, shape)
        added += np.where(seen, stretched, 0)
        support += np.where(seen, weight, 0)
        covered |= seen
    apart = added / support.max()  # the mean of the parts, times how much they saw at all
    apart -= apart[covered].mean()
    return covered, np.where(covered, texture.margin + apart, np.float32(texture.margin))


def _stretched(
    cells: Array, box: Box, size: tuple[int, int], shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_], Array]:
    """Which places of a map of `shape` a view's box covers, and the view's cells over all of them."""
    left, top, right, bottom = box
    below, down = _axis(size[1], shape[0], top, bottom, cells.shape[0])
    beside, across = _axis(size[0], shape[1], left, right, cells.shape[1])
    stretched = np.asarray(down @ cells @ across.T, np.float32)
    return below[:, None] & beside[None, :], stretched


def _axis(length: int, places: int, low: int, high: int, cells: int) -> tuple[NDArray[np.bool_], Array]:
    """Along one side: the places whose middle lies in low…high, and the places×cells weights of linear
    interpolation between the cells' middles. A box narrower than a place keeps the one it lies in."""
    middles = (np.arange(places) + 0.5) * length / places
    seen = (middles >= low) & (middles < high)
    if not seen.any():
        seen[min(places - 1, int((low + high) / 2 * places / length))] = True
    at = ((middles - low) / (high - low) * cells - 0.5).clip(0, cells - 1)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells)))
    return seen, weights.astype(np.float32)
