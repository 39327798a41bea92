"""Searches of toy recipes, in a database each."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from aidetect import ConfigurationError
from aidetect_training import search as searching
from aidetect_training import train as trainer
from aidetect_training.cli import main
from aidetect_training.recipe import load_recipe
from aidetect_training.rows import read_rows
from aidetect_training.search import SearchOptions, read_space, search

TOY = """
about = "as small as it gets"
[model]
backbone = "small"
view_size = 32
[data]
validation_origins = ["owner/held-out"]
[augment]
codec = 0
[train]
phases = [{ size = 32, samples = 48, batch = 16 }]
average_decay = 0.0
evaluate_every = 16
precision = "32-true"
warmup = 0
"""

SPACE = """
["train.learning_rate"]
low = 1e-5
high = 1e-2
log = true
["model.dropout"]
choices = [0.1, 0.5]
["augment.quality_range"]
choices = [[30, 95], [60, 90]]
["train.phases.0.batch"]
low = 15
high = 16
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    (tmp_path / "toy.toml").write_text(TOY, encoding="utf-8")
    (tmp_path / "space.toml").write_text(SPACE, encoding="utf-8")
    return str(tmp_path / "toy.toml")


@pytest.fixture
def run(recipe: str, tiles: Path, tmp_path: Path) -> Callable[..., optuna.trial.FrozenTrial]:
    space = read_space(str(tmp_path / "space.toml"))

    def run(trials: int, **options: Any) -> optuna.trial.FrozenTrial:
        given = SearchOptions(trials, f"sqlite:///{tmp_path}/study.db", **options)
        return search(recipe, {}, space, tiles, tmp_path / "out", given, "cpu", 0)

    return run


def study(tmp_path: Path) -> optuna.Study:
    return optuna.load_study(study_name="toy", storage=f"sqlite:///{tmp_path}/study.db")


def test_a_search_goes_on_and_leaves_a_recipe(
    run: Callable[..., Any], recipe: str, tmp_path: Path
) -> None:
    """Two random trials, then one by TPE: `trials` counts all of them."""
    run(2)
    best = run(3, sampler="tpe")
    trials = study(tmp_path).get_trials()
    assert len(trials) == 3
    assert len({trial.params["train.learning_rate"] for trial in trials}) == 3
    assert {trial.params["train.phases.0.batch"] for trial in trials} <= {15, 16}
    assert best.value == max(trial.value for trial in trials if trial.value is not None)
    rows = read_rows(tmp_path / "out" / f"trial{best.number:04d}" / "metrics.csv")
    assert best.value == max(row["auc"] for row in rows)
    found = load_recipe(str(tmp_path / "out" / "best.toml"))
    assert found.name == "toy-best" and found.train.learning_rate == best.params["train.learning_rate"]
    assert list(found.augment.quality_range) in ([30, 95], [60, 90])
    assert found.sequence == load_recipe(recipe).sequence
    table = (tmp_path / "out" / "trials.csv").read_text(encoding="utf-8").splitlines()
    assert table[0].startswith("trial,state,value,evaluations,augment.quality_range") and len(table) == 4
    assert (tmp_path / "out" / "importance.png").read_bytes().startswith(b"\x89PNG")


