"""The view contract: golden vectors, geometry, determinism; and the flatness measure.

`python tests/sdk/test_views.py` writes the golden file anew; that is only right together with a
new CONTRACT number.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aidetect._errors import ConfigurationError, InvalidArrayError
from aidetect._image import decode
from aidetect._views import CONTRACT, MIN_SIDE, PROFILES, Views, extract_views, flatness

GOLDEN = Path(__file__).with_name("golden_views_v1.json")
CASES = [
    # width, height, profile, size
    (640, 480, "default", 128),
    (512, 512, "default", 224),
    (2600, 1900, "thorough", 128),
    (1201, 301, "default", 224),
    (97, 90, "default", 128),
    (1, 1, "fast", 128),
    (128, 300, "fast", 128),
    (333, 1800, "thorough", 224),
]
JPEG_CASE = (1900, 1300, "default", 128)


def synthetic(width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Slopes, edges and grain from integer arithmetic alone: the same on every platform."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint32)
    grain = ((x * 2654435761 + y * 40503) >> 7) % 23
    red = x * 200 // max(1, width) + grain
    green = np.where((x // 40 + y // 56) % 2 == 0, 60, 190) + grain
    blue = (x * x // 97 + y * y // 61) // 16 % 220 + grain
    return np.stack([red, green, blue], axis=2).clip(0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()


def samples(views: Views) -> list[list[list[int]]]:
    """A coarse grid of 5×5 pixels of every view."""
    size = views.pixels.shape[1]
    at = np.linspace(size // 9, size - 1 - size // 9, 5).astype(int)
    return [view[at][:, at].reshape(-1, 3).tolist() for view in views.pixels]


def golden_of(width: int, height: int, profile: str, size: int) -> dict[str, Any]:
    views = extract_views(synthetic(width, height), profile, size)
    return {
        "case": [width, height, profile, size],
        "boxes": [list(box) for box in views.boxes],
        "sha256": [hashlib.sha256(view.tobytes()).hexdigest() for view in views.pixels],
        "first_pixels": [view[0, 0].tolist() for view in views.pixels],
    }


def golden_file() -> dict[str, Any]:
    width, height, profile, size = JPEG_CASE
    views = extract_views(decode(jpeg(synthetic(width, height))).pixels, profile, size)
    return {
        "contract": CONTRACT,
        "exact": [golden_of(*case) for case in CASES],
        "jpeg": {"case": list(JPEG_CASE), "samples": samples(views)},
    }


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(GOLDEN.read_text())
    return loaded


def test_golden_file_is_of_this_contract(golden: dict[str, Any]) -> None:
    assert golden["contract"] == CONTRACT == 1
    assert [tuple(entry["case"]) for entry in golden["exact"]] == CASES


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda i: "{}x{}-{}-{}".format(*CASES[i]))
def test_views_equal_the_golden_vectors(golden: dict[str, Any], index: int) -> None:
    assert golden_of(*CASES[index]) == golden["exact"][index]


def test_views_of_a_jpeg_are_near_the_golden_ones(golden: dict[str, Any]) -> None:
    width, height, profile, size = JPEG_CASE
    views = extract_views(decode(jpeg(synthetic(width, height))).pixels, profile, size)
    difference = np.abs(np.array(samples(views), float) - np.array(golden["jpeg"]["samples"]))
    assert difference.mean(axis=(1, 2)).max() <= 1.0


def test_global_view_is_the_centre_and_is_not_squashed() -> None:
    pixels = np.zeros((300, 900, 3), np.uint8)
    pixels[:, 300:600] = 200
    views = extract_views(pixels, "fast", 128)
    assert views.kinds[0] == "global"
    assert views.boxes[0] == (300, 0, 600, 300)
    assert (views.pixels[0] == 200).all()


@pytest.mark.parametrize("side", [500, 1024, 1025, 1537, 2300])
def test_block_averaging_stays_near_the_plain_filter(side: int) -> None:
    pixels = synthetic(side + 30, side)
    square = Image.fromarray(pixels[:, 15 : 15 + side])
    plain = square.resize((128, 128), Image.Resampling.BICUBIC)
    view = extract_views(pixels, "fast", 128).pixels[0]
    difference = np.abs(view.astype(int) - np.asarray(plain))
    assert difference.mean() < 1.0
    if side < 1024:
        assert difference.max() == 0


def test_native_views_are_untouched_source_pixels() -> None:
    pixels = synthetic(900, 700)
    views = extract_views(pixels, "default", 128)
    assert views.kinds == ("global",) + ("native",) * 8
    for view, (left, top, right, bottom) in zip(views.pixels[1:], views.boxes[1:], strict=True):
        assert left % 16 == 0 and top % 16 == 0
        assert np.array_equal(view, pixels[top:bottom, left:right])


def shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)


@pytest.mark.parametrize("size", [32, 33, 128, 224])
@pytest.mark.parametrize("profile", list(PROFILES))
def test_crops_fit_and_never_share_more_than_half(profile: str, size: int) -> None:
    for width in (size, size + 1, size + 17, 2 * size - 1, 2 * size, 3 * size + 5, 9 * size):
        for height in (size, size + 15, size + 113, 2 * size + 1, 5 * size):
            pixels = np.zeros((height, width, 3), np.uint8)
            boxes = extract_views(pixels, profile, size).boxes[1:]
            assert len(boxes) <= PROFILES[profile].native
            for index, box in enumerate(boxes):
                assert min(box) >= 0 and box[2] <= width and box[3] <= height
                assert box[2] - box[0] == box[3] - box[1] == size
                assert all(2 * shared(box, other) <= size * size for other in boxes[:index])


@pytest.mark.parametrize("profile", list(PROFILES))
def test_a_photograph_gets_all_crops_spread_over_it(profile: str) -> None:
    boxes = extract_views(np.zeros((1500, 2000, 3), np.uint8), profile, 128).boxes[1:]
    assert len(boxes) == PROFILES[profile].native
    centres = np.array([((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes])
    assert np.abs(centres.mean(axis=0) - (1000, 750)).max() <= 16
    if profile != "fast":
        assert all(shared(a, b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])


def test_no_native_crop_where_there_is_no_room() -> None:
    assert extract_views(synthetic(127, 4000), "thorough", 128).kinds == ("global",)
    assert extract_views(synthetic(3, 2), "default", 128).pixels.shape == (1, 128, 128, 3)


def test_an_exact_square_is_seen_once() -> None:
    pixels = synthetic(128, 128)
    views = extract_views(pixels, "thorough", 128)
    assert views.kinds == ("global",)
    assert np.array_equal(views.pixels[0], pixels)


def test_read_only_and_strided_pixels_give_the_same_views() -> None:
    pixels = synthetic(1400, 1200)
    frozen = pixels.copy()
    frozen.setflags(write=False)
    strided = np.flip(np.flip(pixels, 1).copy(), 1)
    for other in (frozen, strided):
        views = extract_views(other, "default", 128)
        assert np.array_equal(views.pixels, extract_views(pixels, "default", 128).pixels)
        assert views.pixels.flags.writeable and views.pixels.flags.c_contiguous


def test_wrong_arguments_are_named() -> None:
    pixels = synthetic(200, 200)
    with pytest.raises(ConfigurationError, match=r"'best'.*fast, default, thorough"):
        extract_views(pixels, "best", 128)
    with pytest.raises(ConfigurationError, match="size 8"):
        extract_views(pixels, "fast", 8)
    with pytest.raises(InvalidArrayError, match=r"float64, shape \(200, 200, 3\)"):
        extract_views(pixels.astype(float), "fast", 128)  # type: ignore[arg-type]


def test_flatness() -> None:
    blank = np.full((128, 128, 3), 37, np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    assert flatness(blank) == 1.0
    assert flatness(noise) == 0.0
    half = blank.copy()
    half[:64] = noise[:64]
    assert flatness(half) == 0.5
    slope = np.repeat(np.linspace(0, 255, 128).astype(np.uint8)[:, None, None], 128, 1).repeat(3, 2)
    assert 0 <= flatness(slope) < 0.3
    assert flatness(synthetic(128, 128)) < 0.1
    assert flatness(np.full((3, 5, 3), 9, np.uint8)) == 1.0
    assert flatness(noise[:3, :5]) == 0.0


def test_flatness_forgives_jpeg_noise_and_counts_paper() -> None:
    page = np.full((128, 128, 3), 250, np.uint8)
    page[16:112:16, 8:120] = 20
    assert 0.4 < flatness(page) < 0.8
    assert flatness(decode(jpeg(np.full((200, 200, 3), 120, np.uint8))).pixels) == 1.0


def test_the_least_side_lies_between_nothing_and_a_view() -> None:
    assert 1 < MIN_SIDE <= 128


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden_file(), indent=None, separators=(",", ":")) + "\n")
