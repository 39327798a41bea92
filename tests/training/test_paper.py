"""The recipe `paper`, at the scale of a toy, through the same trainer as every other recipe."""

import csv
import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aidetect import ConfigurationError
from aidetect._model import SEResNet50
from aidetect_training import train as trainer
from aidetect_training.augment import augment, squash
from aidetect_training.cli import main
from aidetect_training.data import ShuffledSampler, split
from aidetect_training.layouts import read_dataset
from aidetect_training.recipe import Phase, Recipe, load_recipe
from aidetect_training.recipe_images import AugmentRecipe
from aidetect_training.rows import append_row
from aidetect_training.scoring import load_checkpoint, score_network
from aidetect_training.train import learning_rate, train

from .conftest import QUIET, picture
from .test_train import checkpoint, figures, rows, same, signalled

PAPER = load_recipe("paper")

TOY = replace(
    PAPER,
    model=replace(PAPER.model, stages=2, view_size=32),
    train=replace(
        PAPER.train,
        phases=(Phase(size=32, epochs=2, batch=16),),
        learning_rate=1e-3,
        precision="32-true",
    ),
)
"""`paper` with a smaller network, view and batch, and fewer epochs."""

TOY_FILE = """
about = "the same as TOY"
name = "paper"
[model]
stages = 2
view = "squash"
view_size = 32
[data]
validation_share = 0.2
"""


