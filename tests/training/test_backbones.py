from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from aidetect_training.backbones import cost, network
from aidetect_training.data import read_manifest, split
from aidetect_training.optimise import balanced_weights, new_criterion, new_optimizer
from aidetect_training.recipe import ModelRecipe, Recipe, TrainRecipe
from aidetect_training.recipe_images import ClassRecipe
from aidetect_training.train import fit

from .conftest import TOY, item, toy

NAMES = get_args(get_type_hints(ModelRecipe)["backbone"])
PIXELS = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)


def with_backbone(name: str, **model: object) -> Recipe:
    return replace(TOY, model=ModelRecipe(backbone=name, view_size=32, **model))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_each_takes_the_same_pixels_and_gives_a_logit_a_class(name: str) -> None:
    recipe = with_backbone(name, front_end="rgb+residual", dropout=0.9)
    classes = tuple(ClassRecipe(word, "real", (word,)) for word in "abc")
    model = network(replace(recipe, data=replace(recipe.data, classes=classes))).eval()
    with torch.inference_mode():
        logits = model(PIXELS)
        assert logits.shape == (2, 3)
        assert torch.equal(model(PIXELS.float()), logits)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)][-1] == 0.9
    if name != "se-resnet50":
        first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
        assert first.in_channels == 6


def test_what_they_cost_is_what_is_published_of_them() -> None:
    """torchvision's table: VGG16 138.4 million parameters and 15.47 GFLOPS (multiply-adds), here with a
    classifier for two; MobileNetV2 3.5 million and 0.3."""
    assert cost(network(with_backbone("vgg16")), 224)["gflops"] / 2 == pytest.approx(15.47, rel=0.01)
    small = cost(network(with_backbone("mobilenet-v2")), 224)
    assert small["parameters"] == pytest.approx(3.5e6 - 998 * 1281, rel=0.01)
    assert small["gflops"] / 2 == pytest.approx(0.3, rel=0.02)


def test_glorot_initialisation_is_that_of_keras() -> None:
    model = network(with_backbone("mobilenet-v2", initialisation="glorot"))
    linear = next(m for m in model.modules() if isinstance(m, nn.Linear))
    limit = (6 / (1280 + 2)) ** 0.5
    assert 0.95 * limit < linear.weight.abs().max() <= limit
    assert not linear.bias.any()


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_each_optimizer_lowers_the_loss(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    x, y = torch.randn(64, 4), torch.randint(0, 2, (64,))
    optimizer = new_optimizer(model, TrainRecipe(optimizer=name))  # type: ignore[arg-type]
    before = nn.functional.cross_entropy(model(x), y).item()
    for _ in range(20):
        optimizer.param_groups[0]["lr"] = 0.01
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < before
    assert optimizer.param_groups[0]["weight_decay"] == 1e-5


def test_class_weights_make_rare_classes_count_as_much() -> None:
    items = [item(0)] * 30 + [item(1)] * 10
    assert balanced_weights(items, 2).tolist() == pytest.approx([2 / 3, 2.0])
    logits = torch.zeros(40, 2, requires_grad=True)
    labels = torch.tensor([one.label for one in items])
    weighed = toy(class_weights="balanced", label_smoothing=0.0)
    new_criterion(weighed, items, nn.Identity())(logits, labels).backward()
    pull = logits.grad[:, 0]  # type: ignore[index]
    assert pull[labels == 0].sum().item() == pytest.approx(-pull[labels == 1].sum().item())
    plain = new_criterion(toy(label_smoothing=0.0), items, nn.Identity())(logits, labels)
    assert plain.item() == pytest.approx(torch.tensor(2.0).log().item())


def test_another_backbone_trains_and_resumes_by_the_same_trainer(tiles: Path, tmp_path: Path) -> None:
    recipe = replace(
        with_backbone("mobilenet-v3-small"),
        train=replace(TOY.train, optimizer="rmsprop", class_weights="balanced", schedule="constant"),
    )
    parts = split(read_manifest(tiles), recipe.data)
    short = replace(
        recipe, train=replace(recipe.train, phases=(replace(recipe.train.phases[0], samples=128),))
    )
    fit(short, *parts, tmp_path / "two", "cpu", 0)
    fit(recipe, *parts, tmp_path / "two", "cpu", 0)
    fit(recipe, *parts, tmp_path / "one", "cpu", 0)
    one, two = (torch.load(tmp_path / run / "last.ckpt", weights_only=True) for run in ("one", "two"))
    assert one["samples"] == two["samples"] == 256
    assert all(torch.equal(value, two["model"][key]) for key, value in one["model"].items())
