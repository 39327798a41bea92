import csv
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from aidetect import ConfigurationError
from aidetect._model import SEResNet50
from aidetect_training import distributed
from aidetect_training import train as trainer
from aidetect_training.distributed import computable
from aidetect_training.recipe import Phase, Recipe
from aidetect_training.recipe_images import AugmentRecipe
from aidetect_training.train import Average, learning_rate, train

from .conftest import TOY, toy

TWO_PHASES = replace(
    toy(
        phases=(Phase(size=32, samples=90, batch=16), Phase(size=40, samples=60, batch=8)),
        evaluate_every=50,
    ),
    augment=AugmentRecipe(),
)
"""Everything that is random, a batch that is not full, and evaluations that are due within a phase."""


def run(recipe: Recipe, data: Path, out: Path, workers: int = 0) -> dict[str, Any]:
    return train(recipe, data, out, device="cpu", workers=workers)


def rows(out: Path) -> list[dict[str, float]]:
    with open(out / "metrics.csv", newline="", encoding="utf-8") as table:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(table)]


def figures(out: Path) -> list[dict[str, float]]:
    """What a run measured, without the time and the mean loss, which a stop cuts in two."""
    return [{key: row[key] for key in row if key not in ("at", "loss")} for row in rows(out)]


def checkpoint(path: Path) -> Any:
    return torch.load(path, weights_only=True)


def same(one: Any, other: Any) -> bool:
    """Whether two checkpoints hold the same, to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one if key != "at"
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def whole(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `TWO_PHASES` that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    run(TWO_PHASES, tiles, out)
    return out


def test_it_learns_what_can_be_learnt(tiles: Path, tmp_path: Path) -> None:
    recipe = toy(phases=(Phase(size=32, samples=384, batch=16),), evaluate_every=64)
    best = run(recipe, tiles, tmp_path)
    losses = [row["loss"] for row in rows(tmp_path)]
    assert len(losses) == 6
    assert losses[0] > 0.45 and losses[-1] < losses[0] - 0.25
    assert best["auc"] > 0.95
    kept = checkpoint(tmp_path / "best.ckpt")
    assert kept["recipe"] == "toy" and kept["row"] == best
    assert best["auc"] == max(row["auc"] for row in rows(tmp_path))
    network = SEResNet50(**recipe.model.architecture())
    network.load_state_dict(kept["weights"])


def test_the_same_seed_gives_the_same_model_with_any_number_of_workers(
    tiles: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluations without workers, each of which costs seconds: `test_paper.py` has one there."""
    validation = trainer.Validation
    monkeypatch.setattr(
        trainer,
        "Validation",
        lambda recipe, items, _, skipped: validation(recipe, items, 0, skipped),
    )
    run(TWO_PHASES, tiles, tmp_path, workers=2)
    assert [row["samples"] for row in rows(whole)] == [64, 106, 150]
    assert figures(tmp_path) == figures(whole)
    assert same(checkpoint(tmp_path / "last.ckpt"), checkpoint(whole / "last.ckpt"))


def test_another_seed_gives_another_model(tiles: Path, whole: Path, tmp_path: Path) -> None:
    recipe = replace(TWO_PHASES, train=replace(TWO_PHASES.train, seed=2))
    run(recipe, tiles, tmp_path)
    assert figures(tmp_path) != figures(whole)


SCRIPT = """
import os, signal, sys
from pathlib import Path
from aidetect_training import train as trainer, validation
from aidetect_training.recipe import load_recipe

validation.VALIDATION_TILES, trainer.CHECKPOINT_SECONDS = 64, 0
step = trainer._step

def counted(recipe, fabric, model, optimizer, state, *batch):
    if state["step"] == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(recipe, fabric, model, optimizer, state, *batch)

trainer._step = counted
recipe, data, out = sys.argv[1:]
trainer.train(load_recipe(recipe), Path(data), Path(out), device="cpu", workers=0)
"""

RECIPE = """
about = "the same as TWO_PHASES"
name = "toy"
[model]
front_end = "residual"
stages = 2
view_size = 32
[data]
validation_origins = ["owner/held-out"]
[train]
phases = [{ size = 32, samples = 90, batch = 16 }, { size = 40, samples = 60, batch = 8 }]
learning_rate = 1e-3
average_decay = 0.8
evaluate_every = 50
precision = "32-true"
seed = 1
"""


