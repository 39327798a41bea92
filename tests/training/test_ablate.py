import csv
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from aidetect import ConfigurationError
from aidetect_training import train as trainer
from aidetect_training.ablate import ablate, read_trials, runs
from aidetect_training.ablate_table import auc, row_of, table
from aidetect_training.backbones import network
from aidetect_training.cli import main
from aidetect_training.data import SkippedList, read_manifest, split
from aidetect_training.recipe import load_recipe
from aidetect_training.validation import Validation

from .conftest import write_manifest
from .test_train import signalled

RECIPE = """
about = "toy"
[model]
stages = 2
view_size = 32
[data]
validation_origins = ["owner/held-out"]
[train]
phases = [{ size = 32, samples = 64, batch = 16 }]
evaluate_every = 32
precision = "32-true"
average_decay = 0.5
"""
LIST = """
about = "toy"
recipe = "RECIPE"
seeds = [1]
base_seeds = [1, 2]
set = { "augment.rescale" = 0 }
[[trial]]
name = "residual"
expected = "better: the checkerboard shows"
also = "pairs"
set = { "model.front_end" = "residual", "data.balance" = 1.0 }
"""
CHANGE = LIST[LIST.index('also = "pairs"') :]


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trials")
    (folder / "mine.toml").write_text(RECIPE, encoding="utf-8")
    path = folder / "list.toml"
    path.write_text(LIST.replace("RECIPE", (folder / "mine.toml").as_posix()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pairs(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real tiles, and each once more as AI; half of them of the origin that is held out."""
    folder = tmp_path_factory.mktemp("pairs")
    rows = []
    for number, item in enumerate(one for one in read_manifest(tiles) if not one.label):
        shutil.copy(item.path, folder)
        origin = "owner/held-out" if number % 2 else "elsewhere"
        for label in "01":
            made = "copy" * int(label)
            rows.append({"path": item.path.name, "label": label, "source": origin, "generator": made})
    write_manifest(folder, rows)
    return folder


def rows(out: Path) -> list[dict[str, str]]:
    """`trials.csv` without times, and without the mean loss, which a stop cuts in two."""
    with open(out / "trials.csv", newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in ("seconds_per_1000", "loss")} for row in table]


def test_a_list_that_was_stopped_ends_as_if_it_had_not_been(
    trials: Path, tiles: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    arguments = ["--data", str(tiles), "--also", f"pairs={pairs}", "--device", "cpu", "--workers", "0"]
    assert main(["ablate", str(trials), *arguments, "--out", str(whole)]) == 0
    there = rows(whole)
    assert [(row["trial"], row["seed"]) for row in there] == [
        ("base", "1"), ("base", "2"), ("residual", "1"),
    ]  # fmt: skip
    assert {row["samples"] for row in there} == {"64"}
    assert len({row["auc"] for row in there}) == 3

    stopped = tmp_path / "stopped"
    for name in ("base-1", "base-2"):
        shutil.copytree(whole / name, stopped / name)
    ended = (stopped / "base-1/last.ckpt").stat().st_mtime_ns
    listed, also = read_trials(str(trials)), {"pairs": pairs}
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_step", signalled(signal.SIGINT, 1))
        with pytest.raises(ConfigurationError, match=r"residual-1 was stopped\. Start the same command"):
            ablate(listed, tiles, stopped, also, "cpu", 0)
    assert [row["trial"] for row in rows(stopped)] == ["base", "base"]
    ablate(listed, tiles, stopped, also, "cpu", 0)
    assert rows(stopped) == there
    assert (stopped / "base-1/last.ckpt").stat().st_mtime_ns == ended

    # A run that ended, but was killed before its result was written.
    (stopped / "residual-1/result.json").unlink()
    ablate(listed, tiles, stopped, also, "cpu", 0)
    assert rows(stopped) == there

    with pytest.raises(ConfigurationError, match="base-1 was run with other values"):
        ablate(read_trials(str(trials), {"train.warmup": 0.5}), tiles, stopped, also, "cpu", 0)

    recipe = load_recipe(str(whole / "base-1/recipe.toml"))
    model = network(recipe)
    model.load_state_dict(torch.load(whole / "base-1/last.ckpt", weights_only=True)["average"])
    held_out = split(read_manifest(tiles), recipe.data)[1]
    watch = Validation(recipe, held_out, 0, SkippedList(tmp_path / "skipped.txt"))
    figures = watch.figures(model, torch.device("cpu"), "32-true")
    assert float(there[0]["auc"]) == pytest.approx(figures["auc"], abs=1e-4)
    assert float(there[0]["balanced_accuracy"]) == pytest.approx(figures["balanced_accuracy"], abs=1e-4)
    written = (whole / "table.md").read_text(encoding="utf-8")
    assert "The base's AUC with 2 seeds" in written
    assert "| residual | better: the checkerboard shows | 1 |" in written
    trained_on = {
        name: json.loads((whole / f"{name}-1/result.json").read_text(encoding="utf-8"))["images"]
        for name in ("base", "residual")
    }
    assert trained_on == {"base": 80, "residual": 80 + 60}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('name = "residual"', 'name = "base"', "of unlike names"),
        ('name = "residual"', 'name = "../more"', "letters, digits"),
        (CHANGE, "set = {}", "a change to the base"),
        ("base_seeds = [1, 2]", "base_seeds = [2]", r"with \[1\], as in seeds"),
        ("expected = ", "expected = 1 #", r"trial\[0\]\.expected is 1"),
        (
            CHANGE,
            'set = { "train.phases" = [{ size = 32, samples = 128, batch = 16 }] }',
            "trains on 128 samples, not on 64",
        ),
        (CHANGE, 'set = { "data.split_seed" = 1 }', "changes which images are held out"),
    ],
)
def test_lists_that_compare_unlike_things_are_told(
    trials: Path, tmp_path: Path, before: str, after: str, message: str
) -> None:
    text = trials.read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "list.toml").write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        runs(read_trials(str(tmp_path / "list.toml")))


def test_another_budget_stretches_all_alike() -> None:
    longer = runs(read_trials("default", samples=32_000))
    for run, short in zip(longer, runs(read_trials("default")), strict=True):
        assert run.recipe.train.samples == 10 * short.recipe.train.samples
        assert run.recipe.train.evaluate_every == 10 * short.recipe.train.evaluate_every
        assert [phase.size for phase in run.recipe.train.phases] == [
            phase.size for phase in short.recipe.train.phases
        ]
    assert {run.recipe.train.samples for run in longer} == {32_000, 128_000}


def test_a_name_without_a_folder_is_told(trials: Path, tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Add: --also pairs=DIR"):
        ablate(read_trials(str(trials)), tiles, tmp_path, {}, "cpu", 0)


def test_the_list_that_is_here_is_one_budget_and_of_networks_that_can_be_made() -> None:
    made = runs(read_trials("default"))
    assert len(made) > 25 and made[0].name == "base"
    sizes = {run.name: run.recipe.train.phases[0].size for run in made}
    unlike = {name: size for name, size in sizes.items() if size != 64}
    assert unlike == {"crop-32": 32, "crop-96": 96, "crop-128": 128}
    with torch.device("meta"):
        for run in made:
            network(run.recipe)


def result(given: list[float], unseen: tuple[int, ...] = ()) -> dict[str, Any]:
    """Of 12 images, every other one AI, of six origins."""
    return {
        "samples": 64, "loss": 0.5, "seconds_per_1000": 10.0, "parameters": 7,
        "labels": [0, 1] * 6, "origins": [f"o{number // 2}" for number in range(12)],
        "unseen": [number in unseen for number in range(12)], "probabilities": given,
    }  # fmt: skip


def test_the_fast_auc_is_that_of_scikit_learn_ties_too() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels, given = rng.integers(0, 2, 300), rng.integers(0, 40, 300) / 40
        assert auc(labels, given) == pytest.approx(roc_auc_score(labels, given))


def test_trials_are_held_against_the_base_of_their_seed_on_the_same_images() -> None:
    noisy = [0.4, 0.6, 0.7, 0.3, 0.2, 0.9, 0.5, 0.6, 0.3, 0.1, 0.2, 0.8]
    perfect = [0.1, 0.9] * 6
    first, second = result(noisy, unseen=(3, 9)), result(perfect)
    made = [
        row_of("base", 1, first, None),
        row_of("base", 2, second, None),
        row_of("same", 1, result(noisy), first),
        row_of("better", 1, result(perfect), first),
        row_of("better", 2, result(perfect), second),
        row_of("broken", 1, {"diverged": "the loss is nan"}, first),
    ]
    base, _, same, better, equal, broken = made
    assert base["auc_unseen"] == pytest.approx(2.5 / 12) and "auc_unseen" not in same
    assert same["over_base"] == same["over_base_low"] == same["over_base_high"] == 0
    assert better["over_base"] == pytest.approx(1 - base["auc"])
    assert 0 <= better["over_base_low"] < better["over_base"] < better["over_base_high"]
    assert equal["over_base"] == 0 and broken["diverged"] == "the loss is nan"
    fewer = {**first, "labels": first["labels"][2:], "origins": first["origins"][2:]}
    fewer |= {key: first[key][2:] for key in ("probabilities", "unseen")}
    with pytest.raises(ConfigurationError, match="could read 10 of the held-out images, the base 12"):
        row_of("blind", 1, fewer, first)
    lines = table(made, {"same": "as it is", "better": "more", "broken": "?"}).splitlines()
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| base", "| better", "| same", "| broken"]
    assert "| better | more | 2 | 1.000 | 1.000 … 1.000 |" in lines[5]
    assert lines[7].startswith("| broken | ? | 1 | diverged |")
    assert {line.count("|") for line in lines[2:]} == {12}
