"""Decoding: every allowed format, every odd pixel type, to upright 8-bit sRGB on white."""

import io
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms

from aidetect._errors import InvalidArrayError, TooManyPixelsError
from aidetect._image import FIRST_OF_FRAMES, decode, from_array, from_pil

from .image_files import (
    Pixels,
    animation,
    chunk,
    exif,
    gray_tiff,
    linear_gray_profile,
    noise,
    odd_cmyk_profile,
    png,
    save,
    smooth,
    swapping_profile,
)

LOSSLESS = [
    ("PNG", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"big_tiff": True}),
    ("WEBP", {"lossless": True}),
]


def close(got: Pixels, wanted: Pixels | tuple[int, ...], by: float = 3) -> bool:
    return bool(np.abs(got.astype(int) - np.asarray(wanted)).max() <= by)


@pytest.mark.parametrize(("form", "options"), LOSSLESS)
def test_lossless_formats_come_back_exactly(form: str, options: dict[str, object]) -> None:
    pixels = noise()
    image = decode(save(pixels, form, **options))
    assert np.array_equal(image.pixels, pixels)
    assert (image.width, image.height, image.format, image.frames, image.notes) == (96, 72, form, 1, ())
    assert image.pixels.dtype == np.uint8 and image.pixels.flags.c_contiguous


@pytest.mark.parametrize(("form", "by"), [("JPEG", 10), ("WEBP", 12), ("AVIF", 12)])
def test_lossy_formats_come_back_nearly(form: str, by: int) -> None:
    image = decode(save(smooth(), form, quality=95))
    assert image.format == form
    assert close(image.pixels, smooth(), by)


def test_jpeg_is_what_pillow_decodes() -> None:
    data = save(noise(), "JPEG", quality=80)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(decode(data).pixels, np.asarray(image))


def test_heic_with_the_extra() -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(Image.fromarray(smooth())).save(file, quality=95)
    image = decode(file.getvalue(), name="IMG_1.HEIC")
    assert image.format == "HEIF"
    assert close(image.pixels, smooth(), 12)
    with pytest.raises(TooManyPixelsError):
        decode(file.getvalue(), max_pixels=100)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_first_of_several_frames(form: str) -> None:
    data, first = animation(form)
    image = decode(data)
    assert (image.frames, image.notes) == (3, (FIRST_OF_FRAMES,))
    assert close(image.pixels, first)


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation(form: str, turned: int) -> None:
    upright = smooth(64, 48)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[turned]
    tags = Image.Exif()
    tags[0x0112] = turned
    options = {} if form in {"PNG", "TIFF"} else {"quality": 95}
    image = decode(save(np.ascontiguousarray(stored), form, exif=tags, **options))
    assert (image.width, image.height) == (64, 48)
    assert close(image.pixels, upright, 12)


def test_exif_that_is_nonsense_is_ignored_in_silence() -> None:
    for block in (
        exif(9),
        exif(6)[:18],
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0hello",
        b"Exif\0\0",
    ):
        data = save(smooth(), "JPEG", exif=block)
        assert decode(data).width == 96


def test_alpha_is_put_on_white() -> None:
    rgba = np.dstack([smooth(), np.full((72, 96), 255, np.uint8)])
    rgba[:36, :, 3] = 0
    rgba[36:50, :, 3] = 128
    half = (smooth()[36:50].astype(int) + 255) / 2
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        pixels = decode(save(rgba, form, **options)).pixels
        assert (pixels[:36] == 255).all()
        assert close(pixels[36:50], half.astype(np.uint8), 2)
        assert np.array_equal(pixels[50:], smooth()[50:])


