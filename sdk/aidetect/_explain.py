"""`Explanation`: a verdict with the map of where the model saw it, and pictures of both."""

import io
import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import _picture
from ._errors import ConfigurationError
from ._heatmap import HeatMap
from ._spectrum import power_spectrum
from ._text import printable
from ._verdict import Verdict

Kind = Literal["overlay", "side-by-side", "raw", "spectrum"]
KINDS: tuple[Kind, ...] = ("overlay", "side-by-side", "raw", "spectrum")

_LONG_SIDE = (448, 1024)
"""Of the pictures of an image, in pixels: smaller images are enlarged, so that a legend fits."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why: where in the image the model saw what decided.

    The map explains the decision, so it shows the views as the model's calibration weighs them: with a
    model that gives its native crops no weight, as the shipped one, the global view alone, and so the
    image's centre square in 4×4 cells. It says where, never what, and is only as good as the model.
    """

    verdict: Verdict
    heat_map: HeatMap
    picture: NDArray[np.uint8]
    """The image, brought to the size of the pictures."""
    power: NDArray[np.float32]
    """Power spectrum of the image's luminance, (128, 128), frequency 0 in the middle; smaller for
    images with a shorter side."""

    @property
    def array(self) -> NDArray[np.float32]:
        """The map over the whole image, at most 512 places long: the log-odds that the decision would
        have if all were like that place, above 0 towards AI, NaN where it did not look."""
        return self.heat_map.values

    def overlay(self) -> Image.Image:
        """The map over the image, with signs and a legend."""
        return _picture.overlay(self.picture, self.heat_map, self.verdict)

    def side_by_side(self) -> Image.Image:
        """The image beside the overlay."""
        return _picture.side_by_side(self.picture, self.heat_map, self.verdict)

    def raw(self) -> Image.Image:
        """`array` as 8-bit grey: 128 + 32 × log-odds within 1…255, 0 where the decision did not look."""
        with Image.open(io.BytesIO(self.heat_map.to_png())) as image:
            return image.copy()

    def spectrum(self) -> Image.Image:
        """The power spectrum, and its mean over directions. To look at: it decided nothing."""
        return _picture.spectrum(self.power)

    def save(self, path: "str | os.PathLike[str]", kind: Kind = "overlay") -> None:
        """Writes a picture as PNG. Raises ConfigurationError for an unknown kind, or where the file
        cannot be written."""
        drawn = {
            "overlay": self.overlay,
            "side-by-side": self.side_by_side,
            "raw": self.raw,
            "spectrum": self.spectrum,
        }
        if kind not in drawn:
            raise ConfigurationError(f"no picture '{printable(kind)}': choose {', '.join(KINDS)}")
        image = drawn[kind]()
        try:
            image.save(path, "PNG")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or printable(str(error))
            raise ConfigurationError(
                f"{printable(os.fsdecode(path))} cannot be written ({reason}). Name another file."
            ) from None

    def _repr_png_(self) -> bytes:
        """How notebooks show it."""
        file = io.BytesIO()
        self.side_by_side().save(file, "PNG")
        return file.getvalue()


def explanation(verdict: Verdict, heat_map: HeatMap, pixels: NDArray[np.uint8]) -> Explanation:
    """From the decoded image (H, W, 3) uint8, of which a copy for the pictures is kept."""
    height, width = pixels.shape[:2]
    low, high = _LONG_SIDE
    share = min(high, max(low, width, height)) / max(width, height)
    size = max(1, round(width * share)), max(1, round(height * share))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return Explanation(verdict, heat_map, np.asarray(picture), power_spectrum(pixels))
