"""Small pictures for a report: the image, and where the model saw what, to lay over it."""

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .._errors import AidetectError, ServiceError
from .._image import decode
from .._reading import read
from ._journal import Row
from ._report import Picture

if TYPE_CHECKING:
    from .._detector import Detector
    from .._heatmap import HeatMap

SIDE = 192
"""Longer side of a picture in pixels."""

_MAP_SIDE = 48
_OPAQUE = 230


def draw(detector: "Detector", row: Row, max_bytes: int) -> Picture | None:
    """A row's picture; without a map where the detector gives none, None where the file is gone or
    has changed for the worse. Checks the image again for the map."""
    try:
        explained = detector.explain(row.path)
        return _jpeg(Image.fromarray(explained.picture)), _overlay(explained.heat_map)
    except ServiceError:
        pass
    except AidetectError:
        return None
    try:
        return _jpeg(Image.fromarray(decode(read(row.path, max_bytes)).pixels)), None
    except AidetectError:
        return None


def _jpeg(image: Image.Image) -> bytes:
    image.thumbnail((SIDE, SIDE), reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=70)
    return file.getvalue()


def _overlay(heat_map: "HeatMap") -> bytes:
    """Colours of the map, transparent where the decision did not look."""
    from .._picture import colours, scale_of

    values = heat_map.values
    step = max(1, -(-max(values.shape) // _MAP_SIDE))
    rows, columns = (slice(min(step // 2, places - 1), None, step) for places in values.shape)
    values = values[rows, columns]
    alpha = np.where(np.isfinite(values), _OPAQUE, 0).astype(np.uint8)
    pixels = np.dstack([colours(values, scale_of(heat_map)), alpha])
    file = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "PNG", optimize=True)
    return file.getvalue()
