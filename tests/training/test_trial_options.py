import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from aidetect import ConfigurationError
from aidetect._model import SEResNet50
from aidetect_training import train as trainer
from aidetect_training.augment import augment
from aidetect_training.backbones import network
from aidetect_training.cli import main
from aidetect_training.mixing import mix
from aidetect_training.optimise import (
    last_layer,
    new_criterion,
    new_optimizer,
    supervised_contrastive,
)
from aidetect_training.recipe import ModelRecipe, Recipe, TrainRecipe

from .conftest import QUIET, TOY, toy


def trunk(**model: object) -> SEResNet50:
    torch.manual_seed(0)
    made = network(replace(TOY, model=ModelRecipe(stages=2, view_size=32, **model)))  # type: ignore[arg-type]
    assert isinstance(made, SEResNet50)
    return made.eval()


def test_the_network_of_the_sdk_is_left_as_it_is() -> None:
    assert type(trunk()) is SEResNet50
    assert type(trunk(joined=True)) is not SEResNet50


def test_high_pass_sees_no_slopes_and_no_straight_edges_but_single_pixels() -> None:
    model = trunk(front_end="high-pass")
    slope = torch.arange(32.0).expand(1, 3, 32, 32) * 3
    edge = torch.where(torch.arange(32) < 16, 10.0, 200.0).expand(1, 3, 32, 32)
    for flat in (slope, edge, slope.mT, edge.mT):
        assert model.front(flat)[..., 1:-1, 1:-1].abs().max() < 1e-4
    dot = torch.full((1, 3, 32, 32), 100.0)
    dot[0, 1, 16, 16] += 51
    seen = model.front(dot)
    assert seen[0, 1, 16, 16] == pytest.approx(10 * 51 / 255) and not seen[0, 0].any()
    both = trunk(front_end="rgb+high-pass").front(dot)
    assert torch.equal(both[:, 3:], seen) and torch.equal(both[:, :3], trunk().front(dot))


@pytest.mark.parametrize(("first", "least", "most"), [(0, 36, 96), (1, 11, 11), (2, 35, 35)])
def test_local_stages_see_no_further_than_those_before(first: int, least: int, most: int) -> None:
    """7 pixels of the stem, 2 × 2 of its pooling; of the first stage 3 × 2 × 4 more."""
    model = trunk(local_from=first)
    pixels = torch.rand(1, 3, 96, 96, requires_grad=True)
    maps = model.layers(model.stem(model.front(pixels * 255)))
    maps[0, :, 6, 6].sum().backward()
    assert pixels.grad is not None
    rows, columns = (pixels.grad[0].abs().sum(0) > 0).nonzero().T
    seen = max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) + 1
    assert least <= seen <= most