def test_other_kinds_of_transparency() -> None:
    la = Image.merge("LA", (Image.new("L", (8, 8), 90), Image.linear_gradient("L").resize((8, 8))))
    assert close(decode(save(la, "PNG")).pixels[7, 7], (90, 90, 90), 20)
    assert close(decode(save(la, "PNG")).pixels[0, 0], (255, 255, 255), 20)

    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.paste(0, (0, 0, 4, 8))
    for transparency in (0, bytes([0, 255])):
        pixels = decode(save(palette, "PNG", transparency=transparency)).pixels
        assert close(pixels[0, 0], (255, 255, 255), 0) and close(pixels[0, 7], (10, 20, 30), 0)
    gif = decode(save(palette, "GIF", transparency=0)).pixels
    assert close(gif[0, 0], (255, 255, 255), 0) and close(gif[0, 7], (10, 20, 30), 0)

    rgb = png(2, 1, 8, 2, bytes([9, 8, 7, 50, 60, 70]), chunk(b"tRNS", b"\0\x09\0\x08\0\x07"))
    assert decode(rgb).pixels.tolist() == [[[255, 255, 255], [50, 60, 70]]]
    gray = png(2, 1, 8, 0, bytes([9, 50]), chunk(b"tRNS", b"\0\x09"))
    assert decode(gray).pixels.tolist() == [[[255] * 3, [50] * 3]]
    deep = png(2, 1, 16, 0, bytes([1, 2, 200, 0]), chunk(b"tRNS", b"\x01\x02"))
    assert decode(deep).pixels.tolist() == [[[255] * 3, [199] * 3]]


def test_sixteen_bits() -> None:
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    for data in (save(Image.fromarray(ramp), "PNG"), save(Image.fromarray(ramp), "TIFF")):
        assert np.array_equal(decode(data).pixels[..., 0], np.arange(256).reshape(16, 16))
    big = from_pil(Image.frombytes("I;16B", (16, 16), ramp.astype(">u2").tobytes()))
    assert np.array_equal(big.pixels[..., 1], np.arange(256).reshape(16, 16))
    colour = png(1, 1, 16, 2, bytes([10, 0, 128, 0, 255, 255]))
    assert decode(colour).pixels.tolist() == [[[10, 128, 255]]]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.0, 0.5, 1.0, 1.1], [0, 128, 255, 255]),
        ([0.0, 128.0, 255.0, -3.0], [0, 128, 255, 0]),
        ([0.0, 32896.0, 65535.0, 257.0], [0, 128, 255, 1]),
        ([-1e6, 0.0, 1e6, np.nan], [0, 128, 255, 0]),
        ([np.inf, 0.25, -np.inf, 1.0], [255, 64, 0, 255]),
    ],
)
def test_float_gray(values: list[float], wanted: list[int]) -> None:
    data = save(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert decode(data).pixels[0, :, 0].tolist() == wanted


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([0, 9, 255], [0, 9, 255]), ([0, 257, 65535], [0, 1, 255]), ([-9, 0, 9], [0, 128, 255])],
)
def test_wide_integer_gray(values: list[int], wanted: list[int]) -> None:
    image = Image.fromarray(np.array([values], np.int32))
    assert image.mode == "I"
    assert decode(save(image, "TIFF")).pixels[0, :, 0].tolist() == wanted


def test_other_modes() -> None:
    photo = Image.fromarray(smooth())
    one = decode(save(photo.convert("1"), "PNG")).pixels
    assert set(np.unique(one)) == {0, 255}
    assert np.array_equal(
        decode(save(photo.convert("L"), "JPEG")).pixels.std(axis=2), np.zeros((72, 96))
    )
    indexed = photo.quantize(64)
    assert np.array_equal(decode(save(indexed, "GIF")).pixels, np.asarray(indexed.convert("RGB")))
    muted = smooth() // 4 + 90
    assert close(decode(save(Image.fromarray(muted).convert("LAB"), "TIFF")).pixels, muted, 4)
    assert close(from_pil(photo.convert("YCbCr")).pixels, smooth(), 4)
    assert close(from_pil(photo.convert("HSV")).pixels, smooth(), 12)
    assert close(from_pil(photo.convert("RGBA").convert("RGBa")).pixels, smooth(), 0)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk(form: str) -> None:
    ink = Image.fromarray(smooth()).convert("CMYK")
    options = {"quality": 95} if form == "JPEG" else {}
    assert close(decode(save(ink, form, **options)).pixels, smooth(), 12)
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    assert close(decode(save(cyan, form)).pixels, (0, 255, 255))
    profiled = decode(save(cyan, form, icc_profile=odd_cmyk_profile())).pixels
    assert profiled[..., 0].min() > 200 and profiled[..., 2].max() < 60
    paper = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert close(decode(save(paper, form, icc_profile=odd_cmyk_profile())).pixels, (255, 255, 255))


