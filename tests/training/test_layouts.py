"""Folders as data sets are published, and the split that the paper made of one of them."""

from pathlib import Path

import pytest
from sklearn.model_selection import train_test_split

from aidetect import ConfigurationError
from aidetect_training.data import Item, split
from aidetect_training.layouts import read_dataset
from aidetect_training.recipe import load_recipe
from aidetect_training.recipe_images import DataRecipe

from .conftest import item, write_manifest


def laid_out(folder: Path, *paths: str) -> list[Item]:
    """Empty files at `paths`, and how they are read: only names count here."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return read_dataset(folder)


def test_a_manifest_comes_before_everything_else(tmp_path: Path) -> None:
    rows = [{"path": f"ai/{label}.png", "label": label, "source": "s"} for label in "01"]
    write_manifest(tmp_path, rows)
    (tmp_path / "train.csv").write_text("not,a,table\n", encoding="utf-8")
    assert [(i.path.name, i.label) for i in read_dataset(tmp_path)] == [("0.png", 0), ("1.png", 1)]


def test_the_kaggle_table_in_its_order(tmp_path: Path) -> None:
    """With the nameless first column that the published file has."""
    text = ",file_name,label\n0,train_data/b.jpg,1\n1,train_data/a.jpg,0\n"
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    items = read_dataset(tmp_path)
    assert [(i.path, i.label) for i in items] == [
        (tmp_path / "train_data/b.jpg", 1),
        (tmp_path / "train_data/a.jpg", 0),
    ]
    assert {i.source for i in items} == {tmp_path.name}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file_name\na.jpg\n", r"train\.csv has no column label"),
        ("label\n1\n", r"train\.csv has no column file_name"),
        ("file_name,label\na.jpg,fake\n", r"line 2: label is 'fake'"),
        ("file_name,label\n,1\n", r"line 2: file_name is empty"),
        ("file_name,label\n", "holds no images"),
        ("file_name,label\na.jpg,1\nb.jpg,1\n", "0 real and 2 AI images; both classes"),
    ],
)
def test_a_bad_kaggle_table_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=told):
        read_dataset(tmp_path)


def test_class_folders_with_generators_and_categories_in_them(tmp_path: Path) -> None:
    items = laid_out(
        tmp_path, "Real/a.jpg", "Real/cats/b.JPEG", "fake/sdxl/deep/c.png", "fake/d.webp",
        "fake/notes.txt", "fake/._d.webp",
    )  # fmt: skip
    by_name = {i.path.name: (i.label, i.generator, i.category, i.source) for i in items}
    assert by_name == {
        "a.jpg": (0, "", "", tmp_path.name),
        "b.JPEG": (0, "", "cats", tmp_path.name),
        "c.png": (1, "sdxl", "", tmp_path.name),
        "d.webp": (1, "", "", tmp_path.name),
    }


def test_class_folders_below_parts(tmp_path: Path) -> None:
    items = laid_out(tmp_path, "train/REAL/a.jpg", "train/FAKE/b.jpg", "test/REAL/c.jpg")
    assert [(i.path.name, i.label, i.origin, i.generator) for i in items] == [
        ("c.jpg", 0, "test", ""),
        ("b.jpg", 1, "train", ""),
        ("a.jpg", 0, "train", ""),
    ]


def test_genimage_whose_own_validation_part_can_be_held_out(tmp_path: Path) -> None:
    paths = [
        f"{generator}/{part}/{kind}/{generator}{part}{kind}.png"
        for generator in ("Midjourney", "ADM")
        for part in ("train", "val")
        for kind in ("ai", "nature")
    ]
    items = laid_out(tmp_path, *paths)
    assert [i.path for i in items] == sorted(tmp_path / path for path in paths)
    for i in items:
        generator, part, kind, _ = i.path.relative_to(tmp_path).parts
        assert (i.label, i.origin) == (kind == "ai", f"{generator}/{part}")
        assert i.generator == (generator if kind == "ai" else "")
    recipe = DataRecipe(validation_origins=("ADM/val", "Midjourney/val"))
    training, validation = split(items, recipe)
    assert {i.path.parts[-3] for i in training} == {"train"} and len(validation) == 4


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["cats/a.jpg", "dogs/b.jpg"], r"a\.jpg lies in no folder named real, nature, ai or fake"),
        (["real/a.jpg", "b.jpg"], r"b\.jpg lies in no folder named"),
        (["real/ai/a.jpg"], r"a\.jpg lies in folders of both classes"),
        (["real/a.jpg", "ai/readme.txt"], "1 real and 0 AI images; both classes"),
        (["fake/a.jpg"], "0 real and 1 AI images; both classes"),
        (["real/a.txt"], "holds no images"),
    ],
)
def test_a_tree_that_says_too_little_is_told(tmp_path: Path, paths: list[str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        laid_out(tmp_path, *paths)


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere is no folder"):
        read_dataset(tmp_path / "nowhere")


def test_the_papers_split_of_its_79950_images(tmp_path: Path) -> None:
    """Random, not stratified: the published confusion matrix has 8,124 real and 7,866 AI images."""
    lines = [f"{k},train_data/{k}.jpg,{1 - k % 2}" for k in range(79_950)]
    text = "\n".join([",file_name,label", *lines]) + "\n"
    (tmp_path / "train.csv").write_text(text, encoding="utf-8")
    items = read_dataset(tmp_path)
    training, validation = split(items, load_recipe("paper").data)
    assert (len(training), len(validation)) == (63_960, 15_990)
    assert {i.path for i in training} | {i.path for i in validation} == {i.path for i in items}
    assert 7_800 < sum(i.label for i in validation) < 8_190
    assert [training, validation] == train_test_split(items, test_size=0.2, random_state=42)


def test_a_random_split_depends_on_its_own_seed_and_needs_both_classes() -> None:
    items = [item(k % 2, path=f"{k}.png") for k in range(200)]
    parts = [split(items, DataRecipe(validation_share=0.3, split_seed=seed)) for seed in (1, 1, 2)]
    assert parts[0] == parts[1] != parts[2]
    assert [len(part) for part in parts[0]] == [140, 60]
    for share in (0.001, 0.999):
        with pytest.raises(ConfigurationError, match="part needs images of both classes"):
            split(items, DataRecipe(validation_share=share))
