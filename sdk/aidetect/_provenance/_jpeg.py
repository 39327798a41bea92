"""Metadata of a JPEG: its APPn and COM segments, and the trailer of Samsung's photo editor."""

import re
import struct
from contextlib import suppress

from ._blocks import Blocks, text_of
from ._iim import PHOTOSHOP, read_resources

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
_HAS_EXTENDED = re.compile(rb"HasExtendedXMP\s{0,9}[=>]\s{0,9}[\"']?([0-9A-Fa-f]{32})")
_PACKETS = 3
"""Main packets that may name an extended one."""

_SAMSUNG_ENTRIES = 64
_EDITOR = b"PhotoEditor_Re_Edit_Data"


def read_jpeg(data: bytes, found: Blocks) -> None:
    """Stops at the first scan: pixels are neither walked nor copied."""
    _read_samsung(data, found)
    extended: dict[bytes, list[tuple[int, bytes]]] = {}
    try:
        _read_segments(data, found, extended)
    finally:
        _join_extended(extended, found)


def _read_segments(data: bytes, found: Blocks, extended: dict[bytes, list[tuple[int, bytes]]]) -> None:
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        found.step()
        marker = data[offset + 1]
        if marker == 0xFF:
            offset += 1
            continue
        if marker in (0xD9, 0xDA):
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            offset += 2
            continue
        start, end = offset + 4, offset + 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
        if marker == 0xE1 and data.startswith(b"Exif\0\0", start):
            found.add_exif(found.cut(data, start, end))
        elif marker == 0xE1 and data.startswith(_XMP, start):
            found.xmp.append(found.cut(data, start + len(_XMP), end))
        elif marker == 0xE1 and data.startswith(_EXTENDED, start):
            body = found.cut(data, start + len(_EXTENDED), end)
            piece = int.from_bytes(body[36:40], "big"), body[40:]
            extended.setdefault(body[:32], []).append(piece)
        elif marker == 0xED and data.startswith(PHOTOSHOP, start):
            block = found.cut(data, start + len(PHOTOSHOP), end)
            with suppress(struct.error, IndexError):  # what is behind it counts all the same
                read_resources(block, found)
        elif marker == 0xEB and data.startswith(b"JP", start):
            _read_jumbf(data, start, end, found)
        elif marker == 0xFE:
            found.add_text("comment", found.cut(data, start, end))
        offset = max(end, offset + 2)


def _join_extended(extended: dict[bytes, list[tuple[int, bytes]]], found: Blocks) -> None:
    """XMP beyond the first 64 kB (XMP specification part 3, 1.1.3.1): pieces of a second packet, which
    the first one names by its digest."""
    for packet in found.xmp[:_PACKETS]:
        named = _HAS_EXTENDED.search(packet)
        if named and named[1] in extended:
            found.xmp.append(b"".join(piece for _, piece in sorted(extended[named[1]])))
            return


def _read_jumbf(data: bytes, start: int, end: int, found: Blocks) -> None:
    if found.credentials:
        found.credentials += end - start  # a further piece: stores are longer than one segment
    else:
        found.add_credentials(data, start, end)


def _read_samsung(data: bytes, found: Blocks) -> None:
    """The block of the photo editor in the directory (SEFH … SEFT) that ends the file.

    Layout as ExifTool documents it (Samsung.pm): entries of type, distance back from the
    directory, and size; each block repeats its type, then has its name's length, name and content.
    """
    if not data.endswith(b"SEFT") or len(data) < 32:
        return
    directory = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if directory < 0 or data[directory : directory + 4] != b"SEFH":
        return
    (count,) = struct.unpack_from("<I", data, directory + 8)
    for index in range(min(count, _SAMSUNG_ENTRIES)):
        entry = directory + 12 + 12 * index
        if entry + 12 > len(data) - 8:
            return
        back, size = struct.unpack_from("<II", data, entry + 4)
        start = directory - back
        if start < 0 or size < 8:
            continue
        (name,) = struct.unpack_from("<I", data, start + 4)
        if name == len(_EDITOR) and data.startswith(_EDITOR, start + 8):
            found.samsung = text_of(found.cut(data, start + 8 + name, min(start + size, directory)))
