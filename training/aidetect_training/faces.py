"""Where the face is in a run of frames: one square for all of them, cut out of each.

Detectors of forged faces are shown faces alone (FaceForensics++, Rössler et al. 2019, section 4). Here a
face is found by the cascade for frontal ones that OpenCV 4 carries (Viola and Jones 2001; Lienhart and
Maydt 2002), so that nothing is fetched; those that are turned far away it does not find. The square
stays where it is from frame to frame: one that was found anew in each would tremble, and a sequence
model would see that.
"""

import functools
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aidetect import MissingExtraError

MARGIN = 1.3
"""Side of the square in sides of the face, as FaceForensics++ has it."""

LOOKS = 5
"""Frames of a run in which a face is looked for, evenly spread: at least so many, or all. Looking takes
longer than decoding."""

LOOKED_AT = 480
"""Long side in pixels to which frames are scaled down before a face is looked for."""

SMALLEST = 0.1
"""Side of the smallest face that is looked for, in short sides of the frame."""

NEIGHBOURS = 3
"""Boxes beside each other that make a face."""

CASCADE = "haarcascade_frontalface_alt2.xml"

Box = tuple[float, float, float]
"""Centre x, centre y and side of a square, in pixels."""


def import_cv2() -> Any:
    """OpenCV. Raises MissingExtraError where it is missing, or is one without cascades, as 5 is."""
    try:
        cv2 = importlib.import_module("cv2")
        if hasattr(cv2, "CascadeClassifier") and (Path(cv2.data.haarcascades) / CASCADE).is_file():
            return cv2
    except ImportError:
        pass
    raise MissingExtraError(
        "faces are found by OpenCV 4, which is not installed. From a clone of aidetect: "
        "pip install '.[faces]'."
    )


@functools.cache
def _cascade() -> Any:
    cv2 = import_cv2()
    cv2.setNumThreads(1)  # each of the loader's processes has a core of its own
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / CASCADE))


def largest_face(frame: np.ndarray) -> Box | None:
    """The largest face in a frame (height, width, 3), sRGB uint8; None where there is none."""
    image = Image.fromarray(frame).convert("L")
    scale = max(1.0, max(image.size) / LOOKED_AT)
    small = image.resize((round(image.width / scale), round(image.height / scale)), Image.Resampling.BOX)
    least = max(20, round(SMALLEST * min(small.size)))
    found = _cascade().detectMultiScale(
        np.asarray(small), scaleFactor=1.1, minNeighbors=NEIGHBOURS, minSize=(least, least)
    )
    if not len(found):
        return None
    left, top, width, height = max(found.tolist(), key=lambda box: (box[2] * box[3], *box))
    return (left + width / 2) * scale, (top + height / 2) * scale, max(width, height) * scale


def middle_box(boxes: Sequence[Box]) -> Box:
    """The one that is nearest to all: a median by numbers could lie between two people."""
    numbers = np.array(boxes)
    distances = np.abs(numbers[:, None] - numbers[None]).sum((1, 2))
    return boxes[int(distances.argmin())]


def cut_out(frames: Sequence[np.ndarray]) -> tuple[list[Image.Image], bool]:
    """A square of each frame, the same of all, and whether a face was found: the face of `middle_box`
    with its margin, moved and made smaller as the frame wants it; without a face, the largest square in
    the middle."""
    height, width = frames[0].shape[:2]
    looked_at = frames[:: max(1, len(frames) // LOOKS)]
    boxes = [box for box in map(largest_face, looked_at) if box]
    x, y, side = middle_box(boxes) if boxes else (width / 2, height / 2, float(max(width, height)))
    whole = min(round(MARGIN * side), width, height)
    left = min(max(round(x - whole / 2), 0), width - whole)
    top = min(max(round(y - whole / 2), 0), height - whole)
    square = (left, top, left + whole, top + whole)
    return [Image.fromarray(frame).crop(square) for frame in frames], bool(boxes)