def test_joined_features_reach_the_head_past_a_dead_stage() -> None:
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    for joined in (False, True):
        model = trunk(joined=joined)
        for parameter in model.layers[1].parameters():
            nn.init.zeros_(parameter)
        with torch.inference_mode():
            logits = model(pixels)
        assert torch.equal(logits[0], logits[1]) is not joined


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"local_from": 3}, "local_from is 3; it has to be a stage that is kept"),
        ({"joined": True, "pooling": "mean+deviation"}, "false with another pooling"),
        ({"backbone": "small", "stages": 4, "front_end": "high-pass"}, "front_end is 'high-pass'"),
        ({"backbone": "small", "stages": 4, "joined": True}, "small has no such option"),
    ],
)
def test_options_that_do_not_go_together_are_told(model: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ModelRecipe(**({"stages": 2} | model))  # type: ignore[arg-type]


def test_a_network_that_the_sdk_does_not_run_is_not_exported(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = f"{tmp_path}/mine.toml"
    with open(recipe, "w", encoding="utf-8") as file:
        file.write('about = "x"\n[model]\njoined = true\n')
    arguments = ["--recipe", recipe, "--version", "1", "--out", f"{tmp_path}/out"]
    assert main(["export", f"{tmp_path}/best.ckpt", *arguments]) == 1
    assert "recipe mine has options on trial" in capsys.readouterr().err


def test_masking_blackens_up_to_three_in_four_squares_and_changes_nothing_else() -> None:
    tile = Image.fromarray(np.random.default_rng(0).integers(1, 256, (72, 72, 3), dtype=np.uint8))
    masked_recipe = replace(QUIET, masking=1.0)
    counts = set()
    for seed in range(60):
        plain = augment(tile, 64, QUIET, random.Random(seed))
        masked = augment(tile, 64, masked_recipe, random.Random(seed))
        sides = [slice(at, at + 16) for at in range(0, 64, 16)]
        squares = [(rows, columns) for rows in sides for columns in sides]
        black = [square for square in squares if not masked[square].any()]
        counts.add(len(black))
        for square in black:
            plain[square] = 0
        assert np.array_equal(masked, plain)
    assert min(counts) <= 1 and max(counts) == 12 and len(counts) > 8


def test_images_are_mixed_in_the_measure_in_which_both_labels_count() -> None:
    labels = torch.arange(8)
    pixels = (labels * 30).to(torch.uint8)[:, None, None, None].expand(8, 3, 32, 32)
    shares = []
    for seed in range(20):
        torch.manual_seed(seed)
        mixed, others, share = mix(pixels, labels, "mixup")
        wanted = share * pixels + (1 - share) * pixels[others]
        assert torch.allclose(mixed, wanted)
        torch.manual_seed(seed)
        mixed, others, share = mix(pixels, labels, "cutmix")
        assert mixed.dtype == torch.uint8 and sorted(others.tolist()) == labels.tolist()
        for image, own, other in zip(mixed, labels, others, strict=True):
            assert set(image.unique().tolist()) <= {int(own) * 30, int(other) * 30}
            if own != other:
                assert (image == own * 30).float().mean().item() == pytest.approx(share)
        shares.append(share)
    assert min(shares) < 0.2 and max(shares) > 0.8


class Sums(nn.Module):
    """Logits that tell how bright an image is."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        bright = pixels.float().mean((1, 2, 3)) / 50
        return torch.stack((-bright, bright), 1)


def test_the_loss_of_a_mixed_batch_is_that_of_both_its_labels() -> None:
    recipe: Recipe = toy(mixing="mixup", label_smoothing=0.0)
    labels = torch.tensor([0, 1, 1, 0, 1])
    pixels = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    criterion = partial(functional.cross_entropy)
    torch.manual_seed(3)
    loss = trainer._loss(recipe, Sums(), pixels, labels, criterion, None)  # type: ignore[arg-type]
    torch.manual_seed(3)
    mixed, others, share = mix(pixels, labels, "mixup")
    target = share * functional.one_hot(labels, 2) + (1 - share) * functional.one_hot(others, 2)
    assert loss.item() == pytest.approx(functional.cross_entropy(Sums()(mixed), target).item())
    assert 0 < share < 1 and not torch.equal(labels, others)


def test_the_contrastive_loss_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(7, 5), torch.tensor([0, 0, 0, 1, 1, 2, 0])
    unit = (features / features.norm(dim=1, keepdim=True)).tolist()

    def alike(i: int, j: int) -> float:
        return np.exp(np.dot(unit[i], unit[j]) / 0.1)

    terms = []
    for i in range(7):
        friends = [j for j in range(7) if j != i and labels[j] == labels[i]]
        everyone = sum(alike(i, k) for k in range(7) if k != i)
        if friends:
            terms.append(-np.mean([np.log(alike(i, j) / everyone) for j in friends]))
    features.requires_grad_()
    loss = supervised_contrastive(features, labels)
    assert len(terms) == 6 and loss.item() == pytest.approx(np.mean(terms), rel=1e-4)
    loss.backward()
    assert features.grad is not None and features.grad.isfinite().all() and features.grad[5].any()
    assert supervised_contrastive(torch.randn(3, 5), torch.arange(3)).item() == 0


def test_it_is_of_what_the_last_layer_was_given() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 2))
    x, labels = torch.randn(8, 3, 2, 2), torch.tensor([0, 1] * 4)
    recipe = toy(contrastive=0.5, label_smoothing=0.0)
    criterion = new_criterion(recipe, [], model)
    loss = criterion(model(x), labels)
    plain = functional.cross_entropy(model(x), labels)
    given = supervised_contrastive(model[:3](x), labels)
    assert loss.item() == pytest.approx((plain + 0.5 * given).item(), rel=1e-5)
    with pytest.raises(ConfigurationError, match=r"contrastive is 0\.5; it has to be 0 with mixing"):
        TrainRecipe(contrastive=0.5, mixing="mixup")


def test_a_last_layer_of_which_only_signs_of_ai_count_stays_one() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = new_optimizer(model, TrainRecipe(positive_last=True))
    last = last_layer(model)
    x = torch.rand(64, 4)
    labels = (x[:, 0] < x[:, 1]).long()
    signs, losses = [], []
    for _ in range(40):
        signs.append((last.weight[0].max().item(), last.weight[1].min().item()))
        optimizer.param_groups[0]["lr"] = 0.05
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert max(sign[0] for sign in signs) <= 0 <= min(sign[1] for sign in signs)
    assert losses[-1] < losses[0] - 0.2
    assert last.weight[1].max() > 0
