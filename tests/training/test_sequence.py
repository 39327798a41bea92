"""Videos through the one trainer: what only time tells, steps, resume, what cannot be read."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from aidetect_training.backbones import network
from aidetect_training.cli import main
from aidetect_training.clips import encode
from aidetect_training.data import split
from aidetect_training.layouts import read_dataset
from aidetect_training.optimise import new_criterion, new_optimizer
from aidetect_training.recipe import ModelRecipe, Phase, Recipe, SequenceRecipe, load_recipe
from aidetect_training.rows import read_rows
from aidetect_training.schedule import learning_rate
from aidetect_training.sequence import SequenceModel
from aidetect_training.train import fit, train
from aidetect_training.video_data import MiddleRuns, Runs

from .conftest import QUIET, toy, write_manifest

pytest.importorskip("av", reason="the video extra is not installed")


def video_recipe(reader: str = "gru", frames: int = 4, **options: object) -> Recipe:
    """Reads runs of frames of 32 pixels by the smallest backbone that there is."""
    base = toy(
        phases=(Phase(size=32, samples=64, batch=8),), evaluate_every=32, average_decay=0.0, warmup=0.0
    )
    return replace(
        base,
        model=ModelRecipe(backbone="small", view="squash", view_size=32),
        data=replace(base.data, sampling="shuffled"),
        augment=replace(QUIET, codec=0.5),
        sequence=SequenceRecipe(frames, 0.0, reader, units=8, **options),  # type: ignore[arg-type]
    )


def blinking(kind: int, rng: np.random.Generator) -> list[Image.Image]:
    """Eight grey frames: dark throughout or light throughout (0), or the two in turn (1)."""
    first = int(rng.integers(2))
    greys = [60 + 130 * ((first + n * kind) % 2) for n in range(8)]
    return [Image.new("RGB", (40, 40), (grey, grey, grey)) for grey in greys]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 videos whose single frames are alike in both classes, and two that cannot be read."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(1)
    rows = []
    for number in range(24):
        label = number % 2
        (folder / f"{number}.mp4").write_bytes(encode(blinking(label, rng), 20))
        origin = "owner_held-out" if number % 3 == 0 else "other"
        rows.append({"path": f"{number}.mp4", "label": str(label), "source": origin})
    (folder / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(50))
    (folder / "short.mp4").write_bytes(encode(blinking(0, rng)[:2], 20))
    for name in ("broken.mp4", "short.mp4"):
        rows.append({"path": name, "label": "0", "source": "other"})
    write_manifest(folder, rows)
    return folder


@pytest.mark.parametrize("backbone", ["se-resnet50", "resnet50", "mobilenet-v3-small", "small"])
def test_every_backbone_gives_features(backbone: str) -> None:
    """What its classifier was given; the classifier itself is gone."""
    recipe = video_recipe("lstm")
    model = network(replace(recipe, model=replace(recipe.model, backbone=backbone)))
    widths = {"mobilenet-v3-small": 576, "small": 128}
    assert model.recurrent.input_size == widths.get(backbone, 2048)
    logits = model(torch.randint(0, 255, (2, 3, 3, 32, 32), dtype=torch.uint8))
    functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert logits.shape == (2, 2) and all(p.grad is not None for p in model.parameters())


class Pixels(torch.nn.Module):
    """A backbone without weights: each pixel is a feature."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(48, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(images.float().flatten(1) / 255)


@pytest.mark.parametrize("reader", ["lstm", "bilstm", "gru", "mean"])
@pytest.mark.parametrize("layers", [1, 3])
def test_readers_read_in_order_but_the_mean(reader: str, layers: int) -> None:
    torch.manual_seed(0)
    model = SequenceModel(Pixels(), SequenceRecipe(6, 0, reader, 16, layers), 5).eval()  # type: ignore[arg-type]
    clips = torch.randint(0, 255, (3, 6, 3, 4, 4), dtype=torch.uint8)
    with torch.no_grad():
        logits, backwards = model(clips), model(clips.flip(1))
    assert logits.shape == (3, 5)
    assert torch.allclose(logits, backwards, atol=1e-6) is (reader == "mean")
    if reader == "bilstm":  # what the last step of each direction leaves
        features = clips.flatten(2).float() / 255
        given, _ = model.recurrent(features)
        both = torch.cat((given[:, -1, :16], given[:, 0, 16:]), 1)
        assert torch.allclose(model.classifier(both), logits, atol=1e-6)


