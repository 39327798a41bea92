"""The robustness and the adversarial sheet: what each change does, and that attacks do what they say."""

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aidetect._model import SEResNet50
from aidetect_training import adversarial, robustness
from aidetect_training.cli import main
from aidetect_training.evaluate import spread
from aidetect_training.recipe import Phase
from aidetect_training.train import train
from aidetect_training.variants import SHEET, VARIANTS

from .conftest import picture, toy, write_manifest
from .scores import Model, scores
from .test_evaluate import CALIBRATION

RNG = np.random.default_rng(4)


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.mark.parametrize("name", SHEET)
def test_a_change_changes_the_pixels_alike_each_time(name: str) -> None:
    image = picture(0, 320, 200, np.random.default_rng(1))
    first, again = SHEET[name](image), SHEET[name](image)
    assert first == again
    changed = decoded(first)
    scale = changed.width / image.width
    assert changed.size[1] == pytest.approx(image.height * scale, abs=1)
    wanted = {"resize": float(name[6:] or 0) if name.startswith("resize") else 1, "screenshot": 0.8}
    wanted |= {"crop": float(name[4:] or 0) if name.startswith("crop") else 1}
    assert scale == pytest.approx(
        next((s for n, s in wanted.items() if name.startswith(n)), 1), abs=0.01
    )
    if changed.size == image.size:
        difference = np.abs(np.asarray(changed, int) - np.asarray(image, int)).mean()
        assert 0 < difference < 20


def test_stronger_compression_and_more_noise_change_more() -> None:
    image = picture(0, 256, 256, np.random.default_rng(2))

    def distance(name: str) -> float:
        return float(
            np.abs(np.asarray(decoded(SHEET[name](image)), int) - np.asarray(image, int)).mean()
        )

    for names in (
        ("jpeg95", "jpeg75", "jpeg50", "jpeg30"),
        ("noise2", "noise5", "noise10"),
        ("blur0.5", "blur2"),
    ):
        distances = [distance(name) for name in names]
        assert distances == sorted(distances) and len(set(distances)) == len(names)


def test_a_small_image_survives_every_change() -> None:
    for name, variant in VARIANTS.items():
        if variant:
            assert min(decoded(variant(Image.new("RGB", (3, 2)))).size) >= 1, name


def test_the_figures_of_a_change_by_hand(tmp_path: Path) -> None:
    """In `jpeg30` each margin is that of `clean` less 1: all move towards real, some over the line."""
    clean = scores(Model(), images=200, tiers=("clean",), folder=tmp_path)
    worse = [replace(s, tier="jpeg30", margins=tuple(m - 1 for m in s.margins)) for s in clean]
    sheet = robustness.robustness([*clean, *worse], CALIBRATION)
    assert sheet["clean"]["moved"] == sheet["clean"]["flips"] == 0
    assert sheet["jpeg30"]["towards_real"] == pytest.approx(sheet["jpeg30"]["moved"])
    assert sheet["jpeg30"]["moved"] > 0.05
    assert sheet["jpeg30"]["auc"] == pytest.approx(sheet["clean"]["auc"], abs=0.01)
    real = [s for s in worse if s.item.label == 0]
    probabilities = [CALIBRATION.probability(np.array(s.margins, np.float32), 0.0) for s in real]
    called = np.mean([p >= CALIBRATION.ai_from for p in probabilities])
    assert sheet["jpeg30"]["real_called_ai"] == pytest.approx(called, abs=0.02)
    assert sheet["jpeg30"]["real_called_ai"] < sheet["clean"]["real_called_ai"]
    assert sheet["jpeg30"]["ai_called_real"] > sheet["clean"]["ai_called_real"]
    assert "| jpeg30 | " in robustness.table(sheet)


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("level", [1, 4])
def test_an_attack_stays_in_its_ball_in_whole_levels_and_raises_the_loss(
    attack: adversarial.Attack, level: int
) -> None:
    torch.manual_seed(0)
    network = SEResNet50(stages=2).eval().requires_grad_(False)
    pixels = torch.from_numpy(
        np.stack([np.asarray(picture(n % 2, 48, 48, RNG)) for n in range(4)])
    ).permute(0, 3, 1, 2)
    labels = torch.tensor([0, 1, 0, 1])
    moved = adversarial.perturb(network, pixels, labels, attack, level)
    assert torch.equal(moved, moved.round()) and moved.min() >= 0 and moved.max() <= 255
    assert 0 < (moved - pixels).abs().max() <= level
    loss = torch.nn.functional.cross_entropy
    assert loss(network(moved), labels) > loss(network(pixels), labels)


