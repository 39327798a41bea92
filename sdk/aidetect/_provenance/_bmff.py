"""Metadata of AVIF and HEIF: the Exif and XMP items of the `meta` box, and C2PA's `uuid` box."""

import struct
from collections.abc import Iterator

from ._blocks import Blocks

_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_EXTENTS = 16


def read_bmff(data: bytes, found: Blocks) -> None:
    """Boxes of ISO/IEC 14496-12; only the outermost, `meta` and what is directly in it are entered."""
    for kind, start, end in _boxes(data, 0, len(data), found):
        if kind == b"uuid" and data.startswith(_C2PA, start):
            if b"manifest\0" in data[start + 16 : min(end, start + 48)]:
                found.credentials += end - start
        elif kind == b"meta":
            _read_meta(data, start + 4, end, found)


def _boxes(data: bytes, start: int, end: int, found: Blocks) -> Iterator[tuple[bytes, int, int]]:
    """Type, and first and last offset of the content, of each box in data[start:end]."""
    while start + 8 <= end:
        found.step()
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        elif size == 0:
            size = end - start
        if size < body - start:
            return
        yield kind, body, min(start + size, end)
        start += size


def _read_meta(data: bytes, start: int, end: int, found: Blocks) -> None:
    kinds: dict[int, bytes] = {}
    places: dict[int, list[tuple[int, int]]] = {}
    stored = 0
    for kind, body, stop in _boxes(data, start, end, found):
        if kind == b"iinf":
            kinds = _item_kinds(data, body, stop, found)
        elif kind == b"iloc":
            places = _item_places(data, body, stop, found)
        elif kind == b"idat":
            stored = body
    for item, kind in kinds.items():
        pieces = []
        for offset, length in places.get(item, ()):
            at = offset if offset >= 0 else stored - 1 - offset
            pieces.append(found.cut(data, at, at + length))
        content = b"".join(pieces)
        if kind == b"Exif" and len(content) > 4:
            # ISO/IEC 23008-12, A.2.1: in front stands how far the TIFF header is.
            found.add_exif(content[4 + int.from_bytes(content[:4], "big") :])
        elif kind == b"mime" and content:
            found.xmp.append(content)


def _item_kinds(data: bytes, start: int, end: int, found: Blocks) -> dict[int, bytes]:
    """Item → `Exif` or `mime`, the latter for XMP alone."""
    kinds = {}
    first = start + (6 if data[start] == 0 else 8)
    for kind, body, stop in _boxes(data, first, end, found):
        if kind != b"infe" or data[body] not in (2, 3):
            continue
        wide = data[body] == 3
        (item,) = struct.unpack_from(">I" if wide else ">H", data, body + 4)
        at = body + (10 if wide else 8)
        what = data[at : at + 4]
        if what == b"Exif" or (what == b"mime" and b"\0application/rdf+xml" in data[at:stop][:512]):
            kinds[item] = what
    return kinds


def _item_places(data: bytes, start: int, end: int, found: Blocks) -> dict[int, list[tuple[int, int]]]:
    """Item → (offset, length) of its pieces; an offset into `idat` is told as -1 - offset."""
    version = data[start]
    sizes = data[start + 4] >> 4, data[start + 4] & 15, data[start + 5] >> 4
    index_size = data[start + 5] & 15 if version else 0
    identity = 4 if version == 2 else 2
    at = start + 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(data[at - size : at], "big")

    places: dict[int, list[tuple[int, int]]] = {}
    for _ in range(number(identity)):
        if at >= end:
            break
        found.step()
        item = number(identity)
        method = number(2) & 15 if version else 0
        at += 2
        base = number(sizes[2])
        pieces = []
        for _ in range(number(2)):
            if at >= end:
                break
            found.step()
            at += index_size
            offset = base + number(sizes[0])
            length = number(sizes[1])
            pieces.append((offset if method == 0 else -1 - offset, length))
        if method in (0, 1):
            places[item] = pieces[:_EXTENTS]
    return places
