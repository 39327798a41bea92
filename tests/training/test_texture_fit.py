"""Fitting a texture, and what the calibration makes of it, on pictures of two kinds of grain."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect import ConfigurationError
from aidetect._calibration import Calibration
from aidetect._texture import LENGTH, PARTS, Texture, features
from aidetect._weights import load_package
from aidetect_training.calibrate import fit
from aidetect_training.cli import main
from aidetect_training.data import Item
from aidetect_training.export import rewrite
from aidetect_training.recipe_images import DataRecipe
from aidetect_training.scoring import Score
from aidetect_training.texture_fit import Looked, fit_texture, look, sample_weights, vectors
from aidetect_training.texture_folds import fold_of, measure
from aidetect_training.variants import TIERS, worn

from .. import networks
from .scores import Model, scores


def picture(label: int, number: int, side: int = 300) -> Image.Image:
    """Fine grain, or the same grain smoothed: what no thumbnail would show."""
    rng = np.random.default_rng(2 * number + label)
    level = np.add.outer(np.linspace(40, 160, side), rng.uniform(0, 60, 1))
    grain = rng.normal(0, 12, (side, side))
    if label:
        grain = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1) + np.roll(grain, 2, 1)) / 2
    return Image.fromarray((level + grain).clip(0, 255).astype(np.uint8)).convert("RGB")


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder = tmp_path_factory.mktemp("grain")
    made = []
    for number in range(12):
        label = number % 2
        path = folder / f"{number}.png"
        picture(label, number, 300 if number % 3 else 256).save(path)
        origin = f"{'ai' if label else 'real'}-{number // 2 % 3}"
        made.append(Item(path, label, "gen" if label else "", origin, origin, "art"))
    return made


def test_a_fitted_texture_tells_new_pictures_apart(items: list[Item], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    looked = look([*items, replace(items[0], path=broken)], workers=1)
    assert looked.items == items
    texture = Texture.from_dict(fit_texture(looked, 0.5))
    margins = [texture.look(np.asarray(picture(label, 100 + label))).margin for label in (0, 1)]
    assert margins[0] < -0.2 and margins[1] > 0.2


def test_noise_is_strange_to_what_was_fitted_without(items: list[Item]) -> None:
    texture = Texture.from_dict(fit_texture(look(items, workers=1), 0.5))
    usual = vectors(items[1])[0].reshape(PARTS, -1)
    view = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    noisy = features(view).reshape(PARTS, -1)
    assert float(texture.strange(usual)) < 0.1 and float(texture.strange(noisy)) > 1
    assert texture.margins(view)[0] == pytest.approx(float(texture.worn(noisy)), abs=1e-3)


def test_a_life_is_an_images_own() -> None:
    """The same each time, and many kinds over images."""
    images = [picture(0, number, 160) for number in range(30)]
    assert worn(images[0]) == worn(images[0])
    lives = [np.asarray(Image.open(io.BytesIO(worn(image)))) for image in images]
    grain = [np.abs(np.diff(life.astype(int), axis=1)).mean() for life in lives]
    assert min(grain) < 0.5 * max(grain)
    assert len({life.shape for life in lives}) > 5 and min(min(life.shape[:2]) for life in lives) >= 100


def test_each_tier_gives_a_vector_and_a_broken_file_none(items: list[Item], tmp_path: Path) -> None:
    whole, tile = vectors(items[1]), vectors(items[0])
    each = len(TIERS)
    assert whole.shape == (2 * each + 2, LENGTH)  # centre and corner, in the tiers and worn
    assert tile.shape == (each, LENGTH)
    assert np.abs(whole[0] - whole[2]).max() > 0.05 and np.abs(tile[0] - tile[2]).max() > 0.05
    assert np.abs(whole[0] - whole[each]).max() > 0.005
    assert vectors(replace(items[0], path=tmp_path / "absent.png")).shape == (0, LENGTH)


def test_one_class_alone_is_told(items: list[Item]) -> None:
    with pytest.raises(ConfigurationError, match="both classes"):
        fit_texture(look(items[::2], workers=1), 0.5)


def test_folds_leave_families_and_origins_out(items: list[Item]) -> None:
    """Of two generators one is told apart by nothing that was seen, and the folds show it."""
    looked = look([i for i in items if len(vectors(i)) > len(TIERS)], workers=1)
    number = {item.path: n for n, item in enumerate(looked.items)}
    seen = [replace(i, generator=f"g{number[i.path] % 2}" if i.label else "") for i in looked.items]
    many = Looked([replace(i, origin=f"{i.origin}{n}") for i in seen for n in range(8)],
                  [row for row in looked.rows for _ in range(8)])  # fmt: skip
    families = (("g0", "g2"), ("g1",))
    assert {fold_of(i, families) for i in many.items if i.generator == "g1"} == {1}
    assert {fold_of(i, families) for i in many.items if not i.label} == {0, 1}
    assert fold_of(replace(items[1], generator="g9"), families) is None
    found = measure(many, DataRecipe(families=families))
    assert found["mean"]["clean"] > 0.9
    turned = Looked([replace(i, label=1 - i.label, generator="" if i.label else "g1")
                     if fold_of(i, families) == 1 else i for i in many.items], many.rows)  # fmt: skip
    assert measure(turned, DataRecipe(families=families))["auc"][1]["clean"] < 0.5
    with pytest.raises(ConfigurationError, match="families"):
        measure(many, DataRecipe())


def test_classes_weigh_alike_and_large_collections_less(items: list[Item]) -> None:
    given = sample_weights([items[0]] * 8 + items, 0.5)
    label = np.array([items[0].label] * 8 + [item.label for item in items])
    assert given[label == 0].sum() == pytest.approx(given[label == 1].sum())
    assert given.mean() == pytest.approx(1)
    assert given[0] < given[8 + 2]  # of another origin


def textured(weight: float, network: float) -> list[Score]:
    """Scores whose textures are worth `weight`, beside a network of that strength."""
    made = scores(Model(network), images=500, seed=2)
    rng = np.random.default_rng(4)
    return [replace(s, texture=float(rng.normal(weight * (2 * s.item.label - 1), 1.0))) for s in made]


@pytest.mark.parametrize("network", [0.0, 1.0])
def test_the_calibration_weighs_a_texture_by_its_worth(network: float) -> None:
    images = textured(1.0, network)
    calibration = Calibration.from_dict(fit(images))
    assert min(calibration.texture) > 0.5
    right = [
        (calibration.probability(np.array(s.margins, np.float32), s.texture) >= 0.5)
        == bool(s.item.label)
        for s in images
    ]
    assert np.mean(right) > 0.8


def test_a_texture_that_points_the_wrong_way_is_left_out() -> None:
    calibration = Calibration.from_dict(fit(textured(-1.0, 1.0)))
    assert calibration.texture == (0.0, 0.0)


def test_crops_without_worth_leave_images_of_any_size_alike() -> None:
    images = textured(1.0, 1.0)
    flipped = [replace(s, margins=(s.margins[0], *(-m for m in s.margins[1:]))) for s in images]
    calibration = Calibration.from_dict(fit(flipped))
    assert not calibration.weighs_crops
    assert calibration.weights(9) == calibration.weights(1)


def test_the_command_writes_the_texture_into_the_manifest(
    items: list[Item], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = networks.package(tmp_path / "model", networks.SMALL)
    recipe = tmp_path / "toy.toml"
    recipe.write_text('name = "toy"\nabout = ""\n[data]\nvalidation_origins = ["ai-0", "real-0"]\n')
    folder = items[0].path.parent
    rows = [f"{i.path.name},{i.label},{i.generator},{i.source},{i.category}" for i in items]
    (folder / "manifest.csv").write_text("\n".join(["path,label,generator,source,category", *rows]))
    command = ["texture", str(model), "--recipe", str(recipe), "--data", str(folder)]
    assert main([*command, "--workers", "1", "--version", "7"]) == 0, capsys.readouterr().err
    manifest = load_package(model).manifest
    assert manifest.version == "7" and manifest.texture is not None
    assert Texture.from_dict(manifest.texture).margin.weights.any()
    until_calibrated = Calibration.from_dict(manifest.calibration)
    assert until_calibrated.probability(np.array([-9.0], np.float32), 2.0) == pytest.approx(
        0.8808, abs=1e-4
    )
    assert "8 images" in capsys.readouterr().out

    rewrite(model, calibration={**manifest.calibration, "ai_from": 0.9})
    assert main([*command, "--workers", "1", "--version", "8", "--all-origins"]) == 0
    assert "12 images" in capsys.readouterr().out
    again = load_package(model).manifest
    assert again.version == "8" and again.calibration["ai_from"] == 0.9
    assert again.texture != manifest.texture


def test_a_recipe_of_some_categories_takes_these_alone(
    items: list[Item], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = networks.package(tmp_path / "model", networks.SMALL)
    recipe = tmp_path / "toy.toml"
    data = '[data]\ncategories = ["drawn"]\nvalidation_origins = ["ai-0", "real-0"]\n'
    recipe.write_text(f'name = "toy"\nabout = ""\n{data}', encoding="utf-8")
    folder = items[0].path.parent
    common = [str(model), "--data", str(folder), "--recipe", str(recipe)]
    for kinds in (("drawn", "drawn", "other"), ("photo", "photo", "other")):
        rows = [
            f"{i.path.name},{i.label},{i.generator},{i.source},{kinds[int(i.source[-1])]}" for i in items
        ]
        text = "\n".join(["path,label,generator,source,category", *rows])
        (folder / "manifest.csv").write_text(text, encoding="utf-8")
        if "drawn" in kinds:
            assert main(["texture", *common, "--workers", "1"]) == 0
            assert "4 images" in capsys.readouterr().out
        assert main(["calibrate", *common, "--no-crops"]) == int("drawn" not in kinds)
    assert "no category drawn; known are other, photo" in capsys.readouterr().err