def kaggle(folder: Path, images: int, broken: Sequence[int] = ()) -> Path:
    """Images of many shapes and formats, class 1 with broad stripes that a squash leaves visible."""
    rng = np.random.default_rng(5)
    (folder / "train_data").mkdir(parents=True)
    lines = ["file_name,label"]
    for number in range(images):
        label = number % 2
        width, height = (int(side) for side in rng.integers(30, 90, 2))
        image = picture(0, width, height, rng)
        if label:
            stripes = np.arange(height) * 8 // height % 2
            pixels = np.asarray(image, np.int16) + np.where(stripes, 30, -30)[:, None, None]
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        name = f"train_data/{number}.{('jpg', 'png', 'webp')[number % 3]}"
        image.save(folder / name)
        if number in broken:
            data = (folder / name).read_bytes()
            (folder / name).write_bytes(data[: len(data) // 2])
        lines.append(f"{name},{label}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kaggle(tmp_path_factory.mktemp("kaggle") / "set", 100)


def run(recipe: Recipe, data: Path, out: Path, workers: int = 0) -> dict[str, Any]:
    return train(recipe, data, out, device="cpu", workers=workers)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    run(TOY, data, out)
    return out


def test_the_figures_are_those_of_the_paper() -> None:
    train = PAPER.train.over(63_960)
    assert train.phases == (Phase(224, 63_960, 128),) * 15 and train.evaluate_every == 63_960
    assert (train.learning_rate, train.weight_decay, train.label_smoothing) == (1e-4, 1e-5, 0.05)
    assert (train.monitor, train.patience, train.average_decay, train.warmup) == ("accuracy", 5, 0, 0)
    assert "mixed" in train.precision
    changed = {"colour_jitter": 0.7, "brightness_contrast": 0.5}
    assert replace(PAPER.augment, **dict.fromkeys(changed, 0.0)) == QUIET
    assert {key: getattr(PAPER.augment, key) for key in changed} == changed
    assert PAPER.model.architecture() == load_recipe("paper").model.architecture()
    paper, default = SEResNet50(**PAPER.model.architecture()), SEResNet50()
    assert [*map(str, paper.modules())] == [*map(str, default.modules())]
    assert (PAPER.model.view, PAPER.model.view_size) == ("squash", 224)


def test_the_learning_rate_is_that_of_cosine_annealing_with_t_max_15() -> None:
    recipe = replace(PAPER, train=PAPER.train.over(1000))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)
    for epoch in range(15):
        for done in (0, 128, 999):
            rate = learning_rate(recipe, 1000 * epoch + done)
            assert rate == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        schedule.step()


def test_an_epoch_is_no_larger_than_the_data_and_other_recipes_stay_as_they_are() -> None:
    assert PAPER.train.over(50).phases == (Phase(224, 50, 50),) * 15
    default = load_recipe("default").train
    assert default.over(50) is default


@pytest.mark.parametrize("start", [0, 1, 99, 100, 101, 250])
def test_every_image_comes_once_an_epoch_in_an_order_that_a_resumed_run_keeps(start: int) -> None:
    draws = list(ShuffledSampler(100, 300, seed=7))
    assert [k for _, k in draws] == list(range(300))
    epochs = [[index for index, _ in draws[first : first + 100]] for first in (0, 100, 200)]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert all(one != other for one, other in pairwise(epochs))
    resumed = ShuffledSampler(100, 300, seed=7, start=start)
    assert list(resumed) == draws[start:] and len(resumed) == 300 - start
    assert list(ShuffledSampler(100, 300, seed=8)) != draws


@pytest.mark.parametrize("size", [(300, 40), (20, 500), (224, 224)])
def test_the_whole_image_is_squashed_whatever_its_shape(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "black")
    image.paste("white", (0, 0, size[0] // 2, size[1]))
    shown = np.asarray(squash(image, 64)).mean(axis=(0, 2))
    assert (shown[:28] == 255).all() and (shown[36:] == 0).all()
    square = np.asarray(squash(image, 64))
    seen = {augment(image, 64, QUIET, random.Random(s), "squash").tobytes() for s in range(20)}
    assert seen == {square.tobytes(), square[:, ::-1].tobytes()}


def test_the_published_colours_move_by_up_to_a_fifth_and_as_often_as_they_say() -> None:
    flat = Image.new("RGB", (32, 32), (120, 120, 120))
    shift = replace(QUIET, brightness_contrast=1.0)
    levels = [augment(flat, 32, shift, random.Random(s), "squash")[0, 0, 0] for s in range(400)]
    assert 45 <= min(levels) < 60 and 180 < max(levels) <= 195
    scene = picture(0, 32, 32, np.random.default_rng(0))
    plain = np.asarray(scene)
    for key, chance in (("colour_jitter", 0.7), ("brightness_contrast", 0.5)):
        recipe = replace(QUIET, **{key: chance})
        changed = 0
        for seed in range(400):
            made = augment(scene, 32, recipe, random.Random(seed), "squash")
            changed += not any(np.array_equal(made, p) for p in (plain, plain[:, ::-1]))
        assert changed / 400 == pytest.approx(chance, abs=0.08)


def test_jitter_turns_the_hue_and_leaves_grey_without_one() -> None:
    jitter = replace(QUIET, colour_jitter=1.0)
    red = Image.new("RGB", (32, 32), (200, 60, 60))
    made = [augment(red, 32, jitter, random.Random(s), "squash")[0, 0].tolist() for s in range(100)]
    assert {0 if g > b else 1 for _, g, b in made if g != b} == {0, 1}
    grey = Image.new("RGB", (32, 32), (90, 90, 90))
    for seed in range(50):
        assert np.ptp(augment(grey, 32, jitter, random.Random(seed), "squash")[0, 0]) <= 1


class Counting(random.Random):
    """Counts the numbers that are drawn."""

    drawn = 0

    def random(self) -> float:
        self.drawn += 1
        return super().random()


def test_new_chances_of_zero_draw_nothing() -> None:
    """So recipes without them are given the crops that they were given before there were any."""
    tile = picture(0, 64, 64, np.random.default_rng(0))
    counts = {}
    for chance in (0.0, 1e-12):
        rng = Counting(1)
        augment(tile, 40, replace(QUIET, colour_jitter=chance, brightness_contrast=chance), rng)
        counts[chance] = rng.drawn
    assert counts[1e-12] == counts[0.0] + 2
    assert (AugmentRecipe().colour_jitter, AugmentRecipe().brightness_contrast) == (0, 0)


def test_two_epochs_on_a_kaggle_folder(data: Path, whole: Path) -> None:
    training, validation = split(read_dataset(data), TOY.data)
    assert (len(training), len(validation)) == (80, 20)
    measured = rows(whole)
    assert [(row["samples"], row["images"]) for row in measured] == [(80, 20), (160, 20)]
    assert checkpoint(whole / "last.ckpt")["step"] == 10
    best = checkpoint(whole / "best.ckpt")
    assert best["row"]["accuracy"] == max(row["accuracy"] for row in measured)
    assert not (whole / "skipped.txt").exists()


def test_it_learns_and_scores_the_squashed_image_as_in_validation(data: Path, tmp_path: Path) -> None:
    longer = replace(TOY.train, phases=(Phase(size=32, epochs=6, batch=8),), patience=6)
    recipe = replace(TOY, train=longer)
    best = run(recipe, data, tmp_path / "run")
    assert best["accuracy"] >= 0.85
    _, validation = split(read_dataset(data), recipe.data)
    network = load_checkpoint(tmp_path / "run" / "best.ckpt", recipe)
    scores = score_network(network, recipe, validation, ["clean"])
    assert all(len(score.margins) == 1 for score in scores)
    right = [(score.margins[0] >= 0) == bool(score.item.label) for score in scores]
    assert np.mean(right) == pytest.approx(best["accuracy"])


def test_it_stops_after_epochs_without_better_accuracy(data: Path, tmp_path: Path) -> None:
    still = replace(
        TOY.train,
        phases=(Phase(size=32, epochs=15, batch=40),),
        learning_rate=1e-30,
        patience=2,
    )
    best = run(replace(TOY, train=still), data, tmp_path)
    measured = [row["accuracy"] for row in rows(tmp_path)]
    first_best = measured.index(max(measured))
    assert len(measured) == first_best + 1 + 2 < 15
    assert best["accuracy"] == measured[first_best]


@pytest.mark.parametrize(("steps", "workers"), [(2, 0), (5, 1), (7, 0)])
def test_a_run_stopped_within_or_after_an_epoch_ends_as_if_it_had_not_been(
    data: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    workers: int,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_step", signalled(signal.SIGTERM, steps))
        run(TOY, data, tmp_path)
    assert checkpoint(tmp_path / "last.ckpt")["samples"] == 16 * (steps + 1)
    run(TOY, data, tmp_path, workers)
    assert figures(tmp_path) == figures(whole)
    assert same(checkpoint(tmp_path / "last.ckpt")["model"], checkpoint(whole / "last.ckpt")["model"])


@pytest.mark.parametrize("workers", [0, 1])
def test_corrupt_and_missing_images_are_skipped_counted_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    broken = (3, 10, 11, 40, 77)
    folder = kaggle(tmp_path / "set", 100, broken)
    (folder / "train_data" / "50.webp").rename(tmp_path / "elsewhere")
    out = tmp_path / "out"
    best = run(TOY, folder, out, workers)
    lines = (out / "skipped.txt").read_text(encoding="utf-8").splitlines()
    names = Counter(Path(line.split("\t")[0]).stem for line in lines)
    assert names == Counter(map(str, (*broken, 50))) and all(line.split("\t")[1] for line in lines)
    assert "6 images could not be read; they are listed in" in capsys.readouterr().out
    _, validation = split(read_dataset(folder), TOY.data)
    unreadable = sum(int(i.path.stem) in (*broken, 50) for i in validation)
    assert best["images"] == len(validation) - unreadable
    assert [row["samples"] for row in rows(out)] == [80, 160]


def test_a_table_whose_images_are_elsewhere_is_told(tmp_path: Path) -> None:
    lines = [f"gone/{k}.jpg,{k % 2}" for k in range(100)]
    (tmp_path / "train.csv").write_text("file_name,label\n" + "\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"100 of 100 images are not there, such as .*gone"):
        run(TOY, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_of_figures_that_an_earlier_version_began_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("samples,auc\n64,0.5\n", encoding="utf-8")
    append_row(path, {"samples": 128.0, "accuracy": 0.7, "auc": 0.6})
    with open(path, newline="", encoding="utf-8") as table:
        assert list(csv.reader(table)) == [["samples", "auc"], ["64", "0.5"], ["128.0", "0.6"]]


def test_the_command_line_measures_a_checkpoint_and_does_not_export_it(
    data: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "paper.toml"
    recipe.write_text(TOY_FILE, encoding="utf-8")
    best = str(whole / "best.ckpt")
    common = ["--data", str(data), "--out", str(tmp_path / "results"), "--tiers", "clean"]
    measured = ["evaluate", *common, "--checkpoint", best, "--validation"]
    assert main([*measured, "--recipe", str(recipe)]) == 0
    assert "| Balanced accuracy, forced choice |" in capsys.readouterr().out
    assert (tmp_path / "results" / "metrics.json").exists()
    assert main(measured) == 1
    assert "need --recipe" in capsys.readouterr().err
    assert main([*measured, "--recipe", "default"]) == 1
    refused = capsys.readouterr().err
    assert "validation origins that the data do not have" in refused
    assert "Name origins of these data: --set 'data.validation_origins=" in refused
    common[3] = str(tmp_path / "other")
    assert main(["evaluate", *common, "--checkpoint", best, "--recipe", "paper"]) == 1
    assert "cannot be read as a best.ckpt of paper" in capsys.readouterr().err
    exported = ["export", best, "--recipe", str(recipe), "--version", "1", "--out", str(tmp_path / "m")]
    assert main(exported) == 1
    assert "squashes whole images, which the SDK never does" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
