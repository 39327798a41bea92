"""The credit line in IPTC-IIM, the form of before XMP, which some programs still write alone."""

import struct

from ._blocks import Blocks, text_of

PHOTOSHOP = b"Photoshop 3.0\0"
_IIM, _CREDIT = 0x0404, (2, 110)


def read_resources(block: bytes, found: Blocks) -> None:
    """Photoshop's image resources (Adobe Photoshop File Formats Specification, "Image Resources"), of
    which one holds IPTC-IIM."""
    at = 0
    while block.startswith(b"8BIM", at) and at + 12 <= len(block):
        found.step()
        (kind,) = struct.unpack_from(">H", block, at + 4)
        name = block[at + 6] + 1
        start = at + 6 + name + (name & 1)
        (size,) = struct.unpack_from(">I", block, start)
        if kind == _IIM:
            read_iim(block[start + 4 : start + 4 + size], found)
        at = start + 4 + size + (size & 1)


def read_iim(block: bytes, found: Blocks) -> None:
    """IPTC-IIM 4.2, chapter 1: a marker, record and data set, a size of two bytes, and the text. Longer
    sizes are for object data, which is no text; they end the reading."""
    at = 0
    while block.startswith(b"\x1c", at) and at + 5 <= len(block):
        found.step()
        (size,) = struct.unpack_from(">H", block, at + 3)
        if size & 0x8000:
            return
        if (block[at + 1], block[at + 2]) == _CREDIT:
            found.credits.append(text_of(block[at + 5 : at + 5 + size]))
        at += 5 + size
