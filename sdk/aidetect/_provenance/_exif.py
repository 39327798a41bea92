"""The few EXIF tags that tell something of an image's origin, read from a TIFF structure.

Pillow's reader would do, but warns through the process-wide `warnings` about flaws, and reads all
tags. Two directories are entered, the first and the Exif one, each once: no loop can be built.
"""

import struct
from dataclasses import dataclass

from ._blocks import BLOCK_LIMIT, Blocks, text_of
from ._iim import read_iim

DESCRIPTION, MAKE, MODEL, SOFTWARE, ARTIST = 0x010E, 0x010F, 0x0110, 0x0131, 0x013B
MAKER_NOTE, USER_COMMENT = 0x927C, 0x9286
_XMP, _EXIF_DIRECTORY, _C2PA, _IIM = 0x02BC, 0x8769, 0xCD41, 0x83BB
_WANTED = {DESCRIPTION, MAKE, MODEL, SOFTWARE, ARTIST, MAKER_NOTE, USER_COMMENT}
_ENTRY_LIMIT = 1000
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 13: 4, 16: 8}
"""Bytes of one value of each type that is of interest here (TIFF 6.0, section 2; BigTIFF)."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How numbers are written: byte order, and the wider fields of BigTIFF."""

    order: str
    big: bool

    def number(self, data: bytes, offset: int, size: int) -> int:
        code = {2: "H", 4: "I", 8: "Q"}[size]
        value: int = struct.unpack_from(self.order + code, data, offset)[0]
        return value


def read_exif(data: bytes, found: Blocks, tags: dict[int, str]) -> None:
    """Adds tag → text. XMP, IPTC-IIM and C2PA that lie in the structure (TIFF files) go to `found`.

    Broken entries are left out. Raises struct.error if the header is cut.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return
    form = _Form(order, data[2:4] in (b"+\0", b"\0+"))
    first = form.number(data, 8, 8) if form.big else form.number(data, 4, 4)
    deeper = _read_directory(data, form, first, found, tags)
    if deeper and deeper != first:
        _read_directory(data, form, deeper, found, tags)


def _read_directory(data: bytes, form: _Form, offset: int, found: Blocks, tags: dict[int, str]) -> int:
    """Fills `tags`; returns the offset of the Exif directory, 0 if there is none."""
    count_size, entry_size, field = (8, 20, 8) if form.big else (2, 12, 4)
    deeper = 0
    try:
        entries = min(form.number(data, offset, count_size), _ENTRY_LIMIT)
        for index in range(entries):
            found.step()
            at = offset + count_size + entry_size * index
            tag, kind = struct.unpack_from(form.order + "HH", data, at)
            if tag not in _WANTED and tag not in (_XMP, _EXIF_DIRECTORY, _C2PA, _IIM):
                continue
            length = form.number(data, at + 4, field) * _SIZES.get(kind, 0)
            value = at + 4 + field
            start = value if length <= field else form.number(data, value, field)
            if tag == _EXIF_DIRECTORY:
                deeper = form.number(data, value, 4)
            elif tag == _C2PA:
                found.add_credentials(data, start, start + length)
            elif tag == _IIM:
                read_iim(found.cut(data, start, start + length), found)
            elif tag == _XMP:
                found.xmp.append(found.cut(data, start, start + length))
            elif tag == MAKER_NOTE:
                tags[tag] = text_of(data[start : start + min(length, 64)]).rstrip("\0 ")
            else:
                raw = found.cut(data, start, start + min(length, BLOCK_LIMIT))
                text = _comment(raw, form) if tag == USER_COMMENT else text_of(raw)
                tags[tag] = text.rstrip("\0 ")
    except (struct.error, OverflowError):
        pass
    return deeper


def _comment(raw: bytes, form: _Form) -> str:
    """UserComment: eight bytes that name a character code, then text (EXIF 2.32, 4.6.5)."""
    code, body = raw[:8], raw[8:]
    if code == b"UNICODE\0":
        # Writers disagree on the byte order; Western text shows it by where its zeros are.
        high, low = body[:2000:2].count(0), body[1:2000:2].count(0)
        big = high > low if high != low else form.order == ">"
        return body.decode("utf-16-be" if big else "utf-16-le", "replace")
    if code in (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", b"\0" * 8):
        return text_of(body)
    return text_of(raw)
