"""The mark that NovelAI and extensions of web UIs hide in the lowest bits of an image's pixels."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

_ALPHA = ("stealth_pnginfo", "stealth_pngcomp")
_COLOURS = ("stealth_rgbinfo", "stealth_rgbcomp")
_BITS = 8 * len(_ALPHA[0])


def hidden_mark(image: "Image") -> str | None:
    """The mark that the alpha channel, or else the colours, of a loaded RGB or RGBA image begin with.

    The bits run down the columns, the highest of a byte first; of colours red, green and blue of a
    pixel follow each other. Only the columns that hold the mark are looked at; what follows it is the
    prompt and is left there. Chance writes 120 such bits never, and any lossy compression destroys
    them.
    """
    if image.mode not in ("RGB", "RGBA"):
        return None
    columns = min(image.width, -(-_BITS // max(1, image.height)))
    lowest = np.asarray(image.crop((0, 0, columns, image.height))).transpose(1, 0, 2) & 1
    alpha = _begin(lowest[..., 3:]) if image.mode == "RGBA" else b""
    colours = _begin(lowest[..., :3])
    found = [mark for mark in _ALPHA if alpha == mark.encode()]
    found += [mark for mark in _COLOURS if colours == mark.encode()]
    return found[0] if found else None


def _begin(bits: NDArray[Any]) -> bytes:
    return np.packbits(bits.reshape(-1)[:_BITS]).tobytes()
