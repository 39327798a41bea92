"""`Detector.explain`, its pictures, and `aidetect explain`."""

import io
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect import ConfigurationError, Detector, Explanation, NotAnImageError
from aidetect._cli import main
from aidetect._heatmap import HeatMap
from aidetect._picture import colours, overlay, scale_of
from aidetect._spectrum import power_spectrum, radial_profile

# Machado et al. 2009, severity 1, on linear RGB.
DEFICIENCIES = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(backend="onnx", threads=1, views="fast")


@pytest.fixture(scope="module")
def explained(detector: Detector, photograph: Path) -> Explanation:
    return detector.explain(photograph)


def test_agrees_with_check_whatever_the_image_comes_as(
    detector: Detector, photograph: Path, explained: Explanation
) -> None:
    verdict = detector.check(photograph)
    assert (explained.verdict.label, explained.verdict.probability) == (
        verdict.label,
        verdict.probability,
    )
    assert explained.verdict.source == str(photograph) and explained.verdict.image == verdict.image
    pixels = np.asarray(Image.open(photograph).convert("RGB"))
    for given in (
        photograph.read_bytes(),
        io.BytesIO(photograph.read_bytes()),
        pixels,
        Image.fromarray(pixels),
    ):
        np.testing.assert_allclose(detector.explain(given).array, explained.array, atol=1e-4)
    with pytest.raises(NotAnImageError):
        detector.explain(b"nothing")


def test_is_frozen_and_keeps_the_map_of_the_whole_image(explained: Explanation) -> None:
    with pytest.raises(FrozenInstanceError):
        explained.verdict = explained.verdict  # type: ignore[misc]
    assert explained.array.shape == (384, 512)
    # The shipped model decides by the centre square and the corners.
    assert np.isfinite(explained.array).all()


def test_shows_nothing_where_it_did_not_look(detector: Detector) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (100, 600, 3), dtype=np.uint8)
    seen = np.isfinite(detector.explain(wide).array)
    places = np.zeros(512, bool)
    for left, right in ((0, 60), (250, 350), (540, 600)):
        places[round(left * 512 / 600) : round(right * 512 / 600)] = True
    np.testing.assert_array_equal(seen, np.broadcast_to(places, seen.shape))


def test_pictures_have_the_image_and_a_legend(explained: Explanation) -> None:
    assert explained.picture.shape == (480, 640, 3)
    over, both = explained.overlay(), explained.side_by_side()
    assert over.width == 640 and over.height > 480 and both.width > 2 * 640
    np.testing.assert_array_equal(np.asarray(both)[:480, :640], explained.picture)
    legend = np.asarray(over)[480:]
    assert len(np.unique(legend.reshape(-1, 3), axis=0)) > 100
    assert min(explained.spectrum().size) > 300


def test_raw_picture_is_the_documented_grey(explained: Explanation) -> None:
    raw = explained.raw()
    assert raw.mode == "L" and raw.size == (512, 384)
    grey, seen = np.asarray(raw), np.isfinite(explained.array)
    assert not grey[~seen].any()
    shown = explained.array[seen].clip(-127 / 32, 127 / 32)
    np.testing.assert_allclose((grey[seen] - 128.0) / 32, shown, atol=1 / 64 + 1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (2000, 1500), (64, 64)])
def test_images_of_any_size_have_pictures(detector: Detector, size: tuple[int, int]) -> None:
    given = detector.explain(np.zeros((size[1], size[0], 3), np.uint8))
    assert 448 <= max(given.picture.shape) <= 1024
    for picture in (given.overlay(), given.side_by_side(), given.raw(), given.spectrum()):
        assert min(picture.size) >= 1


