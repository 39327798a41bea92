from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aidetect import ConfigurationError
from aidetect_training.data import BalancedSampler, Crops, check_tiles, read_manifest, split
from aidetect_training.recipe import Phase
from aidetect_training.recipe_images import AugmentRecipe, DataRecipe

from .conftest import TOY, item, picture, write_manifest


def test_a_manifest_with_and_without_the_optional_columns(tmp_path: Path) -> None:
    write_manifest(tmp_path, [{"path": "a/b.png", "label": "1", "source": "s"}])
    (row,) = read_manifest(tmp_path)
    assert (row.path, row.label, row.source, row.origin) == (tmp_path / "a/b.png", 1, "s", "s")
    assert row.group == "s"
    full = {
        "path": "b.png",
        "label": "0",
        "source": "s",
        "origin": "o",
        "generator": "",
        "category": "art",
    }
    write_manifest(tmp_path, [full])
    (row,) = read_manifest(tmp_path)
    assert (row.origin, row.group) == ("o", "art")


def test_a_manifest_written_by_a_spreadsheet(tmp_path: Path) -> None:
    text = "path,label,source\r\na.png,0,s\r\n\r\n"
    (tmp_path / "manifest.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read_manifest(tmp_path)) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,source\na.png,s\n", "manifest.csv has no column label"),
        ("", "no column label, path, source"),
        ("path,label,source\na.png,0,s\nb.png,ai,s\n", r"line 3: label is 'ai'"),
        ("path,label,source\na.png\n", r"line 2: label is None"),
        ("path,label,source\n,0,s\n", r"line 2: path or source is empty"),
        ("path,label,source\na.png,0\n", r"line 2: path or source is empty"),
    ],
)
def test_a_bad_manifest_names_file_and_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=told) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path / "manifest.csv") in str(caught.value)


def test_a_missing_manifest_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"manifest\.csv: a data folder needs"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_bytes(b"path,label,source\n\xff\xff")
    with pytest.raises(ConfigurationError, match=r"manifest\.csv cannot be read"):
        read_manifest(tmp_path)


def test_an_origin_is_never_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    items = [item(int(rng.integers(2)), origin=f"owner_{rng.integers(20)}") for _ in range(500)]
    held_out = ("owner/3", "owner_7", "owner/11")
    training, validation = split(items, DataRecipe(validation_origins=held_out))
    assert {i.origin for i in validation} == {"owner_3", "owner_7", "owner_11"}
    assert not {i.origin for i in training} & {i.origin for i in validation}
    assert sorted(training + validation, key=id) == sorted(items, key=id)


def test_one_origin_in_two_spellings_stays_together() -> None:
    items = [item(0, origin="a/b"), item(1, origin="a_b"), item(0, origin="c"), item(1, origin="c")]
    _, validation = split(items, DataRecipe(validation_origins=("a_b",)))
    assert validation == items[:2]


def test_a_split_that_cannot_work_says_why() -> None:
    items = [item(0, origin="a"), item(1, origin="a"), item(0, origin="b")]
    with pytest.raises(ConfigurationError, match=r"do not have.*'nobody'"):
        split(items, DataRecipe(validation_origins=("nobody",)))
    with pytest.raises(ConfigurationError, match="the validation part needs images of both classes"):
        split(items, DataRecipe(validation_origins=("b",)))
    with pytest.raises(ConfigurationError, match="the training part needs images of both classes"):
        split(items, DataRecipe(validation_origins=("a",)))


ITEMS = (
    [item(0, group="photo", origin="p")] * 64
    + [item(0, group="art", origin="q")] * 4
    + [item(1, group="big", origin="x")] * 81
    + [item(1, group="big", origin="y")] * 9
    + [item(1, group="small", origin="z")] * 10
)


def draws(
    recipe: DataRecipe, samples: int = 20_000, seed: int = 5, start: int = 0
) -> list[tuple[int, int]]:
    return list(BalancedSampler(ITEMS, recipe, samples, seed, start))


def test_classes_take_turns_and_draws_are_numbered() -> None:
    drawn = draws(DataRecipe(), 1001)
    assert [ITEMS[index].label for index, _ in drawn] == [0, 1] * 500 + [0]
    assert [k for _, k in drawn] == list(range(1001))


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_groups_then_origins_are_drawn_by_their_size_to_the_balance(balance: float) -> None:
    counts: Counter[tuple[int, str, str]] = Counter()
    drawn = draws(DataRecipe(balance=balance))
    for index, _ in drawn:
        counts[ITEMS[index].label, ITEMS[index].group, ITEMS[index].origin] += 1

    def share(*sizes: int) -> float:
        return sizes[0] ** balance / sum(size**balance for size in sizes)

    wanted = {
        (0, "photo", "p"): share(64, 4),
        (0, "art", "q"): share(4, 64),
        (1, "big", "x"): share(90, 10) * share(81, 9),
        (1, "big", "y"): share(90, 10) * share(9, 81),
        (1, "small", "z"): share(10, 90),
    }
    assert {key: count / 10_000 for key, count in counts.items()} == pytest.approx(wanted, abs=0.02)


def test_tiles_of_one_origin_are_drawn_alike() -> None:
    counts = Counter(index for index, _ in draws(DataRecipe(), 40_000))
    of_photo = [counts[index] for index in range(64)]
    expected = 20_000 * 8 / 10 / 64
    assert all(abs(count - expected) < 6 * expected**0.5 for count in of_photo)


@pytest.mark.parametrize("start", [1, 16, 4095, 4096, 4097, 9000])
def test_a_resumed_sampler_goes_on_with_the_same_draws(start: int) -> None:
    assert draws(DataRecipe(), 9001, start=start) == draws(DataRecipe(), 9001)[start:]
    assert len(BalancedSampler(ITEMS, DataRecipe(), 9001, 5, start)) == 9001 - start


def test_the_seed_decides_the_draws() -> None:
    assert draws(DataRecipe(), 200) == draws(DataRecipe(), 200)
    assert draws(DataRecipe(), 200) != draws(DataRecipe(), 200, seed=6)


def test_a_crop_depends_on_the_seed_and_the_number_of_its_draw_alone(tiles: Path) -> None:
    recipe = replace(TOY, augment=AugmentRecipe())
    crops = Crops(read_manifest(tiles), recipe, Phase(32, 10, 5), seed=4)
    pixels, label = crops[7, 3]
    assert pixels.shape == (3, 32, 32) and pixels.dtype == torch.uint8 and label == 1
    torch.manual_seed(99)
    assert torch.equal(crops[7, 3][0], pixels)
    assert not torch.equal(crops[7, 4][0], pixels)
    other = Crops(read_manifest(tiles), recipe, Phase(32, 10, 5), seed=5)
    assert not torch.equal(other[7, 3][0], pixels)


def test_tiles_too_small_missing_or_broken_are_told_before_they_are_needed(tmp_path: Path) -> None:
    picture(0, 64, 40, np.random.default_rng(0)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not an image")
    good, broken = item(0, path=str(tmp_path / "a.png")), item(0, path=str(tmp_path / "b.png"))
    missing = item(0, path=str(tmp_path / "c.png"))
    check_tiles([good], 40)
    with pytest.raises(ConfigurationError, match=r"a\.png is 64×40 pixels, but .* crops of 41"):
        check_tiles([good], 41)
    for bad in (broken, missing):
        with pytest.raises(ConfigurationError, match=f"{bad.path.name} cannot be opened"):
            check_tiles([good, bad], 40)
