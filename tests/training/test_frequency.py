"""The branch of frequencies: what it sees, and that it learns from it alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from aidetect import ConfigurationError
from aidetect_training.backbones import network
from aidetect_training.cli import main
from aidetect_training.frequency import BlockFrequencies, WithFrequencies
from aidetect_training.recipe import Recipe, SequenceRecipe, write_recipe
from aidetect_training.train import train

from .conftest import TOY, toy

BESIDE = replace(TOY.model, frequency=True, front_end="rgb")
PIXELS = torch.randint(
    0, 256, (2, 3, 40, 35), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)


def right(pixels: torch.Tensor) -> np.ndarray:
    """By SciPy, a block at a time."""
    found = np.zeros((2, 192, 5, 4), np.float32)
    for image, colour, row, column in np.ndindex(2, 3, 5, 4):
        block = (
            pixels[image, colour, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8].double().numpy()
        )
        found[image, 64 * colour : 64 * colour + 64, row, column] = np.log1p(
            np.abs(dctn(block, norm="ortho"))
        ).ravel()
    return found


def test_it_sees_the_magnitudes_of_each_block() -> None:
    found = BlockFrequencies()(PIXELS)
    np.testing.assert_allclose(found.numpy(), right(PIXELS), atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(BlockFrequencies()(PIXELS), found)


def test_logits_of_both_are_added() -> None:
    torch.manual_seed(0)
    model = network(replace(TOY, model=BESIDE)).eval()
    assert isinstance(model, WithFrequencies)
    with torch.inference_mode():
        both, alone = model(PIXELS), model.network(PIXELS)
        model.classifier[1].weight.zero_()
        model.classifier[1].bias.fill_(0.25)
        assert not torch.allclose(both, alone)
        torch.testing.assert_close(model(PIXELS), alone + 0.25)


def test_it_learns_what_shows_in_frequencies_by_the_same_trainer(tiles: Path, tmp_path: Path) -> None:
    """A checkerboard is one frequency of a block: seen at once, also in half precision."""
    recipe = toy(phases=(TOY.train.phases[0],), precision="bf16-mixed")
    best = train(replace(recipe, model=BESIDE), tiles, tmp_path, "cpu", 0)
    assert best["auc"] > 0.95


def test_where_it_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError, match="frequency is True; it has to be left out"):
        Recipe("videos", "", BESIDE, sequence=SequenceRecipe(frames=4))
    write_recipe(replace(TOY, model=BESIDE), tmp_path / "beside.toml")
    options = ["--recipe", str(tmp_path / "beside.toml"), "--version", "1", "--out", str(tmp_path)]
    assert main(["export", "best.ckpt", *options]) == 1
    assert "frequency branch, which the SDK does not run" in capsys.readouterr().err
