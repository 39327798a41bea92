import json
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from aidetect import ConfigurationError
from aidetect_training import train as trainer
from aidetect_training.cli import main
from aidetect_training.crossval import crossval, cut, table
from aidetect_training.diagnose import diagnose, examine
from aidetect_training.recipe import Phase
from aidetect_training.recipe_images import DataRecipe
from aidetect_training.train import train

from .conftest import item, toy
from .test_train import signalled

ITEMS = [
    item(
        label, f"g{label}", f"owner/{origin}" if number % 2 else f"owner_{origin}", f"{origin}.{number}"
    )
    for origin in range(24)
    for label in {0, origin % 2}
    for number in range(4 + origin)
]
RECIPE = toy(phases=(Phase(32, 64, 16),), evaluate_every=32, schedule="constant")


def origins(part: list[Any]) -> set[str]:
    return {one.origin.replace("/", "_") for one in part}


def test_no_origin_is_in_two_folds_and_every_image_in_one() -> None:
    parts = cut(ITEMS, DataRecipe(), 4)
    assert sum(map(len, parts)) == len(ITEMS) == len({id(one) for part in parts for one in part})
    assert sum(len(origins(part)) for part in parts) == 24
    share = sum(one.label for one in ITEMS) / len(ITEMS)
    for part in parts:
        assert Counter(one.label for one in part)[1] / len(part) == pytest.approx(share, abs=0.1)
    assert parts == cut(ITEMS, DataRecipe(), 4) != cut(ITEMS, DataRecipe(split_seed=1), 4)


def test_related_origins_stay_together() -> None:
    related = (("owner/1", "owner/9", "owner_17"), ("owner/2", "owner/4"))
    for seed in range(5):
        parts = cut(ITEMS, DataRecipe(related_origins=related, split_seed=seed), 3)
        for names in related:
            assert len({k for k, part in enumerate(parts) for name in names
                        if name.replace("/", "_") in origins(part)}) == 1  # fmt: skip


def test_data_that_cannot_be_cut_are_told() -> None:
    with pytest.raises(ConfigurationError, match="24 origins cannot be cut into 25 folds"):
        cut(ITEMS, DataRecipe(), 25)
    one_maker = [one for one in ITEMS if one.label == 0 or one.origin in ("owner/5", "owner_5")]
    with pytest.raises(ConfigurationError, match="the training part needs images of both classes"):
        cut(one_maker, DataRecipe(), 3)


def figures(found: dict[str, Any]) -> Any:
    """What was measured, without times and the mean loss, which a stop cuts in two."""
    rows = [[*fold["evaluations"], fold["best"], fold["test"]] for fold in found["folds"]]
    return [[{k: v for k, v in row.items() if k not in ("at", "loss")} for row in fold] for fold in rows]


def test_folds_go_on_where_they_stopped_and_are_measured_on_a_test_set(
    tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = crossval(RECIPE, tiles, 2, tmp_path / "whole", "cpu", 0)
    assert sum(whole["images"]["folds"]) == 80 and whole["images"]["test"] == 40
    epochs = [f"{row['epochs']:.3g} epochs" for row in whole["folds"][0]["evaluations"]]
    assert list(whole["mean"]) == [*epochs, "best", "test"] and len(epochs) == 2
    for key in ("accuracy", "auc"):
        values = torch.tensor([fold["test"][key] for fold in whole["folds"]])
        mean, deviation = whole["mean"]["test"][key]
        assert mean == pytest.approx(values.mean().item())
        assert deviation == pytest.approx(values.std(correction=0).item(), abs=1e-6)
    assert f"| test |  | {whole['mean']['test']['accuracy'][0]:.3f} ±" in table(whole)
    assert (tmp_path / "whole/crossval.md").read_text(encoding="utf-8") == table(whole) + "\n"

    out = tmp_path / "stopped"
    shutil.copytree(tmp_path / "whole/fold1", out / "fold1")
    ended = (out / "fold1/last.ckpt").stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_step", signalled(signal.SIGINT, 1))
        with pytest.raises(ConfigurationError, match=r"fold2 was stopped\. Start the same command"):
            crossval(RECIPE, tiles, 2, out, "cpu", 0)
    assert not (out / "fold2/result.json").exists() and not (out / "crossval.json").exists()
    resumed = crossval(RECIPE, tiles, 2, out, "cpu", 0)
    assert (out / "fold1/last.ckpt").stat().st_mtime_ns == ended
    assert figures(resumed) == figures(whole)
    longer = replace(RECIPE, train=replace(RECIPE.train, phases=(Phase(32, 80, 16),)))
    assert [fold["samples"] for fold in crossval(longer, tiles, 2, out, "cpu", 0)["folds"]] == [80, 80]

    other = replace(RECIPE, data=replace(RECIPE.data, validation_origins=()))
    with pytest.raises(ConfigurationError, match=r"folds\.json tells of other folds"):
        crossval(other, tiles, 2, out, "cpu", 0)


def test_without_a_validation_part_there_is_no_test_set(tiles: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'about = "x"\n[model]\nstages = 2\nview_size = 32\n[train]\nprecision = "32-true"\n'
        "phases = [{ size = 32, samples = 16, batch = 8 }]\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    arguments = ["--data", str(tiles), "--folds", "2", "--out", str(out), "--workers", "0"]
    assert main(["crossval", str(recipe), *arguments, "--set", "model.stages=3", "--device", "cpu"]) == 0
    found = json.loads((out / "crossval.json").read_text(encoding="utf-8"))
    assert sum(found["images"]["folds"]) == 120 and found["images"]["test"] == 0
    assert "test" not in found["mean"]
    assert found["parameters"] > 8e6


def test_a_layer_that_passes_nothing_on_is_found() -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 2)]
    model = torch.nn.Sequential(*layers)
    pixels, labels = torch.randn(16, 3, 8, 8), torch.arange(16) % 2
    well = examine(model, pixels, labels)
    first, last = well["layers"]
    assert (first["name"], last["name"]) == ("0", "3")
    assert first["dead"] == 0 and last["dead"] is None
    assert first["varies"] > 0.5 and first["gradient"] > 0 and well["margin_deviation"] > 0
    with torch.no_grad():
        model[0].bias[:6] = -100
    assert examine(model, pixels, labels)["layers"][0]["dead"] == pytest.approx(0.75)
    with torch.no_grad():
        model[0].bias[:] = -100
    dead = examine(model, pixels, labels)
    assert dead["layers"][0]["dead"] == 1 and dead["layers"][0]["gradient"] == 0
    assert dead["margin_deviation"] < 1e-6 and dead["layers"][1]["varies"] < 1e-6


def test_a_run_is_compared_with_its_untrained_network(tiles: Path, tmp_path: Path) -> None:
    train(RECIPE, tiles, tmp_path / "run", "cpu", 0)
    found = diagnose(RECIPE, tiles, tmp_path / "run", tmp_path / "out")
    assert [row["samples"] for row in found["curve"]] == [32, 64]
    assert found["samples"] == 64 and found["chance"] == pytest.approx(0.693, abs=1e-3)
    assert found["untrained"]["layers"] != found["trained"]["layers"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "diagnosis.json", "diagnosis.md", "diagnosis.png",
    }  # fmt: skip
    other = replace(RECIPE, model=replace(RECIPE.model, front_end="rgb+residual"))
    for recipe, run in ((RECIPE, tmp_path / "nowhere"), (other, tmp_path / "run")):
        with pytest.raises(ConfigurationError, match=r"has no last\.ckpt of toy"):
            diagnose(recipe, tiles, run, tmp_path / "out")
