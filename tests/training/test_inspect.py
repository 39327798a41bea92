"""Looking at a data set: what is counted, near-duplicates found and told apart, pictures drawn."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect import ConfigurationError
from aidetect_training.cli import main
from aidetect_training.inspect import difference_hash, jpeg_quality, look, near_duplicates

from .conftest import item, picture, write_manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 real JPEGs of 200×150, 12 AI PNGs of 128×128, one of them a small copy of a real one, and one
    broken file."""
    folder = tmp_path_factory.mktemp("inspected")
    rng = np.random.default_rng(5)
    rows = []
    for number in range(24):
        label = number % 2
        name = f"{number}.{'png' if label else 'jpg'}"
        made = picture(label, *((128, 128) if label else (200, 150)), rng)
        if number == 23:
            with Image.open(folder / "0.jpg") as twin:
                made = twin.resize((128, 128))
        made.save(folder / name, **({} if label else {"quality": 80}))
        rows.append(
            {"path": name, "label": str(label), "source": f"s{number % 3}", "generator": "g" * label}
        )
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    rows.append({"path": "broken.png", "label": "1", "source": "s0", "generator": "g"})
    write_manifest(folder, rows)
    return folder


def test_a_folder_is_counted_by_class_and_drawn(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(folder), "--out", str(tmp_path), "--workers", "1"]) == 0
    found = json.loads((tmp_path / "inspect.json").read_text())
    real, ai = found["classes"]["real"], found["classes"]["ai"]
    assert (real["images"], real["formats"], real["square"]) == (12, {"JPEG": 12}, 0)
    assert (ai["images"], ai["formats"], ai["square"]) == (12, {"PNG": 12}, 1)
    assert real["width"]["median"] == 200 and ai["height"]["most"] == 128
    assert real["jpeg_quality"]["median"] == 80 and ai["jpeg_quality"] == {}
    assert all(60 < mean < 196 for mean in real["mean_rgb"])
    assert len(found["unreadable"]) == 1 and "broken.png" in found["unreadable"][0]
    assert found["near_duplicates"]["across_classes"] == 1
    with open(tmp_path / "duplicates.csv", newline="") as table:
        (pair,) = [row for row in csv.DictReader(table) if row["label"] != row["other_label"]]
    assert {Path(pair["path"]).name, Path(pair["other"]).name} == {"0.jpg", "23.png"}
    for name in ("classes", "sizes", "colours", "samples"):
        with Image.open(tmp_path / f"{name}.png") as drawn:
            assert np.ptp(np.asarray(drawn.convert("L"))) > 100, name
    assert "1 across classes; 1 unreadable" in capsys.readouterr().out


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(tmp_path: Path, quality: int) -> None:
    path = tmp_path / "x.jpg"
    Image.new("RGB", (16, 16)).save(path, quality=quality)
    assert abs(jpeg_quality(path.read_bytes()) - quality) <= 1


def test_the_hash_outlives_scaling_and_compression_but_not_another_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hashes = []
    for number in range(20):
        made = picture(0, 240, 180, rng)
        path = tmp_path / f"{number}.jpg"
        made.resize((150, 112)).save(path, quality=60)
        with Image.open(path) as again:
            hashes += [difference_hash(made), difference_hash(again)]
    pairs = set(near_duplicates(hashes))
    assert len(pairs & {(2 * n, 2 * n + 1) for n in range(20)}) >= 18
    assert not {pair for pair in pairs if pair[0] // 2 != pair[1] // 2}


def test_near_duplicates_are_exactly_those_within_three_bits() -> None:
    rng = random.Random(0)
    hashes = [rng.getrandbits(64) for _ in range(50)]
    for flips in range(6):
        value = hashes[flips]
        for bit in rng.sample(range(64), flips):
            value ^= 1 << bit
        hashes.append(value)
    close = {
        (a, b) for a in range(56) for b in range(a + 1, 56) if (hashes[a] ^ hashes[b]).bit_count() <= 3
    }
    assert set(near_duplicates(hashes)) == close and len(close) == 4


def test_flat_images_are_not_one_another_s_duplicates() -> None:
    assert near_duplicates([0, 0, 1, 2**64 - 1, 2**64 - 1]) == []


def test_unreadable_images_are_told_and_a_folder_of_nothing_else_refused(tmp_path: Path) -> None:
    told = look(item(1, path=str(tmp_path / "absent.png")))
    assert isinstance(told, str) and told.startswith(f"{tmp_path / 'absent.png'}\t")
    rows = [{"path": f"{label}.png", "label": str(label), "source": "s"} for label in (0, 1)]
    write_manifest(tmp_path, rows)
    from aidetect_training.inspect import inspect
    from aidetect_training.layouts import read_dataset

    with pytest.raises(ConfigurationError, match="none of the 2 images can be read"):
        inspect(read_dataset(tmp_path), tmp_path / "out", workers=1)
