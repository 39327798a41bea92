"""What kind of file these bytes are, told from their content alone.

A file name or a Content-Type is never asked: both are the sender's claims. Only what this module
names is handed to a decoder, so that none of Pillow's other readers (EPS starts Ghostscript) is
ever reached.
"""

from ._errors import ImageError, NotAnImageError, UnsupportedFormatError
from ._text import printable

READ = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "HEIF")
"""Formats that are read, by Pillow's names; HEIF needs the `heif` extra."""

_READABLE = "JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF or HEIC"

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0\x08\0\0\0", "TIFF"),
    (b"MM\0+\0\x08\0\0", "TIFF"),
)

_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"%!PS", "an EPS or PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop (PSD) file"),
    (b"\0\0\x01\0", "a Windows icon (ICO)"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"qoif", "a QOI image"),
    (b"DDS ", "a DDS texture"),
    (b"\x76\x2f\x31\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"gimp xcf", "a GIMP (XCF) file"),
    (b"P5\n", "a PGM image"),
    (b"P6\n", "a PPM image"),
    (b"FUJIFILMCCD-RAW", "a camera raw file"),
    (b"IIRO", "a camera raw file"),
    (b"IIU\0", "a camera raw file"),
    (b"\x1a\x45\xdf\xa3", "a WebM or Matroska video"),
)

_BMP_HEADER_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}


def label_of(name: str | None) -> str:
    """How messages call the input: its name made harmless, or "The image"."""
    return printable(name) if name else "The image"


def identify(data: bytes, name: str | None) -> str:
    """One of `READ`; `name` is the input's name for the messages only.

    Raises NotAnImageError (empty, a web page, text, unknown bytes) or UnsupportedFormatError (an
    image, document or video of a known kind that is not read).
    """
    if not data:
        raise NotAnImageError(
            f"{label_of(name)} is empty (0 bytes). Give a file that holds an image.", input=name
        )
    for magic, found in _MAGIC:
        if data.startswith(magic):
            if found == "TIFF" and data[8:11] == b"CR\x02":
                raise refused(name, "a camera raw file")
            return found
    if data[:4] == b"RIFF":
        if data[8:12] == b"WEBP":
            return "WEBP"
        if data[8:12] == b"AVI ":
            raise refused(name, "an AVI video")
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if data[4:8] == b"ftyp":
        return _by_brand(data, name)
    for magic, what in _REFUSED:
        if data.startswith(magic):
            raise refused(name, what)
    raise _not_an_image(data, name)


def _by_brand(data: bytes, name: str | None) -> str:
    """AVIF or HEIF from the brands of an ISO base media file (ISO/IEC 14496-12, section 4.3)."""
    end = min(int.from_bytes(data[:4], "big"), len(data), 256)
    major = data[8:12]
    brands = [major] + [data[at : at + 4] for at in range(16, end - 3, 4)]
    if major in _HEIC_BRANDS:
        return "HEIF"
    if major == b"crx ":
        raise refused(name, "a camera raw file")
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "AVIF"
    if any(brand in _HEIC_BRANDS or brand in {b"mif1", b"msf1"} for brand in brands):
        return "HEIF"
    raise refused(name, "an MP4 or MOV video, or another media file of that family")


def refused(name: str | None, what: str) -> UnsupportedFormatError:
    """The error for an image of a known kind that is not read; `what` names the kind."""
    return UnsupportedFormatError(
        f"{label_of(name)} is {what}, which is not read. Export it as {_READABLE}.", input=name
    )


def _not_an_image(data: bytes, name: str | None) -> ImageError:
    """The error for bytes that no image format claims; says so when they are a page or text."""
    head = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    lowered = head.lower()
    if b"<svg" in lowered and head.startswith(b"<") and b"<html" not in lowered:
        return refused(name, "an SVG drawing")
    if lowered.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or (
        lowered.startswith((b"<!--", b"<?xml")) and b"<html" in lowered
    ):
        what = "is a web page (HTML), not an image. Give the address or the file of the image itself."
    elif _is_text(data[:1024]):
        what = f"is text, not an image. Give {_READABLE}."
    else:
        what = f"is not an image of a known format. Give {_READABLE}."
    return NotAnImageError(f"{label_of(name)} {what}", input=name)


def _is_text(head: bytes) -> bool:
    """UTF-8 or UTF-16 without control characters. A character cut at the end is forgiven."""
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return True
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) < 1024 or error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8")
    return not any(character < " " and character not in "\t\n\r\f\x1b" for character in text)