def test_changes_are_of_the_frame_before() -> None:
    torch.manual_seed(0)
    model = SequenceModel(Pixels(), SequenceRecipe(3, 0, "gru", 8, changes=True), 2).eval()
    clips = torch.randint(0, 255, (2, 3, 3, 4, 4), dtype=torch.uint8)
    features = clips.flatten(2).float() / 255
    steps = torch.diff(features, dim=1, prepend=features[:, :1])
    given, _ = model.recurrent(torch.cat((features, steps), 2) / np.sqrt(1 + model.scale.eps))
    assert torch.allclose(model.classifier(given[:, -1]), model(clips), atol=1e-6)
    assert torch.equal(steps[:, 0], torch.zeros(2, 48))


def test_the_mean_is_that_of_the_frames_probabilities() -> None:
    model = network(video_recipe("mean")).eval()
    clips = torch.randint(0, 255, (2, 4, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        alone = torch.stack([model(clips[:, n : n + 1]).softmax(1) for n in range(4)])
        assert torch.allclose(model(clips).softmax(1), alone.mean(0), atol=1e-6)


def test_only_the_sequence_model_learns_what_only_time_tells(videos: Path, tmp_path: Path) -> None:
    best = {}
    for reader in ("gru", "mean"):
        recipe = video_recipe(reader, dropout=0.0, changes=True)
        phases = (Phase(size=32, samples=320, batch=8),)
        recipe = replace(
            recipe,
            augment=QUIET,
            train=replace(recipe.train, phases=phases, learning_rate=3e-3, evaluate_every=160),
        )
        best[reader] = train(recipe, videos, tmp_path / reader, "cpu", workers=0)
    assert best["gru"]["auc"] > 0.95
    assert best["mean"]["auc"] < 0.8


def test_a_run_that_was_ended_goes_on_to_the_same_end(videos: Path, tmp_path: Path) -> None:
    """With everything that has a state: plateau, RAdam, augmentation, broken videos."""
    recipe = video_recipe("lstm")
    recipe = replace(
        recipe,
        train=replace(
            recipe.train, optimizer="radam", schedule="plateau", plateau_patience=0, evaluate_every=16
        ),
    )
    whole = train(recipe, videos, tmp_path / "whole", "cpu", workers=0)
    parts = split(read_dataset(videos), recipe.data)
    out = tmp_path / "parts"
    for _ in range(3):
        fit(recipe, *parts, out, "cpu", 0, unwanted=lambda row: True)
    assert [row["samples"] for row in read_rows(out / "metrics.csv")] == [16, 32, 48]
    assert {**train(recipe, videos, out, "cpu", workers=0), "at": 0} == {**whole, "at": 0}
    one, other = (torch.load(tmp_path / name / "last.ckpt") for name in ("whole", "parts"))
    assert one["cuts"] == other["cuts"]
    assert all(torch.equal(one["model"][key], other["model"][key]) for key in one["model"])
    skipped = (out / "skipped.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(line.split("\t")[0].rsplit("/")[-1] for line in skipped) == ["broken.mp4", "short.mp4"]
    assert "CorruptImageError" in skipped[0] and (tmp_path / "whole/skipped.txt").exists()


def test_the_plateau_cuts_as_pytorch_does(videos: Path, tmp_path: Path) -> None:
    recipe = video_recipe("mean")
    recipe = replace(
        recipe,
        train=replace(
            recipe.train, schedule="plateau", plateau_patience=1, evaluate_every=8, patience=9
        ),
    )
    train(recipe, videos, tmp_path, "cpu", workers=0)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=1, threshold=0)
    for row in read_rows(tmp_path / "metrics.csv"):
        plateau.step(row["auc"])
    cuts = torch.load(tmp_path / "last.ckpt")["cuts"]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1**cuts)


def test_one_cycle_is_pytorchs() -> None:
    recipe = toy(schedule="one-cycle", learning_rate=0.1, phases=(Phase(32, 101, 2),))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=102, cycle_momentum=False)
    for done in range(101):
        # OneCycleLR counts from step 0 to step 101 and rounds where the first part ends.
        assert learning_rate(recipe, done) == pytest.approx(optimizer.param_groups[0]["lr"], abs=3e-3)
        optimizer.step()
        theirs.step()


def losses(logits: Sequence[Sequence[float]], loss: str) -> float:
    recipe = toy(loss=loss, label_smoothing=0.0)
    return float(new_criterion(recipe, [], nn.Identity())(torch.tensor(logits), torch.tensor([1, 0])))


