"""Reads an image safely: bytes, a PIL image or an array in, upright 8-bit sRGB pixels out.

The bytes are a stranger's. Their content decides which one of the allowed decoders opens them,
the pixel limit is applied to the header before anything is decoded, and whatever goes wrong
leaves as a typed error. No global of Pillow is changed, so that a program using both is safe:
the decoder classes are called directly, which is what `Image.open(formats=…)` does less its own
pixel limit and its warning.

What the pixels go through, here and in `_pixels.py`, is the first half of the preprocessing
contract (`_views.CONTRACT`): decode, first frame, 16-bit and float to 8 bits, ICC profile to sRGB,
alpha on white, EXIF orientation.
"""

import importlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ._errors import (
    AidetectError,
    CorruptImageError,
    InvalidArrayError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from ._image_format import identify, label_of, refused
from ._image_header import gif_frames, orientation, png_parts, tiff_pages, webp_size
from ._pixels import to_pixels
from ._provenance._stealth import hidden_mark
from ._text import printable

MAX_PIXELS = 50_000_000
FIRST_OF_FRAMES = "first_of_frames"

_WARNING_FORMATS = frozenset({"GIF", "AVIF", "HEIF", "TIFF", "MPO"})
"""Formats whose readers warn about flawed metadata or large frames while they parse a header."""

_QUIET_LOCK = threading.Lock()

_LOADING = tuple(threading.Lock() for _ in range(61))
"""One is held, chosen by an image's id, while it is loaded: Pillow lets no two threads do that."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """One image as the model's preprocessing wants it."""

    pixels: NDArray[np.uint8]
    """(height, width, 3), sRGB, upright, contiguous; may be read-only, may be the caller's array."""
    width: int
    height: int
    format: str
    """Pillow's name ("JPEG", "PNG", "HEIF", …); "PIL" or "array" where no file was read."""
    frames: int = 1
    notes: tuple[str, ...] = ()
    """`first_of_frames`: the file holds several frames or pages and the first was taken;
    `stealth_pnginfo` and the like: a mark in the lowest bits of its pixels (`_provenance._stealth`)."""


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> DecodedImage:
    """The image in `data`. `name` is what messages call it, untrusted, never used to decide.

    Raises NotAnImageError, UnsupportedFormatError, CorruptImageError or TooManyPixelsError.
    """
    form = identify(data, name)
    with _typed_errors(name, form):
        file, frames, exif = _open(form, data, max_pixels, name)
        with file:
            _check_size(file.size, max_pixels, name)
            with _quiet() if form == "TIFF" else nullcontext():
                file.load()
            if exif is None:
                exif = file.info.get("exif")
            mark = hidden_mark(file)
            pixels = to_pixels(file, orientation(exif))
    return _decoded(pixels, form, frames, first=True, mark=mark)


def pixel_count(data: bytes) -> int:
    """How many pixels `decode` would decode, by the header alone: for who has to find the memory first.

    Raises what `decode` raises where the header cannot be read.
    """
    form = identify(data, None)
    with _typed_errors(None, form):
        file, _, _ = _open(form, data, MAX_PIXELS, None)
        with file:
            return file.size[0] * file.size[1]


def from_pil(
    image: Image.Image, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> DecodedImage:
    """The caller's PIL image through the same steps; it is loaded but not changed.

    Of several frames the one that the caller has selected is taken. An orientation or a profile
    that the image still carries in its `info` is applied.
    """
    form = image.format or "PIL"
    with _typed_errors(name, form), _LOADING[id(image) % len(_LOADING)]:
        _check_size(image.size, max_pixels, name)
        guard: AbstractContextManager[None] = _quiet() if form in _WARNING_FORMATS else nullcontext()
        with guard:
            frames = 1 if form == "MPO" else int(getattr(image, "n_frames", 1))
            image.load()
        pixels = to_pixels(image, orientation(image.info.get("exif")))
    return _decoded(pixels, form, frames, first=image.tell() == 0)


def from_array(array: object) -> DecodedImage:
    """A uint8 array H×W×3 in RGB order; not copied if it is contiguous.

    Raises InvalidArrayError for anything else: a guess at the meaning of floats, of a fourth
    channel or of channels that come first would be a silent wrong answer.
    """
    wanted = "wanted a NumPy array of dtype uint8 and shape (height, width, 3), RGB"
    if not isinstance(array, np.ndarray):
        raise InvalidArrayError(f"Got {type(array).__name__}; {wanted}.")
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise InvalidArrayError(
            f"Got an array of dtype {printable(str(array.dtype), 60)} and shape {array.shape}; {wanted}."
        )
    return _decoded(np.ascontiguousarray(array), "array", 1, first=True)


def _decoded(
    pixels: NDArray[np.uint8], form: str, frames: int, *, first: bool, mark: str | None = None
) -> DecodedImage:
    height, width = pixels.shape[:2]
    notes = ((FIRST_OF_FRAMES,) if frames > 1 and first else ()) + ((mark,) if mark else ())
    return DecodedImage(pixels, width, height, form, frames, notes)


class _QuietJpegFile(JpegImageFile):
    """Leaves EXIF alone while opening: Pillow looks for a resolution there and warns about flaws."""

    def _read_dpi_from_exif(self) -> None:
        return


def _open(
    form: str, data: bytes, max_pixels: int, name: str | None
) -> tuple[ImageFile.ImageFile, int, bytes | None]:
    """The opened, not yet decoded file, its number of frames, and EXIF that Pillow is not shown."""
    if form == "JPEG":
        return _QuietJpegFile(BytesIO(data)), 1, None
    if form == "PNG":
        parts = png_parts(data)
        return PngImageFile(BytesIO(parts.data)), parts.frames, parts.exif
    if form == "WEBP":
        _require(form, name)
        if (size := webp_size(data)) is not None:
            _check_size(size, max_pixels, name)
        webp = WebPImageFile(BytesIO(data))
        return webp, webp.n_frames, None
    if form == "BMP":
        return BmpImageFile(BytesIO(data)), 1, None
    frames = gif_frames(data) if form == "GIF" else 1
    with _quiet():
        if form == "GIF":
            return GifImageFile(BytesIO(data)), frames, None
        if form == "AVIF":
            _require(form, name)
            avif = AvifImageFile(BytesIO(data))
            return avif, avif.n_frames, None
        if form == "TIFF":
            tiff = TiffImageFile(BytesIO(data))
            if _DNG_VERSION in tiff.tag_v2 or tiff.tag_v2.get(_NEW_SUBFILE_TYPE) == _REDUCED:
                raise refused(name, "a camera raw file")
            return tiff, tiff_pages(data), None
        return _open_heif(data, name)


_DNG_VERSION, _NEW_SUBFILE_TYPE, _REDUCED = 50706, 254, 1
"""TIFF tags of DNG and NEF files, whose first directory is a thumbnail and not the photograph."""


def _open_heif(data: bytes, name: str | None) -> tuple[ImageFile.ImageFile, int, bytes | None]:
    try:
        reader = importlib.import_module("pillow_heif")
    except ImportError:
        raise UnsupportedFormatError(
            f"{label_of(name)} is a HEIC image, and reading those is an extra part. "
            "Install it (pip install '.[heif]' in a clone of it), or export the image as JPEG.",
            input=name,
        ) from None
    heif: ImageFile.ImageFile = reader.HeifImageFile(BytesIO(data))
    return heif, int(getattr(heif, "n_frames", 1)), None


def _require(form: str, name: str | None) -> None:
    if not features.check(form.lower()):
        raise UnsupportedFormatError(
            f"{label_of(name)} is {form}, which this build of Pillow cannot read. "
            "Install Pillow's own wheel (pip install --force-reinstall pillow), or export as JPEG.",
            input=name,
        )


def _check_size(size: tuple[int, int], max_pixels: int, name: str | None) -> None:
    width, height = size
    if width * height > max_pixels:
        raise TooManyPixelsError(
            f"{label_of(name)} has {width:,} × {height:,} pixels, more than the limit of "
            f"{max_pixels:,}. Use a smaller copy, or raise the limit.",
            input=name,
        )


@contextmanager
def _typed_errors(name: str | None, form: str) -> Iterator[None]:
    """Turns whatever a decoder throws at hostile bytes into an error of this package.

    Pillow's readers let out OSError, SyntaxError, ValueError, struct.error, EOFError, zlib.error,
    AssertionError, OverflowError and more, depending on the byte that is wrong: hence all of them.
    """
    try:
        yield
    except AidetectError:
        raise
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(
            f"{label_of(name)} has more pixels than Pillow is set to allow "
            "(PIL.Image.MAX_IMAGE_PIXELS). Give a smaller copy.",
            input=name,
        ) from error
    except MemoryError as error:
        raise TooManyPixelsError(
            f"{label_of(name)} needs more memory than there is to be decoded. Give a smaller copy.",
            input=name,
        ) from error
    except Exception as error:
        detail = printable(str(error), 120) or type(error).__name__
        raise CorruptImageError(
            f"{label_of(name)} cannot be read as {form}: {detail}. The file is damaged, cut short or "
            "of a rare variant; get it again or export it anew.",
            input=name,
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No warning of Pillow's leaves this block.

    The filters of `warnings` belong to the whole process before Python 3.14, so threads of ours
    take turns, and only the formats that may warn come here, for their header (TIFF: wholly).
    """
    with _QUIET_LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\.")
        yield
