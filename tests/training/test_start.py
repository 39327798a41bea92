"""Training that starts from given weights: a package, a pruned one, a checkpoint; what does not fit."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from aidetect import ConfigurationError
from aidetect._backends import open_backend
from aidetect._weights import ModelPackage, load_package
from aidetect_training import train as trainer
from aidetect_training.cli import main
from aidetect_training.prune import prune
from aidetect_training.quantize import quantize
from aidetect_training.recipe import ModelRecipe, Phase, load_recipe
from aidetect_training.recipe_images import ClassRecipe
from aidetect_training.rows import read_rows
from aidetect_training.scoring import load_checkpoint, load_network
from aidetect_training.start import Start, read_start
from aidetect_training.train import train
from aidetect_training.widths import inner

from ..networks import SMALL, package, sample_views
from .conftest import TOY, toy

RECIPE = replace(
    toy(phases=(Phase(size=32, samples=192, batch=16),), evaluate_every=96, learning_rate=1e-4),
    model=ModelRecipe(**SMALL, view_size=32),
)
"""Trains the network of `SMALL` for twelve steps."""

TOML = """
about = "the same as RECIPE"
name = "toy"
[model]
front_end = "rgb+residual"
stages = 2
view_size = 32
[data]
validation_origins = ["owner/held-out"]
[augment]
rescale = 0
codec = 0
second_codec = 0
rotate = 0
jitter = 0
gray = 0
blur = 0
noise = 0
cutout = 0
[train]
phases = [{ size = 32, samples = 192, batch = 16 }]
learning_rate = 1e-4
average_decay = 0.8
evaluate_every = 96
precision = "32-true"
seed = 1
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return load_package(package(tmp_path_factory.mktemp("whole"), SMALL))


