"""Metadata of a WebP: its RIFF chunks EXIF, XMP and C2PA."""

import struct

from ._blocks import Blocks


def read_webp(data: bytes, found: Blocks) -> None:
    """RFC 9649, section 2.3: chunks of four letters, a size, and a byte of padding if that is odd."""
    offset = 12
    while offset + 8 <= len(data):
        found.step()
        kind, length = struct.unpack_from("<4sI", data, offset)
        start, end = offset + 8, offset + 8 + length
        if kind == b"EXIF":
            found.add_exif(found.cut(data, start, end))
        elif kind == b"XMP ":
            found.xmp.append(found.cut(data, start, end))
        elif kind == b"C2PA":
            found.add_credentials(data, start, end)
        offset = end + (length & 1)
