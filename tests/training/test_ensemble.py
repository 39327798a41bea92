"""Several checkpoints measured as one: the mean of their logits."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aidetect_training.backbones import network
from aidetect_training.cli import main
from aidetect_training.data import split
from aidetect_training.layouts import read_dataset
from aidetect_training.measured import of_checkpoints
from aidetect_training.recipe import ModelRecipe, Recipe, load_recipe, write_recipe

from .conftest import TOY

SMALL = replace(TOY, name="small", model=ModelRecipe(backbone="small", view_size=32))
VALIDATION = ["--validation", "--tiers", "clean"]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Recipe]]:
    """Checkpoints of two networks with random weights, each beside its recipe."""
    made = []
    for recipe in (TOY, SMALL):
        folder = tmp_path_factory.mktemp(recipe.name)
        torch.manual_seed(3)
        torch.save({"weights": network(recipe).state_dict()}, folder / "best.ckpt")
        write_recipe(recipe, folder / "recipe.toml")
        made.append((folder / "best.ckpt", recipe))
    return made


def given(members: list[tuple[Path, Recipe]]) -> list[str]:
    return [
        text
        for path, _ in members
        for text in ("--checkpoint", str(path), "--recipe", str(path.with_name("recipe.toml")))
    ]


def test_the_logits_are_the_mean_of_each(members: list[tuple[Path, Recipe]], tiles: Path) -> None:
    items = split(read_dataset(tiles), TOY.data)[1][:6]

    def margins(some: list[tuple[Path, Recipe]]) -> np.ndarray:
        paths, recipes = zip(*some, strict=True)
        return np.array(
            [s.margins for s in of_checkpoints(paths, recipes, "default").score(items, ["clean"])]
        )

    one, other = (margins([member]) for member in members)
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(margins(members), (one + other) / 2, atol=1e-5)


def test_the_command_takes_a_recipe_for_each(
    members: list[tuple[Path, Recipe]], tiles: Path, tmp_path: Path
) -> None:
    command = ["evaluate", "--data", str(tiles), *given(members), *VALIDATION, "--out", str(tmp_path)]
    assert main(command) == 0
    about = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["model"]
    assert about["name"] == "toy + small"
    assert about["checkpoint"] == f"{members[0][0]}, {members[1][0]}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.view_size=64", "not shown the same"),
        ("data.validation_origins=['origin1']", "trained on what both are measured on"),
    ],
)
def test_members_that_do_not_go_together_are_refused(
    members: list[tuple[Path, Recipe]],
    tiles: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: str,
    message: str,
) -> None:
    key, _, value = change.partition("=")
    other = load_recipe(
        str(members[1][0].with_name("recipe.toml")), {key: json.loads(value.replace("'", '"'))}
    )
    write_recipe(other, tmp_path / "recipe.toml")
    options = [*given(members)[:-1], str(tmp_path / "recipe.toml"), *VALIDATION]
    assert main(["evaluate", "--data", str(tiles), *options, "--out", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


def test_so_many_recipes_as_checkpoints(
    members: list[tuple[Path, Recipe]], tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three = [*given(members), "--checkpoint", str(members[0][0])]
    assert main(["evaluate", "--data", str(tiles), *three, "--out", str(tmp_path)]) == 1
    assert "2 recipes for 3 checkpoints" in capsys.readouterr().err


def test_training_leaves_its_recipe_beside_the_checkpoint(tiles: Path, tmp_path: Path) -> None:
    write_recipe(TOY, tmp_path / "toy.toml")
    changes = ["--set", "train.phases=[{size=32,samples=16,batch=16}]", "--set", "model.dropout=0.1"]
    common = ["--data", str(tiles), "--out", str(tmp_path / "run"), "--workers", "0", "--device", "cpu"]
    assert main(["train", str(tmp_path / "toy.toml"), *common, *changes]) == 0
    left = load_recipe(str(tmp_path / "run" / "recipe.toml"))
    assert left == load_recipe(
        str(tmp_path / "toy.toml"),
        {"train.phases": [{"size": 32, "samples": 16, "batch": 16}], "model.dropout": 0.1},
    )
