"""Tasks of several classes, and recipes that use a part of the data."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aidetect import ConfigurationError
from aidetect_training.cli import main
from aidetect_training.data import BalancedSampler, chosen, split
from aidetect_training.metrics import class_summary
from aidetect_training.recipe import Phase, load_recipe, read_changes
from aidetect_training.recipe_images import ClassRecipe, DataRecipe
from aidetect_training.train import train

from .conftest import TOY, item, picture, toy, write_manifest

CLASSES = (
    ClassRecipe("real view", "real", ("view", "photo")),
    ClassRecipe("real art", "real", ("art",)),
    ClassRecipe("AI art", "ai", ("art",)),
)
ITEMS = [
    item(label, group, origin, f"{label}{category}{origin}", category)
    for label, group in ((0, ""), (1, "sd1"), (1, "dalle2"))
    for category in ("view", "photo", "art", "human")
    for origin in ("a", "b")
]


def test_classes_are_made_of_label_and_category_and_the_rest_is_left_out() -> None:
    kept = chosen(ITEMS, DataRecipe(classes=CLASSES))
    assert [one.label for one in kept] == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert {one.category for one in kept if one.label == 0} == {"view", "photo"}
    assert all(one.path.name.startswith("1art") for one in kept if one.label == 2)
    assert DataRecipe(classes=CLASSES).names == ("real view", "real art", "AI art")


def test_filters_keep_some_categories_and_of_ai_some_generators() -> None:
    kept = chosen(ITEMS, DataRecipe(categories=("art",), generators=("sd1",)))
    assert {(one.label, one.generator, one.category) for one in kept} == {
        (0, "", "art"), (1, "sd1", "art"),
    }  # fmt: skip
    assert chosen(ITEMS, DataRecipe()) == ITEMS


def test_names_that_the_data_do_not_have_are_told() -> None:
    with pytest.raises(ConfigurationError, match="no category anmie; known are art, human, photo, view"):
        chosen(ITEMS, DataRecipe(categories=("anmie", "art")))
    with pytest.raises(ConfigurationError, match="no generator sd9; known are dalle2, sd1"):
        chosen(ITEMS, DataRecipe(generators=("sd9",)))
    vehicles = (*CLASSES, ClassRecipe("AI vehicle", "ai", ("vehicle",)))
    with pytest.raises(
        ConfigurationError, match="training part needs images of each class and has no AI v"
    ):
        split(ITEMS, DataRecipe(classes=vehicles, validation_origins=("a",)))
    with pytest.raises(
        ConfigurationError, match="the validation part needs images of each class and has no r"
    ):
        split(
            [*ITEMS, item(1, "sd1", "c", category="art")],
            DataRecipe(classes=CLASSES, validation_origins=("c",)),
        )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("classes = [{ name = 'a', label = 'real', categories = ['x'] }]", "data.classes is"),
        ("classes = [{ name = 'a', label = 'fake', categories = ['x'] }]", "data.classes[0].label"),
        ("classes = [{ name = 'a', label = 'ai', categories = [] }]", "data.classes[0].categories"),
        ("classes = [{ name = 'a', label = 'ai' }]", "data.classes[0].categories is missing"),
        (
            "classes = [{ name = 'a', label = 'ai', categories = ['x', 'y'] },"
            " { name = 'b', label = 'ai', categories = ['y'] }]",
            "data.classes is 'ai y'; it has to be in one class only",
        ),
        (
            "classes = [{ name = 'a', label = 'ai', categories = ['x'] },"
            " { name = 'a', label = 'real', categories = ['x'] }]",
            "of unlike names",
        ),
        ("related_origins = ['a']", "data.related_origins[0]"),
    ],
)
def test_a_wrong_mapping_names_its_key(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'about = "x"\n[data]\n{text}\n', encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(str(path))
    assert told in str(caught.value)


def test_classes_take_turns() -> None:
    kept = chosen(ITEMS, DataRecipe(classes=CLASSES))
    drawn = list(BalancedSampler(kept, DataRecipe(), 60, seed=1))
    assert [kept[index].label for index, _ in drawn] == [0, 1, 2] * 20


def test_figures_of_classes_are_means_over_those_there_are() -> None:
    labels = np.array([0, 0, 0, 1, 1, 3])
    called = np.array([0, 0, 1, 1, 1, 2])
    probabilities = np.full((6, 4), 0.1)
    probabilities[np.arange(6), called] = 0.7
    found = class_summary(labels, probabilities)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["recall"] == found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["precision"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["f1"] == pytest.approx((0.8 + 0.8 + 0) / 3)
    assert found["auc"] == pytest.approx((5 / 6 + 7 / 8 + 0.5) / 3, abs=0.05)
    assert found["cross_entropy"] == pytest.approx(-(4 * np.log(0.7) + 2 * np.log(0.1)) / 6)


def three_classes(folder: Path) -> Path:
    """Class 2 has a checkerboard, class 1 is dark."""
    rng, rows = np.random.default_rng(2), []
    for number in range(90):
        kind = number % 3
        image = picture(int(kind == 2), 40, 40, rng)
        if kind == 1:
            image = image.point([level // 4 for level in range(256)] * 3)
        image.save(folder / f"{number}.png")
        rows.append(
            {
                "path": f"{number}.png",
                "label": str(int(kind == 2)),
                "source": f"origin{number % 9}",
                "category": ("view", "art", "art")[kind],
            }
        )
    write_manifest(folder, rows)
    return folder


def test_three_classes_are_learnt(tmp_path: Path) -> None:
    data = replace(TOY.data, classes=CLASSES, validation_origins=tuple(f"origin{k}" for k in range(3)))
    phases = (Phase(size=32, samples=1024, batch=16),)
    model = replace(TOY.model, front_end="rgb")
    recipe = replace(toy(phases=phases, monitor="balanced_accuracy"), data=data, model=model)
    best = train(recipe, three_classes(tmp_path), tmp_path / "out", "cpu", 0)
    assert best["balanced_accuracy"] > 0.8
    with open(tmp_path / "out/metrics.csv", newline="", encoding="utf-8") as table:
        assert {"accuracy", "precision", "recall", "f1", "cross_entropy"} <= set(next(csv.reader(table)))


def test_changes_stand_in_for_what_the_file_says() -> None:
    given = [
        "train.learning_rate=1e-3",
        "model.view=squash",
        "train.phases=[{size=32, samples=64, batch=8}]",
    ]
    recipe = load_recipe("default", read_changes(given))
    assert recipe.train.learning_rate == 1e-3
    assert recipe.model.view == "squash"
    assert [phase.samples for phase in recipe.train.phases] == [64]
    assert recipe.augment == load_recipe("default").augment
    with pytest.raises(ConfigurationError, match=r"unknown train\.rate"):
        load_recipe("default", {"train.rate": 1})
    with pytest.raises(ConfigurationError, match=r"no name\.first to change: name is no table"):
        load_recipe("default", {"name.first": 1})
    with pytest.raises(ConfigurationError, match="KEY=VALUE"):
        read_changes(["train.learning_rate"])


def test_commands_that_cannot_take_such_a_recipe_say_so(
    tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('about = "x"\n[model]\nbackbone = "vgg16"\n', encoding="utf-8")
    out = ["--out", str(tmp_path / "out")]
    assert main(["export", "best.ckpt", "--recipe", str(recipe), "--version", "1", *out]) == 1
    assert (
        "makes a vgg16 that tells 2 classes apart; the SDK runs se-resnet50" in capsys.readouterr().err
    )
    lines = [
        f'{{ name = "{one.name}", label = "{one.label}", categories = ["art"] }}' for one in CLASSES[1:]
    ]
    recipe.write_text(f'about = "x"\n[data]\nclasses = [{", ".join(lines)}]\n', encoding="utf-8")
    common = ["evaluate", "--data", str(tiles), "--checkpoint", "best.ckpt", "--recipe", str(recipe)]
    assert main([*common, *out]) == 1
    assert "names its classes; an evaluation tells real from AI" in capsys.readouterr().err
