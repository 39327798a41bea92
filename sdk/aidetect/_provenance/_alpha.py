"""The mark that NovelAI hides in the lowest bits of an image's alpha channel."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_MARKS = ("stealth_pnginfo", "stealth_pngcomp")
_BITS = 8 * len(_MARKS[0])


def alpha_mark(image: "Image") -> str | None:
    """`stealth_pnginfo` or `stealth_pngcomp` where the alpha channel of an RGBA image begins with it.

    The bits run down the columns, the highest of a byte first. Only the columns that hold the mark
    are looked at; what follows it is the prompt and is left there. Chance writes 120 such bits
    never, and any lossy compression destroys them.
    """
    if image.mode != "RGBA":
        return None
    columns = min(image.width, -(-_BITS // max(1, image.height)))
    alpha = image.crop((0, 0, columns, image.height)).getchannel("A")
    lowest = np.asarray(alpha).T.reshape(-1)[:_BITS] & 1
    begin = np.packbits(lowest).tobytes()
    return next((mark for mark in _MARKS if begin == mark.encode()), None)
