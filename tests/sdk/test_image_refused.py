"""Bytes that are not a readable image: each gets its own typed error that says what to do."""

import io
import random
import sys

import pytest
from PIL import Image

from aidetect._errors import (
    CorruptImageError,
    ImageError,
    NotAnImageError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from aidetect._image import decode, from_pil

from .image_files import animation, chunk, gray_tiff, noise, png, save, smooth

FILES = {
    "jpeg": save(noise(), "JPEG"),
    "progressive": save(noise(), "JPEG", progressive=True),
    "png": save(noise(), "PNG"),
    "webp": save(noise(), "WEBP"),
    "webp-lossless": save(noise(), "WEBP", lossless=True),
    "gif": save(Image.fromarray(noise()).quantize(256), "GIF"),
    "gif-animated": animation("GIF")[0],
    "bmp": save(noise(), "BMP"),
    "tiff": save(noise(), "TIFF"),
    "tiff-lzw": save(noise(), "TIFF", compression="tiff_lzw"),
    "avif": save(noise(), "AVIF"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_truncated_files(kind: str, share: float) -> None:
    data = FILES[kind]
    decode(data)
    with pytest.raises(ImageError) as caught:
        decode(data[: int(len(data) * share)], name="cut.img")
    if share >= 0.3:
        assert type(caught.value) is CorruptImageError
    assert "cut.img" in str(caught.value)
    assert caught.value.input == "cut.img"


@pytest.mark.parametrize("kind", FILES)
def test_flipped_bytes_never_leave_as_another_error(kind: str) -> None:
    chance = random.Random(kind)
    for _ in range(40):
        data = bytearray(FILES[kind])
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(min(len(data), chance.choice([40, 400, 10**9])))] = chance.randrange(
                256
            )
        try:
            decode(bytes(data), max_pixels=10**6)
        except ImageError as error:
            assert len(str(error)) > 20


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (b"", NotAnImageError, "photo.jpg is empty"),
        (b"Dear all,\nsee you on Monday.\n", NotAnImageError, "photo.jpg is text"),
        ("Grüße aus München! ".encode() * 80, NotAnImageError, "is text"),
        (b"\xff\xfeh\0i\0", NotAnImageError, "is text"),
        (b"BMW is a maker of cars, and this is text.", NotAnImageError, "is text"),
        (b"\n <!DOCTYPE html><html><svg></svg></html>", NotAnImageError, "web page"),
        (b"<?xml version='1.0'?>\n<html xmlns='x'>", NotAnImageError, "web page"),
        (b"\0\1\2\3" * 20, NotAnImageError, "not an image of a known format"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", NotAnImageError, "not an image of a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedFormatError, "SVG"),
        (b"<?xml version='1.0'?><!-- x --><svg>", UnsupportedFormatError, "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UnsupportedFormatError, "EPS"),
        (b"%PDF-1.7\n", UnsupportedFormatError, "PDF"),
        (b"8BPS\0\1", UnsupportedFormatError, "Photoshop"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isommp41", UnsupportedFormatError, "MP4"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", UnsupportedFormatError, "camera raw"),
        (b"II*\0\x10\0\0\0CR\x02\0" + b"\0" * 40, UnsupportedFormatError, "camera raw"),
        (gray_tiff((50706, 1, 4, 0x00000401)), UnsupportedFormatError, "camera raw"),
        (gray_tiff((254, 4, 1, 1)), UnsupportedFormatError, "camera raw"),
        (save(smooth(), "JPEG2000"), UnsupportedFormatError, "JPEG 2000"),
        (save(smooth(), "ICO"), UnsupportedFormatError, "ICO"),
        (save(smooth(), "PPM"), UnsupportedFormatError, "PPM"),
    ],
)
def test_what_the_bytes_are_is_said(data: bytes, error: type[ImageError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        decode(data, name="photo.jpg")
    assert type(caught.value) is error
    assert caught.value.input == "photo.jpg"
    assert "Give" in str(caught.value) or "Export" in str(caught.value)


def test_content_decides_and_not_the_name() -> None:
    assert decode(FILES["png"], name="drawing.eps").format == "PNG"


def test_heic_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for brands in (b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic"):
        with pytest.raises(UnsupportedFormatError, match=r"HEIC.*pip install '\.\[heif\]'"):
            decode(b"\0\0\0\x18ftyp" + brands + b"\0" * 40)


def test_pixel_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(
        TooManyPixelsError,
        match=r"bomb\.png has 60,000 × 60,000 pixels, more than the limit of 50,000,000\.",
    ):
        decode(png(60_000, 60_000, 8, 2, b""), name="bomb.png")
    with pytest.raises(TooManyPixelsError, match="10,000 × 10,000"):
        decode(png(10_000, 10_000, 1, 0, b""))


def test_vast_canvases_of_other_formats() -> None:
    gif = bytearray(FILES["gif"])
    gif[6:10] = b"\xff\xff\xff\xff"
    bmp = bytearray(FILES["bmp"])
    bmp[18:26] = b"\x60\xea\0\0\x60\xea\0\0"
    vp8x = bytearray(animation("WEBP")[0])
    vp8x[24:30] = b"\xfe\x3f\0\xfe\x3f\0"
    vp8 = bytearray(FILES["webp"])
    vp8[26:30] = b"\xff\x3f\xff\x3f"
    jpeg = bytearray(FILES["jpeg"])
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
    for data in (gif, bmp, vp8x, vp8, jpeg):
        with pytest.raises(TooManyPixelsError):
            decode(bytes(data))


def test_files_made_of_countless_empty_parts() -> None:
    parts = png(1, 1, 8, 0, b"\0", chunk(b"abCd", b"") * 400_000)
    comment = b"GIF89a\x01\0\x01\0\0\0\0!\xfe" + b"\x01a" * 400_001 + b"\0" + FILES["gif"][13:]
    for data in (parts, comment):
        with pytest.raises(CorruptImageError, match="more than 400000"):
            decode(data)


def test_the_limit_is_exact_and_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Image.MAX_IMAGE_PIXELS
    assert decode(FILES["png"], max_pixels=96 * 72).width == 96
    with pytest.raises(TooManyPixelsError):
        decode(FILES["png"], max_pixels=96 * 72 - 1)
    assert before == Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    for kind in ("jpeg", "png", "gif", "bmp", "webp", "avif"):
        assert decode(FILES[kind]).format


def test_names_are_made_harmless() -> None:
    with pytest.raises(NotAnImageError) as caught:
        decode(b"", name="a\x1b[31m\u202egnp.exe")
    assert "\x1b" not in str(caught.value) and "\u202e" not in str(caught.value)
    assert r"a\x1b[31m\u202egnp.exe" in str(caught.value)


def test_a_pil_image_whose_file_is_cut() -> None:
    image = Image.open(io.BytesIO(FILES["jpeg"][:3000]))
    with pytest.raises(CorruptImageError, match=r"holiday\.jpg cannot be read as JPEG"):
        from_pil(image, name="holiday.jpg")
