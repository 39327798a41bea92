"""What can be told from an image file without decoding it: frames, canvas, orientation.

Pillow knows most of this too, but learns it by reading every text chunk, every frame or every
EXIF tag of the file, and warns through the process-wide `warnings` about each flaw. These short
walks read what is needed, are bounded, never warn, and need no lock.
"""

import struct
from dataclasses import dataclass

_COUNT_LIMIT = 10_000
"""Frames and pages are counted up to here; nobody needs the exact number of more."""

_GIF_BLOCK_LIMIT = 400_000
_PNG_CHUNK_LIMIT = 400_000
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"sRGB", b"IDAT", b"IEND"}


class Damaged(Exception):
    """The file contradicts its own structure; mostly, it ends before it says that it does."""


@dataclass(frozen=True, slots=True)
class PngParts:
    """A PNG without the chunks that have no part in its pixels, and what those said."""

    data: bytes
    frames: int
    exif: bytes | None


def png_parts(data: bytes) -> PngParts:
    """Drops text, animation and unknown chunks, so that the decoder never inflates a text bomb.

    Such a chunk would otherwise be a reason to refuse the file: generators write whole workflows
    into them, longer than Pillow's bound. Raises Damaged if the file ends before its IEND.
    """
    view = memoryview(data)
    kept = [view[:8]]
    frames, exif, dropped, offset, start = 1, None, False, 8, 8
    for _ in range(_PNG_CHUNK_LIMIT):
        if offset + 12 > len(data):
            raise Damaged("the PNG's end chunk is missing")
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        if end > len(data):
            raise Damaged(f"{end - len(data)} bytes are missing")
        if kind == b"acTL" and length >= 4:
            frames = max(1, int.from_bytes(data[offset + 8 : offset + 12], "big"))
        elif kind == b"eXIf":
            exif = data[offset + 8 : offset + 8 + length]
        if kind not in _PNG_KEPT:
            if start < offset:
                kept.append(view[start:offset])
            start, dropped = end, True
        offset = end
        if kind == b"IEND":
            break
    else:
        raise Damaged(f"it has more than {_PNG_CHUNK_LIMIT} chunks")
    if not dropped:
        return PngParts(data, frames, exif)
    kept.append(view[start:offset])
    return PngParts(b"".join(kept), frames, exif)


def gif_frames(data: bytes) -> int:
    """Number of frames. Raises Damaged if the file ends inside a frame.

    A file that ends between two blocks, without the trailer byte, is whole: some writers omit it.
    """
    if len(data) < 13:
        raise Damaged("the GIF's header is cut")
    offset = 13 + _gif_palette(data[10])
    frames = blocks = 0
    while offset < len(data) and data[offset] != 0x3B and frames < _COUNT_LIMIT:
        if data[offset] == 0x21:
            offset += 2
        elif data[offset] == 0x2C:
            if offset + 10 > len(data):
                raise Damaged("a GIF frame is cut")
            offset += 11 + _gif_palette(data[offset + 9])
            frames += 1
        else:
            break
        while True:
            if offset >= len(data):
                raise Damaged("a GIF frame is cut")
            size = data[offset]
            offset += 1 + size
            blocks += 1
            if size == 0:
                break
            if blocks > _GIF_BLOCK_LIMIT:
                if frames == 0:
                    raise Damaged(f"more than {_GIF_BLOCK_LIMIT} blocks come before its first frame")
                return frames
    return max(1, frames)


def _gif_palette(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Canvas (width, height), read before the decoder allocates it; None if it cannot be told.

    Layout: RFC 9649, sections 2.5 to 2.7. Raises Damaged if the file is shorter than it says.
    """
    if len(data) < 30 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise Damaged("the WebP is shorter than its header says")
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def tiff_pages(data: bytes) -> int:
    """Number of pages in the chain of directories; a chain that is broken ends there."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    count, entry, link, first = ("Q", 20, "Q", 8) if big else ("H", 12, "I", 4)
    seen: set[int] = set()
    try:
        (offset,) = struct.unpack_from(order + link, data, first)
        while offset and offset not in seen and len(seen) < _COUNT_LIMIT:
            (entries,) = struct.unpack_from(order + count, data, offset)
            after = offset + struct.calcsize(order + count) + entries * entry
            seen.add(offset)
            (offset,) = struct.unpack_from(order + link, data, after)
    except (struct.error, OverflowError):
        return max(1, len(seen))
    return max(1, len(seen))


def orientation(exif: object) -> int:
    """The EXIF orientation, 1 to 8; 1 (as stored) if there is none or it cannot be read."""
    if not isinstance(exif, bytes):
        return 1
    block = exif
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, directory)
        for index in range(entries):
            tag, kind, count, value = struct.unpack_from(
                order + "HHIH", block, directory + 2 + 12 * index
            )
            if tag == 0x0112:
                return value if kind == 3 and count == 1 and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
