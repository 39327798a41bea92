"""Metadata of a JPEG: its APPn and COM segments, and the trailer of Samsung's photo editor."""

import struct

from ._blocks import C2PA_BOX, Blocks, text_of

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_SAMSUNG_ENTRIES = 64
_EDITOR = b"PhotoEditor_Re_Edit_Data"


def read_jpeg(data: bytes, found: Blocks) -> None:
    """Stops at the first scan: pixels are neither walked nor copied.

    XMP beyond the first 64 kB (extended XMP, XMP specification part 3) is not read.
    """
    _read_samsung(data, found)
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
        elif marker == 0xEB and data.startswith(b"JP", start):
            found.credentials |= C2PA_BOX in data[start : min(end, start + 64)]
        elif marker == 0xFE:
            found.add_text("comment", found.cut(data, start, end))
        offset = max(end, offset + 2)


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