@pytest.fixture(scope="module")
def half(whole: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return load_package(prune(whole, sample_views(64), 0.5, tmp_path_factory.mktemp("half")))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "toy.toml"
    path.write_text(TOML, encoding="utf-8")
    assert load_recipe(str(path)) == replace(RECIPE, about="the same as RECIPE")
    return path


@pytest.fixture(scope="module")
def tuned(half: ModelPackage, tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `RECIPE` from the pruned model that nothing interrupted."""
    out = tmp_path_factory.mktemp("tuned")
    run(out, read_start(str(half.path), RECIPE), tiles)
    return out


def run(out: Path, start: Start | None, tiles: Path) -> None:
    train(RECIPE, tiles, out, device="cpu", workers=0, start=start)


def logits(model: nn.Module) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = model(torch.from_numpy(sample_views(64)).permute(0, 3, 1, 2)).numpy()
    return found


def widths(model: nn.Module) -> list[int]:
    return [norm.num_features for _, (_, norm, _) in inner(model)]


def checkpoint(path: Path) -> Any:
    return torch.load(path, weights_only=True)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("kind", ["whole", "half"])
def test_before_any_step_it_says_what_the_model_says(
    kind: str,
    tiles: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first row, and the checkpoint that is kept until there is a better one."""
    given = request.getfixturevalue(kind)

    def stopped(*_: Any) -> float:
        raise Stopped

    monkeypatch.setattr(trainer, "_step", stopped)
    for _ in range(2):  # a run that died before its first step begins again from there
        with pytest.raises(Stopped):
            run(tmp_path, read_start(str(given.path), RECIPE), tiles)
    (row,) = read_rows(tmp_path / "metrics.csv")
    assert row["samples"] == 0 and np.isnan(row["loss"])
    kept = load_checkpoint(tmp_path / "best.ckpt", RECIPE)
    np.testing.assert_array_equal(logits(kept), logits(load_network(given)))
    assert widths(kept) == {"whole": [64] * 6 + [128] * 8, "half": [32] * 6 + [64] * 8}[kind]


def test_it_trains_what_is_left(tuned: Path, half: ModelPackage, tiles: Path) -> None:
    rows = read_rows(tuned / "metrics.csv")
    assert [row["samples"] for row in rows] == [0, 96, 192]
    assert rows[-1]["loss"] < rows[1]["loss"] and rows[-1]["auc"] > rows[0]["auc"]
    weights, before = checkpoint(tuned / "last.ckpt")["model"], load_network(half).state_dict()
    assert weights.keys() == before.keys()
    assert all(weights[key].shape == before[key].shape for key in before)
    assert not torch.equal(weights["layers.0.0.conv2.weight"], before["layers.0.0.conv2.weight"])


def test_what_was_trained_is_exported_and_runs(
    tuned: Path, recipe: Path, tiles: Path, tmp_path: Path
) -> None:
    """Pruned, trained on, exported: the SDK's runtime says what the network says; and it is pruned
    again, and measured."""
    given = ["export", str(tuned / "best.ckpt"), "--recipe", str(recipe), "--name", "small"]
    assert main([*given, "--version", "2", "--out", str(tmp_path)]) == 0
    made = load_package(tmp_path / "small.json")
    right = logits(load_checkpoint(tuned / "best.ckpt", RECIPE))
    np.testing.assert_allclose(open_backend(made, "onnx").logits(sample_views(64)), right, atol=0.02)
    np.testing.assert_allclose(logits(load_network(made)), right, atol=0.02)
    again = load_network(load_package(prune(made, sample_views(64), 0.5, tmp_path)))
    assert widths(again) == [16, 16] * 3 + [32, 32] * 4
    given = ["evaluate", "--checkpoint", str(tuned / "best.ckpt"), "--recipe", str(recipe)]
    assert main([*given, "--data", str(tiles), "--tiers", "clean", "--out", str(tmp_path)]) == 0


SCRIPT = """
import os, signal, sys
from pathlib import Path
from aidetect_training import cli, train as trainer, validation

validation.VALIDATION_TILES, trainer.CHECKPOINT_SECONDS = 64, 0
step = trainer._step

def counted(recipe, fabric, model, optimizer, state, *batch):
    if state["step"] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(recipe, fabric, model, optimizer, state, *batch)

trainer._step = counted
cli.main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_that_was_killed_goes_on(
    tuned: Path, half: ModelPackage, recipe: Path, tiles: Path, tmp_path: Path
) -> None:
    given = ["train", str(recipe), "--from", str(half.path), "--data", str(tiles)]
    given += ["--out", str(tmp_path), "--device", "cpu", "--workers", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, *given],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert checkpoint(tmp_path / "last.ckpt")["samples"] == 64
    assert main(given) == 0
    ended, expected = (checkpoint(folder / "best.ckpt") for folder in (tmp_path, tuned))
    assert ended["row"]["samples"] == expected["row"]["samples"]
    for key, value in expected["weights"].items():
        assert torch.equal(ended["weights"][key], value), key
    assert [row["auc"] for row in read_rows(tmp_path / "metrics.csv")] == [
        row["auc"] for row in read_rows(tuned / "metrics.csv")
    ]


def test_a_run_goes_on_only_from_what_it_was_begun_from(
    tuned: Path, whole: ModelPackage, tiles: Path, tmp_path: Path
) -> None:
    given = read_start(str(whole.path), RECIPE)
    for other in (None, given):
        with pytest.raises(ConfigurationError, match=r"last\.ckpt was begun from other weights"):
            run(tuned, other, tiles)
    (tmp_path / "last.ckpt").write_bytes((tuned / "last.ckpt").read_bytes())
    state = checkpoint(tmp_path / "last.ckpt")
    del state["start"]
    torch.save(state, tmp_path / "last.ckpt")
    with pytest.raises(ConfigurationError, match=r"last\.ckpt was begun without --from"):
        run(tmp_path, given, tiles)


def test_a_run_starts_from_a_checkpoint(tuned: Path) -> None:
    start = read_start(str(tuned / "best.ckpt"), RECIPE)
    kept = checkpoint(tuned / "best.ckpt")["weights"]
    assert all(torch.equal(start.weights[key], value) for key, value in kept.items())


def test_another_front_end_has_the_same_shapes_and_is_told(tiles: Path, tmp_path: Path) -> None:
    """Weights of `residual` would go into `rgb` without an error, and mean nothing there."""
    brief = toy(phases=(Phase(size=32, samples=16, batch=16),))
    train(brief, tiles, tmp_path, device="cpu", workers=0)
    other = replace(TOY, model=replace(TOY.model, front_end="rgb", stem_pool=False))
    with pytest.raises(ConfigurationError) as caught:
        read_start(str(tmp_path / "best.ckpt"), other)
    assert "--set model.front_end=residual --set model.stem_pool=true" in str(caught.value)


def test_another_network_than_the_models_is_told(
    whole: ModelPackage, recipe: Path, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the message says to add makes it work, or tells what is still wrong."""
    given = ["train", str(recipe), "--from", str(whole.path), "--data", str(tiles)]
    given += ["--out", str(tmp_path / "run"), "--device", "cpu", "--workers", "0"]
    changes = ["--set", "model.front_end=rgb", "--set", "model.stages=3", "--set", "model.dropout=0.5"]
    assert main([*given, *changes]) == 1
    told = capsys.readouterr().err
    assert "--set model.front_end=rgb+residual --set model.stages=2\n" in told
    assert not (tmp_path / "run").exists()
    small = replace(RECIPE, model=ModelRecipe(backbone="small", view_size=32))
    with pytest.raises(ConfigurationError, match=r"--set model\.backbone=se-resnet50"):
        read_start(str(whole.path), small)


def test_weights_that_do_not_fit(whole: ModelPackage, tuned: Path, tmp_path: Path) -> None:
    three = tuple(ClassRecipe(name, "ai", (name,)) for name in "abc")
    classes = replace(RECIPE, data=replace(RECIPE.data, classes=three))
    with pytest.raises(ConfigurationError, match=r"its head\.3\.weight is 2×512, not 3×512"):
        read_start(str(whole.path), classes)
    small = quantize(whole, sample_views(64), tmp_path)
    with pytest.raises(ConfigurationError, match=r"it has no .*in int8 the one it is made of"):
        read_start(str(small), RECIPE)
    with pytest.raises(ConfigurationError, match=r"last\.ckpt cannot be read as a best\.ckpt"):
        read_start(str(tuned / "last.ckpt"), RECIPE)
    with pytest.raises(ConfigurationError, match=r"gone\.ckpt cannot be read"):
        read_start(str(tmp_path / "gone.ckpt"), RECIPE)


def test_a_package_can_be_of_part_of_what_a_recipe_names(whole: ModelPackage) -> None:
    """What a manifest leaves out is as the network's default is."""
    assert set(whole.manifest.architecture) == {"front_end", "stages"}
    free = replace(RECIPE, model=replace(RECIPE.model, dropout=0.0, view_size=48))
    start = read_start(str(whole.path), free)
    assert start.weights["head.3.weight"].shape == (2, 512)


def test_what_else_reads_a_run(
    tuned: Path, recipe: Path, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first row has no loss for the report to tell; to diagnose is for networks from their seed."""
    assert main(["report", str(tuned), "--recipe", str(recipe), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Evaluations of the validation part" in page and ">nan<" not in page
    loss = read_rows(tuned / "metrics.csv")[1]["loss"]
    assert f"training loss {loss:.3f} →" in page
    given = ["diagnose", str(recipe), "--data", str(tiles), "--run", str(tuned)]
    assert main([*given, "--out", str(tmp_path)]) == 1
    assert "was begun from given weights" in capsys.readouterr().err