def test_losses() -> None:
    sure, unsure = [[-2.0, 2.0], [2.0, -2.0]], [[0.0, 0.0], [0.0, 0.0]]
    assert losses(unsure, "mse") == pytest.approx(0.25)
    assert losses(unsure, "focal") == pytest.approx(0.25 * np.log(2))
    p = 1 / (1 + np.exp(-4))
    assert losses(sure, "mse") == pytest.approx((1 - p) ** 2, rel=1e-4)
    assert losses(sure, "focal") == pytest.approx(-((1 - p) ** 2) * np.log(p), rel=1e-4)


def test_radam_decays_as_adamw_does() -> None:
    """Decoupled: without a gradient a step shrinks the weights by rate × decay."""
    layer = torch.nn.Linear(1, 1, bias=False)
    optimizer = new_optimizer(layer, toy(optimizer="radam", weight_decay=0.1).train)
    before = layer.weight.item()
    layer.weight.grad = torch.zeros_like(layer.weight)
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert layer.weight.item() == pytest.approx(before * 0.95)


def test_a_checkpoint_is_measured_on_videos(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "video.toml").write_text(
        """about = "a toy"
        data = { validation_origins = ["owner/held-out"], sampling = "shuffled" }
        model = { backbone = "small", view_size = 32 }
        sequence = { frames = 4, units = 8 }
        train = { phases = [{ size = 32, samples = 16, batch = 8 }], precision = "32-true" }
        """,
        encoding="utf-8",
    )
    recipe = ["--recipe", str(tmp_path / "video.toml")]
    given = ["train", recipe[1], "--data", str(videos), "--out", str(tmp_path / "run")]
    assert main([*given, "--device", "cpu", "--workers", "0"]) == 0
    (row,) = read_rows(tmp_path / "run" / "metrics.csv")
    given = ["evaluate", "--data", str(videos), "--checkpoint", str(tmp_path / "run" / "best.ckpt")]
    assert main([*given, *recipe, "--validation", "--out", str(tmp_path / "held-out")]) == 0
    found = json.loads((tmp_path / "held-out" / "metrics.json").read_text(encoding="utf-8"))
    assert found["images"] == 8 and found["auc"] == row["auc"] and found["skipped"] == 0
    assert (
        found["auc_of_motion"] == 1
        and 0 <= found["auc_of_size"] <= 1
        and len(found["auc_interval"]) == 2
    )
    capsys.readouterr()
    assert main([*given, *recipe, "--out", str(tmp_path / "all")]) == 0
    assert "images: 24.0" in (told := capsys.readouterr().out) and "skipped: 2" in told


def test_frames_smaller_than_a_crop_are_skipped(videos: Path) -> None:
    recipe = replace(video_recipe(), model=ModelRecipe(backbone="small", view_size=48))
    items = read_dataset(videos)
    middle = MiddleRuns(items, recipe)[0]
    assert isinstance(middle, str) and "frames of 40×40 pixels, smaller than 48" in middle
    run = Runs(items, replace(recipe, model=replace(recipe.model, view_size=32)), Phase(32, 8, 8), 0)
    frames, label = run[0, 0]
    assert frames.shape == (4, 3, 32, 32) and frames.dtype == torch.uint8 and label == 0
    assert all(torch.equal(frame, frames[0]) for frame in frames)  # changed alike


@pytest.mark.parametrize("command", ["crossval", "diagnose", "export"])
def test_commands_for_images_say_so(
    command: str, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {
        "crossval": ["video-small", "--data", str(videos), "--folds", "2"],
        "diagnose": ["video-small", "--data", str(videos), "--run", str(tmp_path)],
        "export": ["best.ckpt", "--recipe", "video-small", "--version", "1"],
    }
    assert main([command, *given[command], "--out", str(tmp_path)]) == 1
    assert "recipe video-small is one of videos" in capsys.readouterr().err


def test_the_recipe_is_the_thesis() -> None:
    recipe = load_recipe("video-lstm")
    assert recipe.model.backbone == "resnet50" and recipe.sequence.reader == "lstm"
    assert recipe.sequence.units in (512, 1024, 2048) and recipe.sequence.frames in (8, 16, 24)
    assert recipe.sequence.layers in (1, 2, 3) and 0.3 <= recipe.sequence.dropout <= 0.5
