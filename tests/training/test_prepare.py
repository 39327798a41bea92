import csv
import hashlib
import io
import random
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect import ConfigurationError
from aidetect_training.data import read_manifest
from aidetect_training.prepare import TileOptions, _stored, cut, equalise, make_images, make_tiles

from .conftest import picture, write_manifest

OPTIONS = TileOptions(size=64, native=2, cap=500)


def row(path: str, label: int, source: str = "s", **more: str) -> dict[str, str]:
    return {
        "path": path,
        "label": str(label),
        "source": source,
        "origin": "",
        "generator": "",
        "grid": "",
    } | more


def made(folder: Path) -> list[dict[str, str]]:
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lossless squares from generators, JPEGs from a camera, a sheet, and files that are broken."""
    folder = tmp_path_factory.mktemp("originals")
    rng = np.random.default_rng(1)
    rows = []
    for number in range(8):
        picture(1, 360, 360, rng).save(folder / f"a{number}.png")
        rows.append(row(f"a{number}.png", 1, "gallery", generator="gen", origin="owner/gallery"))
        exif = Image.Exif()
        exif[0x010F] = "a camera's maker"
        picture(0, 480, 340, rng).save(folder / f"r{number}.jpg", exif=exif, comment=b"a comment")
        rows.append(row(f"r{number}.jpg", 0, "album"))
    picture(1, 400, 400, rng).save(folder / "sheet.png")
    rows.append(row("sheet.png", 1, "sheets", grid="2"))
    (folder / "text.jpg").write_text("no image", encoding="utf-8")
    (folder / "half.png").write_bytes((folder / "a0.png").read_bytes()[:4000])
    rows += [row("text.jpg", 0, "broken"), row("half.png", 1, "broken"), row("gone.jpg", 0, "broken")]
    write_manifest(folder, rows)
    return folder


def test_lossless_originals_are_compressed_and_others_are_not() -> None:
    image = picture(0, 300, 300, np.random.default_rng(0))
    qualities = []
    for seed in range(60):
        _, lossless = equalise(image, True, random.Random(seed))
        _, lossy = equalise(image, False, random.Random(seed))
        qualities.append(int(lossless[0].removeprefix("jpeg")))
        assert not any(step.startswith("jpeg") for step in lossy)
    assert min(qualities) >= 78 and max(qualities) <= 96 and len(set(qualities)) > 10


@pytest.mark.parametrize("lossless", [True, False])
def test_large_originals_are_scaled_and_a_third_of_the_others(lossless: bool) -> None:
    large = Image.new("RGB", (2400, 1200))
    for seed in range(10):
        changed, history = equalise(large, lossless, random.Random(seed))
        assert 640 <= changed.width <= 1536 and changed.width == pytest.approx(2 * changed.height, abs=2)
        assert history[-1] == f"scale{changed.width / 2400:.2f}"
    sizes = [
        equalise(Image.new("RGB", (600, 400)), lossless, random.Random(seed))[0].size
        for seed in range(300)
    ]
    assert 70 <= sum(size != (600, 400) for size in sizes) <= 130
    assert min(min(size) for size in sizes) >= 256
    small = [
        equalise(Image.new("RGB", (250, 400)), lossless, random.Random(s))[0].size for s in range(30)
    ]
    assert set(small) == {(250, 400)}


@pytest.mark.parametrize(
    ("size", "views"),
    [
        ((300, 200), ["native", "native", "downscaled"]),
        ((73, 300), ["downscaled"]),
        ((40, 300), ["upscaled"]),
        ((1, 1), ["upscaled"]),
    ],
)
def test_tiles_of_an_image(size: tuple[int, int], views: list[str]) -> None:
    tiles = list(cut(Image.new("RGB", size, "white"), OPTIONS, random.Random(0)))
    assert [view for view, _ in tiles] == views
    assert all(tile.size == (64, 64) and np.asarray(tile).min() == 255 for _, tile in tiles)


def test_native_tiles_are_pieces_of_the_original() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    pieces = {pixels[i : i + 64, j : j + 64].tobytes() for i in range(17) for j in range(17)}
    for seed in range(20):
        tiles = list(cut(Image.fromarray(pixels), OPTIONS, random.Random(seed)))
        assert {np.asarray(tile).tobytes() for view, tile in tiles if view == "native"} <= pieces


def test_both_classes_get_the_same_kind_of_past(originals: Path, tmp_path: Path) -> None:
    counts = make_tiles(originals, tmp_path, OPTIONS, workers=1)
    rows = made(tmp_path)
    assert counts == {"originals": 17, "skipped": 3, "files": len(rows)}
    for entry in rows:
        with Image.open(tmp_path / entry["path"]) as tile:
            assert (tile.size, tile.format) == ((64, 64), "JPEG")
            assert not tile.getexif() and "comment" not in tile.info and "exif" not in tile.info
        lossless = entry["source"] != "album"
        assert bool(re.match(r"jpeg(7[89]|8\d|9[0-6])", entry["history"])) == lossless
        assert entry["path"].startswith("ai/" if entry["label"] == "1" else "real/")
    gallery = next(entry for entry in rows if entry["source"] == "gallery")
    assert (gallery["generator"], gallery["origin"]) == ("gen", "owner/gallery")
    assert next(entry for entry in rows if entry["source"] == "album")["origin"] == "album"
    assert len(read_manifest(tmp_path)) == len(rows)


def test_broken_originals_are_counted_and_listed_with_the_reason(
    originals: Path, tmp_path: Path
) -> None:
    assert make_tiles(originals, tmp_path, OPTIONS, workers=1)["skipped"] == 3
    lines = (tmp_path / "skipped.txt").read_text(encoding="utf-8").splitlines()
    reasons = dict(line.split("\t") for line in lines)
    assert set(reasons) == {"text.jpg", "half.png", "gone.jpg"}
    assert reasons["half.png"].startswith("CorruptImageError: ")
    assert reasons["text.jpg"].startswith("NotAnImageError: ")
    assert reasons["gone.jpg"].startswith("FileNotFoundError: ")


def test_two_pictures_are_taken_of_a_sheet(originals: Path, tmp_path: Path) -> None:
    make_tiles(originals, tmp_path, OPTIONS, workers=1)
    sheet = [entry for entry in made(tmp_path) if entry["source"] == "sheets"]
    assert [entry["view"] for entry in sheet] == ["native", "native", "downscaled"] * 2
    past = [entry["history"] for entry in sheet]
    assert len(set(past[:3])) == len(set(past[3:])) == 1


def test_no_collection_gives_more_than_the_cap(originals: Path, tmp_path: Path) -> None:
    counts = make_tiles(originals, tmp_path, TileOptions(size=64, native=0, cap=3), workers=1)
    assert counts["originals"] == 3 + 3 + 1
    sources = [entry["source"] for entry in made(tmp_path)]
    assert sources.count("gallery") == sources.count("album") == 3


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_the_seed_decides_whatever_the_number_of_processes(originals: Path, tmp_path: Path) -> None:
    make_tiles(originals, tmp_path / "one", OPTIONS, workers=1, seed=4)
    make_tiles(originals, tmp_path / "two", OPTIONS, workers=2, seed=4)
    make_tiles(originals, tmp_path / "other", OPTIONS, workers=1, seed=5)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert digest(tmp_path / "one") != digest(tmp_path / "other")


def test_whole_images_of_the_wanted_origins(originals: Path, tmp_path: Path) -> None:
    counts = make_images(originals, tmp_path, ["owner_gallery", "album"], workers=1)
    rows = made(tmp_path)
    assert counts["originals"] == len(rows) == 16
    assert {entry["origin"] for entry in rows} == {"owner/gallery", "album"}
    kinds = set()
    for entry in rows:
        with Image.open(tmp_path / entry["path"]) as image:
            kinds.add(image.format)
            assert 340 <= max(image.size) <= 480
            assert not image.getexif() and not {"exif", "comment", "icc_profile", "xmp"} & set(
                image.info
            )
            # The PNGs of class 1 have been compressed once before, as the JPEGs of class 0 were.
            before = r"jpeg\d\d\+" if entry["label"] == "1" else ""
            how = rf"{before}(scale\S+\+)?(?P<how>png|webp\d\d|jpeg\d+(-444)?)"
            told = re.fullmatch(how, entry["history"])
            assert told and told["how"].startswith((image.format or "").lower())
            full = image.format == "JPEG" and image.layer[0][1:3] == (1, 1)  # type: ignore[attr-defined]
            assert full == told["how"].endswith("-444")
    assert kinds <= {"JPEG", "WEBP", "PNG"}


def test_two_thirds_of_whole_images_are_stored_finely() -> None:
    picture, rng = Image.new("RGB", (16, 16)), random.Random(1)
    ways = [_stored(picture, rng)[2] for _ in range(600)]

    def share(pattern: str) -> float:
        return sum(bool(re.fullmatch(pattern, how)) for how in ways) / len(ways)

    lossless, fine = share("png"), share(r"jpeg(9[3-9]|100)(-444)?")
    usual = share(r"webp(7[5-9]|8\d|90)|jpeg(7[89]|8\d|9[0-2])")
    assert lossless + fine + usual == pytest.approx(1)
    assert lossless == pytest.approx(0.2, abs=0.06) and usual == pytest.approx(1 / 3, abs=0.06)
    assert share("jpeg.*-444") == pytest.approx(fine * 2 / 3, abs=0.06)


def test_whole_images_keep_their_bounds(tmp_path: Path) -> None:
    rows = []
    for number, side in enumerate((339, 340, 1500, 3000)):
        Image.new("RGB", (side, side // 3), (90, 120, number)).save(tmp_path / f"{number}.png")
        rows.append(row(f"{number}.png", number % 2))
    write_manifest(tmp_path, rows)
    for seed in range(4):
        out = tmp_path / f"out{seed}"
        assert make_images(tmp_path, out, ["s"], workers=1, seed=seed) == {
            "originals": 3, "files": 3, "skipped": 1,
        }  # fmt: skip
        for entry in made(out):
            with Image.open(io.BytesIO((out / entry["path"]).read_bytes())) as image:
                assert 340 <= image.width <= 896
        assert (out / "skipped.txt").read_text(encoding="utf-8") == "0.png\tsmaller than 340 pixels\n"
    assert make_images(tmp_path, tmp_path / "capped", ["s"], cap=1, workers=1)["originals"] <= 2


def test_whole_images_of_the_other_origins_are_small_ones_too(tmp_path: Path) -> None:
    rows = []
    for number, side in enumerate((199, 200, 3000)):
        Image.new("RGB", (side, side // 2), (90, 120, number)).save(tmp_path / f"{number}.png")
        rows.append(row(f"{number}.png", number % 2, source="here"))
    write_manifest(tmp_path, [*rows, row("2.png", 1, source="held out")])
    out = tmp_path / "out"
    assert make_images(tmp_path, out, ["held out"], others=True, workers=1)["files"] == 2
    widths = {}
    for entry in made(out):
        assert entry["source"] == "here"
        with Image.open(out / entry["path"]) as image:
            widths[image.width] = float(entry["scale"])
    assert widths.pop(200) == 1
    ((width, scale),) = widths.items()
    assert scale == pytest.approx(width / 3000, abs=1e-4)
    assert {round(item.scale, 4) for item in read_manifest(out)} == {1, scale}


@pytest.mark.parametrize("scale", ["0", "half", "-1", "nan", "0.0"])
def test_a_scale_that_is_none_is_told_with_its_line(tmp_path: Path, scale: str) -> None:
    write_manifest(tmp_path, [row("a.png", 0, scale="0.25"), row("b.png", 1, scale=scale)])
    with pytest.raises(ConfigurationError, match=r"manifest\.csv, line 3: scale"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("grid", ["0", "two", "-1"])
def test_a_grid_that_is_no_number_is_told_with_its_line(tmp_path: Path, grid: str) -> None:
    write_manifest(tmp_path, [row("a.png", 0), row("b.png", 1, grid=grid)])
    with pytest.raises(ConfigurationError, match=r"manifest\.csv, line 3: grid"):
        make_tiles(tmp_path, tmp_path / "out", OPTIONS, workers=1)


def test_a_folder_without_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"manifest\.csv"):
        make_tiles(tmp_path, tmp_path / "out", OPTIONS, workers=1)
