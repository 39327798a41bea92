"""Image files and profiles that the tests make themselves, byte by byte where Pillow cannot."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def noise(width: int = 96, height: int = 72, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(width: int = 96, height: int = 72) -> Pixels:
    y, x = np.mgrid[0:height, 0:width]
    channels = [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)]
    return np.stack(channels, axis=2).astype(np.uint8)


def save(image: Image.Image | Pixels, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, form, **options)
    return file.getvalue()


def animation(form: str, count: int = 3) -> tuple[bytes, Pixels]:
    """A file of `count` frames of plain colours, and its first frame."""
    frames = [Image.new("RGB", (40, 30), (200 - 60 * i, 40 * i, 90)) for i in range(count)]
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    data = save(frames[0], form, save_all=True, append_images=frames[1:], duration=100, **options)
    return data, np.asarray(frames[0])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG of raw rows (without filter bytes, which are added), `extra` chunks before the data."""
    length = len(rows) // height if height and rows else 0
    raw = b"".join(b"\0" + rows[i * length : (i + 1) * length] for i in range(height)) if rows else b""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(entries: list[tuple[int, int, int, int]], body: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory: (tag, type, count, value) each, `body` at offset 8."""
    directory = 8 + len(body)
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    start = b"II*\0" + struct.pack("<I", directory) + body
    return start + struct.pack("<H", len(entries)) + packed + struct.pack("<I", 0)


def gray_tiff(*extra: tuple[int, int, int, int]) -> bytes:
    """An 8×8 TIFF of one gray, with more tags."""
    entries = [
        (256, 3, 1, 8),
        (257, 3, 1, 8),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (278, 3, 1, 8),
        (279, 4, 1, 64),
        *extra,
    ]
    return tiff(sorted(entries), b"\x64" * 64)


def exif(value: int) -> bytes:
    return b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, value, 0) + b"\0" * 4


def profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC version 2 profile (ICC.1:2001-04, section 6.1)."""
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        value += b"\0" * (-len(value) % 4)
        table += name + struct.pack(">II", offset + len(body), len(value))
        body += value
    header = struct.pack(">I4xI4s4s4s", offset + len(body), 0x02400000, kind, space, connection)
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp"
    return (
        header.ljust(68, b"\0")
        + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D).ljust(60, b"\0")
        + table
        + body
    )


def curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


RED, GREEN, BLUE = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def swapping_profile() -> bytes:
    """RGB whose red is sRGB's green and whose green is sRGB's red."""
    tags = {b"rXYZ": xyz(*GREEN), b"gXYZ": xyz(*RED), b"bXYZ": xyz(*BLUE)}
    tags |= {name: curve(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return profile(b"mntr", b"RGB ", b"XYZ ", tags)


def linear_gray_profile() -> bytes:
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve(1.0), b"wtpt": xyz(0.9642, 1, 0.8249)})


def odd_cmyk_profile() -> bytes:
    """CMYK whose paper is white and whose cyan ink is red; all else is black."""
    corners = bytearray()
    for inks in range(16):
        lab = {0: (255, 128, 128), 8: (136, 208, 195)}.get(inks, (0, 128, 128))
        corners += bytes(lab)
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    identity = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + bytes(corners) + identity * 3
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})
