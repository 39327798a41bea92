"""A file's metadata, whatever its format, in one form for those who look for signals."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ._blocks import Blocks
from ._bmff import read_bmff
from ._exif import read_exif
from ._gif import read_gif
from ._jpeg import read_jpeg
from ._png import read_png
from ._riff import read_webp
from ._xmp import Properties, read_xmp


def _read_tiff(data: bytes, found: Blocks) -> None:
    found.exif.append(data)  # the same object, not a copy


_READERS: dict[str, Callable[[bytes, Blocks], None]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "WEBP": read_webp,
    "GIF": read_gif,
    "TIFF": _read_tiff,
    "AVIF": read_bmff,
    "HEIF": read_bmff,
}


@dataclass(slots=True)
class Metadata:
    """Untrusted strings, bounded in number and length."""

    texts: dict[str, str] = field(default_factory=dict)
    """PNG keyword, or `comment`, → text; the first of each keyword."""
    exif: dict[int, str] = field(default_factory=dict)
    xmp: Properties = field(default_factory=dict)
    credits: tuple[str, ...] = ()
    """Credit lines in IPTC-IIM."""
    credentials: int = 0
    """Bytes of the C2PA manifest store, 0 if there is none."""
    samsung: str = ""
    notes: tuple[str, ...] = ()
    """What decoding the pixels noted."""


def read_metadata(data: bytes, form: str) -> Metadata:
    """`form` is one of `_image_format.READ`. Never raises: where a reader fails, what it had found
    stands. A stranger's bytes can make a parser raise anything, and no check may fail on that."""
    blocks, metadata = Blocks(), Metadata()
    reader = _READERS.get(form)
    if reader is None:
        return metadata
    _try(reader, data, blocks)
    for block in blocks.exif[:4]:
        _try(read_exif, block, blocks, metadata.exif)
    for packet in blocks.xmp[:4]:
        _try(read_xmp, packet, metadata.xmp)
    for keyword, text in blocks.texts:
        metadata.texts.setdefault(keyword, text)
    metadata.credits = tuple(blocks.credits)
    metadata.credentials, metadata.samsung = blocks.credentials, blocks.samsung
    return metadata


def _try(read: Callable[..., None], *arguments: object) -> None:
    try:
        read(*arguments)
    except Exception:
        return