def test_trials_below_the_median_end_early(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures are dictated: each trial is worse than the one before, and none is better later."""
    monkeypatch.setattr(searching, "STARTUP_TRIALS", 2)
    calls: list[Path] = []

    def fit(changed: Any, training: Any, validation: Any, folder: Path, *rest: Any) -> None:
        calls.append(folder)
        folder.mkdir(parents=True)
        lines = ["samples,auc"]
        for samples in (16, 32, 48):
            lines.append(f"{samples},{0.9 - 0.1 * len(calls)}")
            (folder / "metrics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
            if rest[-1]({"samples": samples, "auc": 0.9 - 0.1 * len(calls)}):
                return

    monkeypatch.setattr(searching, "fit", fit)
    run(4)
    assert [trial.state.name for trial in study(tmp_path).get_trials()] == [
        *("COMPLETE", "COMPLETE", "PRUNED", "PRUNED")
    ]
    assert [len(read_rows(folder / "metrics.csv")) for folder in calls] == [3, 3, 1, 1]
    run(5, prune=False)
    assert study(tmp_path).get_trials()[-1].state.name == "COMPLETE"


def test_a_trial_that_diverges_does_not_end_the_search(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = searching.fit

    def diverges(*arguments: Any) -> Any:
        if len(study(tmp_path).get_trials()) == 1:
            raise searching.DivergedError("the loss is nan")
        return fit(*arguments)

    monkeypatch.setattr(searching, "fit", diverges)
    with pytest.raises(ConfigurationError, match="no trial of 1 came to its end"):
        run(1)
    run(2)
    assert [trial.state.name for trial in study(tmp_path).get_trials()] == ["PRUNED", "COMPLETE"]


SCRIPT = """
import os, signal, sys
from pathlib import Path
from aidetect_training import search as searching, train as trainer, validation

validation.VALIDATION_TILES, searching.HEARTBEAT_SECONDS = 64, 1
step = trainer._step

def counted(recipe, fabric, model, optimizer, state, *batch):
    if state["samples"] >= 30:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(recipe, fabric, model, optimizer, state, *batch)

trainer._step = counted
recipe, space, data, out, storage = sys.argv[1:]
options = searching.SearchOptions(1, storage)
searching.search(recipe, {}, searching.read_space(space), Path(data), Path(out), options, "cpu", 0)
"""


def test_a_trial_whose_process_died_is_taken_up_where_it_was(
    run: Callable[..., Any], recipe: str, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its folder, with its values, once it has not been heard of for a while."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    given = [recipe, tmp_path / "space.toml", tiles, tmp_path / "out", f"sqlite:///{tmp_path}/study.db"]
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), *map(str, given)], capture_output=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    monkeypatch.setattr(searching, "HEARTBEAT_SECONDS", 1)
    time.sleep(3)  # twice a heartbeat, and one to spare
    run(1)
    taken_up(tmp_path)


def test_a_trial_that_was_stopped_is_taken_up_where_it_was(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = trainer._step

    def interrupted(
        recipe: Any, fabric: Any, model: Any, optimizer: Any, state: Any, *batch: Any
    ) -> Any:
        if state["samples"] in (15, 16):
            os.kill(os.getpid(), signal.SIGINT)
        return step(recipe, fabric, model, optimizer, state, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_step", interrupted)
        with pytest.raises(ConfigurationError, match="stopped; started again, the search goes on"):
            run(1)
    run(1)
    taken_up(tmp_path)


def taken_up(tmp_path: Path) -> None:
    """The trial failed, and another with its values went on in its folder from its checkpoint."""
    failed, taken = study(tmp_path).get_trials()
    assert (failed.state.name, taken.state.name) == ("FAIL", "COMPLETE")
    assert taken.params == failed.params and taken.user_attrs["folder"] == "trial0000"
    assert [folder.name for folder in (tmp_path / "out").iterdir() if folder.is_dir()] == ["trial0000"]
    rows = read_rows(tmp_path / "out" / "trial0000" / "metrics.csv")
    assert len(rows) == len({row["samples"] for row in rows}) == 3 and rows[-1]["samples"] == 48
    assert list(failed.intermediate_values.values()) == [row["auc"] for row in rows[:2]]


def test_another_search_does_not_mix_in(run: Callable[..., Any], recipe: str, tmp_path: Path) -> None:
    run(1)
    path = Path(recipe)
    path.write_text(TOY.replace("samples = 48", "samples = 64"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"study\.db holds a search of toy with other values"):
        run(2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no key"),
        ("[", "cannot be read"),
        ("a = 1", "a is 1"),
        ("[a]\nlow = 1", "choices, or low and high"),
        ("[a]\nlow = 2\nhigh = 1", "choices, or low and high"),
        ("[a]\nlow = 0\nhigh = 1\nlog = true", "above 0"),
        ("[a]\nlow = '0'\nhigh = 1", "choices, or low and high"),
        ("[a]\nchoices = []", "choices, or low and high"),
        ("[a]\nchoices = [1]\nlow = 2", "choices, or low and high"),
    ],
)
def test_what_is_no_space(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=told) as raised:
        read_space(str(path))
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", ["video-lstm", "video-small"])
def test_built_in_spaces_fit_their_recipes(name: str) -> None:
    """The first and the last of everything that is searched."""
    space = read_space(name)
    for end in (0, -1):
        changes = {
            key: wanted["choices"][end] if "choices" in wanted else wanted[("low", "high")[end]]
            for key, wanted in space.items()
        }
        load_recipe(name, changes)


def test_a_space_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match=r"There is no space 'nothing'.*video-lstm"):
        read_space("nothing")


def test_a_database_that_does_not_open(
    recipe: str, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["search", recipe, "--space", str(tmp_path / "space.toml"), "--trials", "1"]
    given += ["--data", str(tiles), "--out", str(tmp_path), "--device", "cpu", "--workers", "0"]
    for storage in ("nothing", f"sqlite:///{tmp_path}/no/such/folder.db"):
        assert main([*given, "--storage", storage]) == 1
        assert "does not open as a database" in capsys.readouterr().err
    assert main([*given, "--storage", f"sqlite:///{tmp_path}/study.db"]) == 0
    assert "best is trial 0" in capsys.readouterr().out