def ends_like(whole: Path, tiles: Path, out: Path) -> None:
    """Goes on with a run that was stopped, and compares all that it leaves."""
    assert not list(out.glob("*.partial"))
    run(TWO_PHASES, tiles, out)
    assert figures(out) == figures(whole)
    for name in ("last.ckpt", "best.ckpt"):
        ended, expected = checkpoint(out / name), checkpoint(whole / name)
        for state in (ended, expected):
            state.get("best", state.get("row")).pop("loss")
        assert same(ended, expected)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(
    tiles: Path, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "toy.toml").write_text(RECIPE, encoding="utf-8")
    command = [sys.executable, "-W", "error", "-c", SCRIPT, tmp_path / "toy.toml", tiles, tmp_path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert checkpoint(tmp_path / "last.ckpt")["samples"] == 90 + 3 * 8
    ends_like(whole, tiles, tmp_path)


def signalled(number: signal.Signals, *steps: int) -> Callable[..., float]:
    """The trainer's step, before which this process gets a signal at the given steps."""
    step = trainer._step

    def counted(
        recipe: Recipe, fabric: Any, model: Any, optimizer: Any, state: Any, *batch: Any
    ) -> float:
        for _ in range(steps.count(state["step"])):
            signal.raise_signal(number)
        return step(recipe, fabric, model, optimizer, state, *batch)

    return counted


def test_without_bfloat16_it_computes_in_float32(
    tiles: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(distributed, "has_bfloat16", lambda: False)
    run(replace(TWO_PHASES, train=replace(TWO_PHASES.train, precision="bf16-mixed")), tiles, tmp_path)
    assert "no bfloat16: trained in float32" in capsys.readouterr().out
    assert figures(tmp_path) == figures(whole)
    assert computable("16-mixed", "cpu") == "16-mixed"
    assert computable("bf16-mixed", "cuda") == "bf16-mixed"


def test_with_bfloat16_it_computes_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "has_bfloat16", lambda: True)
    assert computable("bf16-mixed", "cpu") == "bf16-mixed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_asked_to_stop_ends_as_if_it_had_not_been(
    tiles: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_step", signalled(number, 2))
        run(TWO_PHASES, tiles, tmp_path)
    assert checkpoint(tmp_path / "last.ckpt")["samples"] == 48
    assert not (tmp_path / "metrics.csv").exists()
    ends_like(whole, tiles, tmp_path)


def test_a_second_ctrl_c_stops_at_once(
    tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_step", signalled(signal.SIGINT, 2, 2))
    with pytest.raises(KeyboardInterrupt):
        run(TWO_PHASES, tiles, tmp_path)
    assert not (tmp_path / "last.ckpt").exists()


def test_an_evaluation_after_the_last_checkpoint_is_not_counted_twice(
    tiles: Path, whole: Path, tmp_path: Path
) -> None:
    """As if the process had died between writing the row and the checkpoint."""
    (tmp_path / "metrics.csv").write_bytes((whole / "metrics.csv").read_bytes())
    run(TWO_PHASES, tiles, tmp_path)
    assert figures(tmp_path) == figures(whole)


def test_a_finished_run_is_not_run_again(tiles: Path, whole: Path) -> None:
    before = (whole / "metrics.csv").read_bytes(), (whole / "last.ckpt").stat().st_mtime_ns
    best = run(TWO_PHASES, tiles, whole)
    assert best == checkpoint(whole / "best.ckpt")["row"]
    assert before == ((whole / "metrics.csv").read_bytes(), (whole / "last.ckpt").stat().st_mtime_ns)


def test_it_stops_early_once_it_gets_no_better_and_stays_stopped(tiles: Path, tmp_path: Path) -> None:
    """With a learning rate of nearly nothing the first evaluation is never beaten for long."""
    recipe = toy(
        phases=(Phase(size=32, samples=1000, batch=4),),
        learning_rate=1e-30,
        evaluate_every=4,
        patience=3,
    )
    best = run(recipe, tiles, tmp_path)
    measured = [row["auc"] for row in rows(tmp_path)]
    last_best = max(range(len(measured)), key=lambda i: (measured[i], -i))
    assert len(measured) == last_best + 1 + 3 < 200
    assert best["auc"] == max(measured)
    assert checkpoint(tmp_path / "last.ckpt")["samples"] == 4 * len(measured)
    assert run(recipe, tiles, tmp_path) == best
    assert len(rows(tmp_path)) == len(measured)


def test_a_checkpoint_of_another_network_or_a_broken_one_is_refused(
    tiles: Path, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "last.ckpt").write_bytes((whole / "last.ckpt").read_bytes())
    other = replace(TWO_PHASES, model=replace(TWO_PHASES.model, front_end="rgb+residual"))
    with pytest.raises(ConfigurationError, match=r"last\.ckpt is broken or of another recipe"):
        run(other, tiles, tmp_path)
    for content in (b"", b"PK\x03\x04 not a checkpoint", (whole / "last.ckpt").read_bytes()[:5000]):
        (tmp_path / "last.ckpt").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"last\.ckpt is broken or of another recipe"):
            run(TWO_PHASES, tiles, tmp_path)


@pytest.mark.parametrize("part", ["phases", "view_size"])
def test_sizes_larger_than_the_tiles_are_told_before_anything_is_written(
    tiles: Path, tmp_path: Path, part: str
) -> None:
    if part == "phases":
        recipe = toy(phases=(Phase(size=32, samples=32, batch=16), Phase(size=49, samples=32, batch=16)))
    else:
        recipe = replace(TOY, model=replace(TOY.model, view_size=49))
    with pytest.raises(ConfigurationError, match="48×48 pixels, but the recipe cuts crops of 49"):
        run(recipe, tiles, tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_no_number_ends_the_run_and_is_not_saved(tiles: Path, tmp_path: Path) -> None:
    """Weights of 1e30 overflow in the first step."""
    run(toy(phases=(Phase(size=32, samples=16, batch=16),)), tiles, tmp_path)
    state = checkpoint(tmp_path / "last.ckpt")
    for tensor in state["model"].values():
        if tensor.is_floating_point():
            tensor.fill_(1e30)
    torch.save(state, tmp_path / "last.ckpt")
    before = (tmp_path / "last.ckpt").read_bytes()
    with pytest.raises(ConfigurationError, match=r"the loss is nan after 16 samples.*learning_rate"):
        run(toy(phases=(Phase(size=32, samples=64, batch=16),)), tiles, tmp_path)
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_signals_do_again_what_they_did_before(tiles: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run(toy(phases=(Phase(size=32, samples=16, batch=16),)), tiles, tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_checkpoints_are_written_as_time_passes(
    tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, float]] = []
    save = trainer._save

    def noted(fabric: Any, path: Path, state: dict[str, Any]) -> None:
        save(fabric, path, state)
        written.append((path.name, time.monotonic()))

    monkeypatch.setattr(trainer, "_save", noted)
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0)
    run(toy(phases=(Phase(size=32, samples=64, batch=16),), evaluate_every=1000), tiles, tmp_path)
    assert [name for name, _ in written] == ["last.ckpt"] * 3 + ["best.ckpt", "last.ckpt"]


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    recipe = toy(phases=(Phase(size=32, samples=1000, batch=10),), warmup=0.1, learning_rate=0.5)
    rates = [learning_rate(recipe, done) for done in range(1001)]
    assert rates[:101] == pytest.approx([0.005 * done for done in range(101)])
    assert rates[550] == pytest.approx(0.25) and rates[1000] == pytest.approx(0, abs=1e-12)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert all(map(math.isfinite, (learning_rate(toy(warmup=0.0), done) for done in (0, 1, 256))))


def test_the_average_by_hand() -> None:
    """Its window grows first: decays 2/11, 3/12, then at most 0.26; whole numbers are copied."""
    model = torch.nn.BatchNorm1d(1)
    average = Average(model, decay=0.26)
    expected = 1.0
    for step, (value, decay) in enumerate([(5.0, 2 / 11), (2.0, 3 / 12), (4.0, 0.26), (8.0, 0.26)], 1):
        torch.nn.init.constant_(model.weight, value)
        model.num_batches_tracked.fill_(step)
        average.update(model, step)
        expected = decay * expected + (1 - decay) * value
        assert average.values["weight"].item() == pytest.approx(expected)
        assert average.values["num_batches_tracked"].item() == step
