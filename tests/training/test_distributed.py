"""Several processes under `torchrun`: the same steps as one with as many micro-batches."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from aidetect import ConfigurationError
from aidetect._model import SEResNet50
from aidetect_training.data import ShuffledSampler
from aidetect_training.distributed import Share, launch
from aidetect_training.recipe import Phase, load_recipe
from aidetect_training.train import Average, train

from .conftest import TOY

RECIPE = """
about = "two micro-batches a step, and a smaller last one"
name = "toy"
[model]
front_end = "residual"
stages = 2
view_size = 32
dropout = 0.3
[data]
validation_origins = ["owner/held-out"]
sampling = "shuffled"
[train]
phases = [{ size = 32, samples = 100, batch = 16 }]
learning_rate = 1e-3
average_decay = 0
evaluate_every = 60
precision = "32-true"
seed = 1
"""


STOPPED = """
import os, signal, sys
from pathlib import Path
from aidetect_training import train as trainer
from aidetect_training.cli import main

step = trainer._step

def counted(recipe, fabric, model, optimizer, state, *batch):
    if state["step"] == 2 and os.environ["RANK"] == "1":
        signal.raise_signal(signal.SIGTERM)
    return step(recipe, fabric, model, optimizer, state, *batch)

trainer._step = counted
assert main(sys.argv[1:]) == 0
assert not Path(sys.argv[-1], "metrics.csv").exists()
trainer._step = step
sys.exit(main(sys.argv[1:]))
"""
"""The command line, in which one of the processes is asked to stop at the third step; then it again."""


def saved(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(out / "last.ckpt", weights_only=True)
    return found


@pytest.fixture(scope="module")
def two(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that talk over gloo, stopped after 48 samples and begun again."""
    folder = tmp_path_factory.mktemp("two")
    recipe, script, out = folder / "toy.toml", folder / "stopped.py", folder / "out"
    recipe.write_text(RECIPE, encoding="utf-8")
    script.write_text(STOPPED, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(script), "train", str(recipe), "--device", "cpu", "--workers", "0"]
    done = subprocess.run(
        [*command, "--data", str(tiles), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "goes on after 48 samples" in done.stdout
    return out


def test_two_processes_that_were_stopped_learn_what_one_does_with_two_micro_batches(
    tiles: Path, two: Path, tmp_path: Path
) -> None:
    (tmp_path / "toy.toml").write_text(RECIPE + "micro_batches = 2\n", encoding="utf-8")
    train(load_recipe(str(tmp_path / "toy.toml")), tiles, tmp_path / "one", device="cpu", workers=0)
    one, both = saved(tmp_path / "one"), saved(two)
    assert (one["samples"], one["step"]) == (both["samples"], both["step"]) == (100, 7)
    learnt = {name for name in one["model"] if "running" not in name and "batches" not in name}
    for name in learnt:
        torch.testing.assert_close(both["model"][name], one["model"][name], rtol=1e-3, atol=1e-5)
    start = Average(SEResNet50(**TOY.model.architecture()), 0).values
    assert any(not torch.allclose(one["model"][name], start[name], atol=1e-3) for name in learnt)


def test_one_process_writes_the_table(two: Path) -> None:
    lines = (two / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["samples", "64", "100"]
    assert (two / "best.ckpt").is_file() and not list(two.glob("*.partial"))


def test_shares_of_a_batch_are_all_of_it_once() -> None:
    draws = ShuffledSampler(10, 50, seed=3)
    whole = list(draws)
    shares = [list(Share(draws, 16, rank, 4)) for rank in range(4)]
    assert [len(share) for share in shares] == [len(Share(draws, 16, 0, 4))] * 4 == [4] * 4
    for step in range(3):
        assert [draw for share in shares for draw in share[step]] == whole[16 * step : 16 * step + 16]
    assert [len(share[3]) for share in shares] == [
        1,
        1,
        1,
        1,
    ]  # of the last two draws, none goes without
    assert {draw for share in shares for draw in share[3]} == set(whole[48:])
    assert list(islice(Share(draws, 16, 0, 1), 1)) == [whole[:16]]


def test_a_batch_that_cannot_be_cut_evenly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigurationError, match="16 cannot be cut into 3"):
        launch("cpu", TOY.train)


def test_micro_batches_are_no_more_than_a_batch() -> None:
    with pytest.raises(ConfigurationError, match="micro_batches is 17"):
        replace(TOY.train, phases=(Phase(32, 32, 16),), micro_batches=17)