def test_profiles() -> None:
    red = Image.new("RGB", (8, 8), (230, 20, 40))
    assert close(decode(save(red, "PNG", icc_profile=swapping_profile())).pixels, (20, 230, 40), 8)
    rgba = Image.new("RGBA", (8, 8), (230, 20, 40, 255))
    rgba.putpixel((0, 0), (230, 20, 40, 0))
    pixels = decode(save(rgba, "PNG", icc_profile=swapping_profile())).pixels
    assert close(pixels[4, 4], (20, 230, 40), 8) and close(pixels[0, 0], (255, 255, 255), 0)
    gray = Image.new("L", (8, 8), 128)
    assert close(decode(save(gray, "PNG", icc_profile=linear_gray_profile())).pixels, (188, 188, 188), 2)


def test_profiles_that_change_nothing() -> None:
    pixels = noise()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapping = swapping_profile()
    for useless in (srgb, b"not a profile", swapping[:200], odd_cmyk_profile(), linear_gray_profile()):
        assert np.array_equal(decode(save(pixels, "PNG", icc_profile=useless)).pixels, pixels)


def test_text_chunks_are_not_unpacked() -> None:
    bomb = chunk(b"zTXt", b"comment\0\0" + zlib.compress(b"x" * 30_000_000))
    workflow = chunk(b"tEXt", b"workflow\0" + b"{" * 3_000_000)
    odd = chunk(b"acTL", b"\0" * 8) + chunk(b"acTL", b"\xff" * 8)
    image = decode(png(2, 1, 8, 2, bytes([1, 2, 3, 4, 5, 6]), bomb * 5, workflow, odd))
    assert image.pixels.tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_flawed_tiff_tags_do_not_warn() -> None:
    beyond = gray_tiff((305, 2, 900, 0x7FFFFFF0))
    too_many = gray_tiff((274, 3, 2, 0x00010001))
    for data in (beyond, too_many):
        assert (decode(data).pixels == 100).all()


def test_from_pil_neither_changes_nor_closes_the_image() -> None:
    data, _ = animation("GIF")
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        second = from_pil(image)
        assert (second.frames, second.notes, image.tell()) == (3, (), 1)
        assert close(second.pixels, (140, 40, 90))
        image.seek(0)
        assert from_pil(image).notes == (FIRST_OF_FRAMES,)
    turned = Image.open(io.BytesIO(save(smooth(), "JPEG", exif=exif(6))))
    assert (from_pil(turned).width, turned.size) == (72, (96, 72))
    assert from_pil(Image.new("L", (3, 2))).format == "PIL"
    with pytest.raises(TooManyPixelsError):
        from_pil(Image.new("L", (30, 20)), max_pixels=599)


def test_from_array() -> None:
    pixels = noise()
    image = from_array(pixels)
    assert image.pixels is pixels and (image.width, image.height, image.format) == (96, 72, "array")
    assert from_array(pixels[:, ::2]).pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("array", "got"),
    [
        (np.zeros((4, 5, 3)), r"float64 and shape \(4, 5, 3\)"),
        (np.zeros((4, 5), np.uint8), r"uint8 and shape \(4, 5\)"),
        (np.zeros((3, 4, 5), np.uint8), r"shape \(3, 4, 5\)"),
        (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\)"),
        ([[1, 2, 3]], "list"),
    ],
)
def test_arrays_that_are_not_images(array: object, got: str) -> None:
    with pytest.raises(InvalidArrayError, match=rf"{got}; wanted .*uint8.*\(height, width, 3\)"):
        from_array(array)


def test_many_threads_decode_the_same() -> None:
    files = [
        animation("GIF")[0],
        save(noise(), "TIFF"),
        save(noise(), "PNG"),
        save(smooth(), "AVIF"),
    ] * 12
    alone = [decode(data).pixels for data in files[:4]]
    start = threading.Barrier(8)

    def work(part: int) -> bool:
        start.wait()
        return all(
            np.array_equal(decode(data).pixels, alone[index % 4])
            for index, data in enumerate(files[part * 4 :])
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