def test_sign_shows_without_colour(explained: Explanation) -> None:
    """A map towards AI and its negative differ where printed in grey, and by their signs."""
    values = np.full((40, 40), 1.5, np.float32)
    picture = np.full((480, 480, 3), 128, np.uint8)
    ai, real = (
        np.asarray(overlay(picture, HeatMap(v, 480, 480), explained.verdict).convert("L"), np.float32)[
            :480
        ]
        for v in (values, -values)
    )
    assert np.median(ai) > 128 + 20 and np.median(real) < 128 - 20
    white = [np.asarray(m == 255) for m in (ai, real)]
    assert white[0].sum() > 1.5 * white[1].sum() > 0  # a plus has two strokes, a minus one


def test_weak_maps_look_weak() -> None:
    assert scale_of(HeatMap(np.full((4, 4), 0.01, np.float32), 4, 4)) == 1.0
    assert scale_of(HeatMap(np.array([[2.1, np.nan]], np.float32), 4, 4)) == 2.5


@pytest.mark.parametrize("kind", [None, *DEFICIENCIES])
def test_colours_rise_in_lightness_for_every_eye(kind: str | None) -> None:
    ramp = colours(np.linspace(-1, 1, 101, dtype=np.float32), 1.0).astype(float) / 255
    linear = np.where(ramp <= 0.04045, ramp / 12.92, ((ramp + 0.055) / 1.055) ** 2.4)
    if kind:
        linear = (linear @ np.array(DEFICIENCIES[kind]).T).clip(0, 1)
    lightness = linear @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > 0).all() and lightness[-1] - lightness[0] > 0.6


def test_spectrum_shows_a_period() -> None:
    x = np.arange(300)
    stripes = (128 + 60 * np.cos(2 * np.pi * x / 4)).astype(np.uint8)
    power = power_spectrum(np.broadcast_to(stripes[None, :, None], (200, 300, 3)))
    assert power.shape == (128, 128)
    assert np.unravel_index(int(power.argmax()), power.shape) in ((64, 32), (64, 96))
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    profile = radial_profile(power_spectrum(noise), 16)
    assert np.ptp(profile[1:]) < 0.2  # white noise has as much of each


def test_save_refuses_what_cannot_be(explained: Explanation, tmp_path: Path) -> None:
    explained.save(tmp_path / "one.png", "raw")
    with Image.open(tmp_path / "one.png") as image:
        assert image.size == (512, 384)
    with pytest.raises(ConfigurationError, match=r"no picture 'x\\x1b'.*overlay"):
        explained.save(tmp_path / "two.png", "x\x1b")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="cannot be written"):
        explained.save(tmp_path / "missing" / "two.png")


def test_nothing_of_the_name_is_drawn(explained: Explanation) -> None:
    hostile = replace(explained, verdict=replace(explained.verdict, source="\x1b[31m<script>" * 50))
    np.testing.assert_array_equal(np.asarray(hostile.overlay()), np.asarray(explained.overlay()))


def test_notebooks_show_it(explained: Explanation) -> None:
    assert explained._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["overlay", "side-by-side", "raw", "spectrum"])
def test_command_writes_the_picture(
    kind: str, photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "map.png"
    command = ["explain", str(photograph), "-o", str(out), "--kind", kind, "--views", "fast"]
    assert main([*command, "--backend", "onnx", "--threads", "1"]) == 0
    assert "P(AI)" in (shown := capsys.readouterr()).out and "map.png" in shown.err
    with Image.open(out) as image:
        assert image.format == "PNG"


def test_command_keeps_the_image_and_tells_what_is_wrong(
    photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "a.png"
    copy.write_bytes(photograph.read_bytes())
    assert main(["explain", str(copy), "-o", str(tmp_path / "." / "a.png")]) == 2
    assert copy.read_bytes() == photograph.read_bytes()
    assert main(["explain", str(tmp_path / "none.jpg"), "-o", str(tmp_path / "b.png")]) == 1
    assert main(["explain", str(copy)]) == 2
    assert "no such file" in capsys.readouterr().err and not (tmp_path / "b.png").exists()
