"""Each recipe of the sources' other systems, at the scale of a toy, by the command that runs it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aidetect_training.backbones import network
from aidetect_training.cli import main
from aidetect_training.diagnose import examine
from aidetect_training.recipe import load_recipe
from aidetect_training.rows import read_rows

from .conftest import picture, write_manifest

SMALL = [
    "--set", "train.phases=[{ size = 32, samples = 16, batch = 8 }]",
    "--set", "model.view_size=32",
    "--device", "cpu", "--workers", "0",
]  # fmt: skip
CATEGORIES = {
    "real": ("anime", "art", "human", "animal", "view"),
    "ai": ("anime", "art", "human", "view"),
}

HELD_OUT = {
    origin
    for name in ("anime", "classes-resnet50")
    for origin in load_recipe(name).data.validation_origins
}
ORIGINS = ["a", "b", "c", *sorted(HELD_OUT)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiles of every class in each of three origins, and of those that any recipe holds out."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    rows = []
    for origin in ORIGINS:
        for label, kind in enumerate(CATEGORIES):
            for category in CATEGORIES[kind]:
                path = f"{len(rows)}.png"
                picture(label, 48, 48, rng).save(folder / path)
                rows.append({"path": path, "label": str(label), "source": origin, "category": category})
    write_manifest(folder, rows)
    return folder


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("anime", []),
        # VGG16 itself is too large for a test; its gradients are looked at below.
        ("anime-vgg16", ["--set", "model.backbone=mobilenet-v3-small"]),
    ],
)
def test_a_recipe_trains(data: Path, tmp_path: Path, name: str, changes: list[str]) -> None:
    given = ["train", name, "--data", str(data), "--out", str(tmp_path), *SMALL, *changes]
    assert main(given) == 0
    (row,) = read_rows(tmp_path / "metrics.csv")
    assert row["samples"] == 16 and 0 <= row["balanced_accuracy"] <= 1
    common = ["--data", str(data), "--run", str(tmp_path), "--out", str(tmp_path / "why")]
    assert main(["diagnose", name, *common, *SMALL[:4], *changes]) == 0
    assert "after 16 samples" in (tmp_path / "why/diagnosis.md").read_text(encoding="utf-8")


def test_a_recipe_of_classes_is_cross_validated(data: Path, tmp_path: Path) -> None:
    given = ["crossval", "classes-mobilenetv2", "--data", str(data), "--folds", "2", *SMALL]
    assert main([*given, "--out", str(tmp_path)]) == 0
    table = (tmp_path / "crossval.md").read_text(encoding="utf-8")
    for measured in ("| best |", "| test |", "precision", "f1", "million parameters"):
        assert measured in table


def test_the_two_recipes_of_classes_differ_by_their_backbone_alone() -> None:
    one, other = load_recipe("classes-mobilenetv2"), load_recipe("classes-resnet50")
    assert (one.model.backbone, other.model.backbone) == ("mobilenet-v2", "resnet50")
    same = replace(
        other, name=one.name, about=one.about, model=replace(other.model, backbone="mobilenet-v2")
    )
    assert same == one


def test_gradients_reach_every_layer_of_vgg16() -> None:
    recipe = load_recipe("anime-vgg16")
    torch.manual_seed(0)
    layers = examine(network(recipe), torch.randint(0, 256, (4, 3, 32, 32)), torch.arange(4) % 2)[
        "layers"
    ]
    assert [layer["name"] for layer in layers if layer["dead"] is None] == ["net.classifier.6"]
    assert len(layers) == 16 and all(layer["gradient"] > 0 for layer in layers)


def test_a_set_is_inspected_as_a_recipe_uses_it(data: Path, tmp_path: Path) -> None:
    for name in ("anime", "classes-resnet50"):
        given = ["inspect", str(data), "--recipe", name, "--out", str(tmp_path / name), "--workers", "1"]
        assert main(given) == 0
        found = json.loads((tmp_path / name / "inspect.json").read_text(encoding="utf-8"))
        kinds = 2 if name == "anime" else 5
        assert found["classes"]["real"]["images"] == kinds * len(ORIGINS)