@pytest.fixture(scope="module")
def small(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 of the tiles, cut to the size of a view, so that the checkerboard is not resized away."""
    folder = tmp_path_factory.mktemp("small")
    rows = []
    for number in range(32):
        with Image.open(tiles / f"{number}.png") as tile:
            tile.crop((8, 8, 40, 40)).save(folder / f"{number}.png")
        rows.append({"path": f"{number}.png", "label": str(number % 2), "source": "s"})
    write_manifest(folder, rows)
    return folder


def test_both_sheets_are_made_by_one_command(
    tiles: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network that has learnt the toy data: blur hides the checkerboard, attacks turn answers."""
    recipe = toy(phases=(Phase(32, 640, 16),), evaluate_every=640)
    train(recipe, tiles, tmp_path, device="cpu", workers=0)
    monkeypatch.setattr("aidetect_training.recipe.load_recipe", lambda *_: recipe)
    for name in set(SHEET) - {"jpeg95", "blur2"}:
        monkeypatch.delitem(SHEET, name)
    options = ["--checkpoint", str(tmp_path / "best.ckpt"), "--recipe", "toy", "--tiers", "clean"]
    sheets = ["--sheets", "robustness,adversarial", "--out", str(tmp_path)]
    assert main(["evaluate", "--data", str(small), *options, *sheets]) == 0
    robust = json.loads((tmp_path / "robustness.json").read_text())
    assert set(robust) == {"clean", "jpeg95", "blur2"}
    assert robust["blur2"]["auc"] < 0.8 < 0.9 < robust["clean"]["auc"]
    attacked = json.loads((tmp_path / "adversarial.json").read_text())
    assert next(iter(attacked)) == "none" and len(attacked) == 7
    assert attacked["pgd 4/255"]["auc"] < attacked["none"]["auc"] > 0.9
    assert attacked["pgd 4/255"]["auc"] <= attacked["pgd 1/255"]["auc"]
    assert attacked["none"]["lost"] == attacked["none"]["moved"] == 0
    assert attacked["pgd 4/255"]["lost"] > attacked["pgd 1/255"]["lost"] > 0
    for (
        figures
    ) in attacked.values():  # an image no larger than a view has that one alone: it is the verdict
        assert figures["images"] == 32
        assert figures["verdict_balanced_accuracy"] == pytest.approx(figures["balanced_accuracy"])
    for sheet in ("robustness", "adversarial"):
        assert (tmp_path / f"{sheet}.md").read_text().startswith("| ")


def test_what_is_left_of_an_attack_where_the_texture_decides() -> None:
    (score,) = scores(Model(), images=1, tiers=("clean",))
    score = replace(score, margins=(1.0,), texture=2.0)
    beside = replace(CALIBRATION, alone=(0.1, 0.0), texture=(1.0, 1.0))
    verdict = adversarial.verdict_of([score], beside)
    assert verdict and verdict(score.item, -9.0) == pytest.approx(1 / (1 + np.exp(-1.1)))
    native = replace(score, margins=(1.0, 3.0, 5.0), texture=0.0)
    verdict = adversarial.verdict_of([native], CALIBRATION)
    assert verdict and verdict(score.item, -3.0) == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert adversarial.verdict_of([replace(score, tier="web")], CALIBRATION) is None


def test_a_part_of_the_images_is_of_all_origins_and_the_same_each_time() -> None:
    items = [score.item for score in scores(Model(), images=160, tiers=("clean",))]
    part = spread(items, 32)
    assert part == spread(items[::-1], 32) and len(set(part)) == 32
    assert set(Counter(item.origin for item in part).values()) == {2}
    assert len(spread(items, 200)) == 160


def test_an_unknown_sheet_is_named(
    tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--data", str(tiles), "--out", str(tmp_path), "--sheets", "blue"]) == 1
    assert "no sheet blue" in capsys.readouterr().err
