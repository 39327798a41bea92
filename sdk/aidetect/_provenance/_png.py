"""Metadata of a PNG: its text chunks, plain and compressed, eXIf, XMP and caBX."""

import struct
import zlib

from ._blocks import Blocks

_XMP_KEYWORD = "XML:com.adobe.xmp"
_KEYWORD_LIMIT = 80


def read_png(data: bytes, found: Blocks) -> None:
    """All chunks up to IEND, also those behind the pixels; a chunk that is cut short still counts."""
    offset = 8
    while offset + 12 <= len(data):
        found.step()
        length, kind = struct.unpack_from(">I4s", data, offset)
        start, end = offset + 8, offset + 8 + length
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            _read_text(kind, found.cut(data, start, end), found)
        elif kind == b"eXIf":
            found.add_exif(found.cut(data, start, end))
        elif kind == b"caBX":
            found.add_credentials(data, start, end)
        elif kind == b"IEND":
            return
        offset = end + 4


def _read_text(kind: bytes, body: bytes, found: Blocks) -> None:
    """PNG specification, third edition, sections 11.3.3.2 to 11.3.3.4."""
    raw_keyword, separator, rest = body.partition(b"\0")
    if not separator or len(raw_keyword) > _KEYWORD_LIMIT:
        return
    keyword = raw_keyword.decode("latin-1")
    packed = kind == b"zTXt"
    if packed:
        rest = rest[1:]
    elif kind == b"iTXt":
        packed = rest[:1] == b"\1"
        _language, _, translated = rest[2:].partition(b"\0")
        rest = translated.partition(b"\0")[2]
    try:
        text = found.inflate(rest) if packed else rest
    except zlib.error:
        return
    if keyword == _XMP_KEYWORD:
        found.xmp.append(text)
    else:
        found.add_text(keyword, text)
