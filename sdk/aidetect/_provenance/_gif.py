"""Metadata of a GIF: comments, XMP and C2PA in front of its first frame."""

from ._blocks import Blocks

_XMP, _C2PA = b"XMP DataXMP", b"C2PA_GIF\1\0\0"


def read_gif(data: bytes, found: Blocks) -> None:
    """Stops at the first frame: what lies behind it is mostly pixels, in blocks of 255 bytes."""
    if len(data) < 13:
        return
    offset = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while offset + 2 < len(data) and data[offset] == 0x21:
        label, start = data[offset + 1], offset + 2
        offset, pieces = start, []
        while offset < len(data) and data[offset]:
            found.step()
            if label == 0xFE:
                pieces.append(found.cut(data, offset + 1, offset + 1 + data[offset]))
            offset += 1 + data[offset]
        if pieces:
            found.add_text("comment", b"".join(pieces))
        elif label == 0xFF and data.startswith(_XMP, start + 1):
            # The packet lies there whole, not in blocks; its end makes block readers come out right.
            found.xmp.append(found.cut(data, start + 1 + len(_XMP), offset))
        elif label == 0xFF and data.startswith(_C2PA, start + 1):
            found.add_credentials(data, start + 1 + len(_C2PA), offset)
        offset += 1
