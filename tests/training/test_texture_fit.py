"""Fitting a texture, and what the calibration makes of it, on pictures of two kinds of grain."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect import ConfigurationError
from aidetect._calibration import Calibration
from aidetect._texture import LENGTH, Texture, features
from aidetect._weights import load_package
from aidetect_training.calibrate import fit
from aidetect_training.cli import main
from aidetect_training.data import Item
from aidetect_training.recipe_images import DataRecipe
from aidetect_training.scoring import Score
from aidetect_training.texture_fit import (
    LOOKED_AT,
    VIEWS,
    Looked,
    even,
    fit_texture,
    look,
    look_once,
    sample_weights,
    vectors,
)
from aidetect_training.texture_folds import fit_by_folds, fold_of, read, replaced, write
from aidetect_training.variants import worn

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
    for number in range(18):
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
    usual = look(items[1:2], workers=1).rows[0, 0]
    view = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    noisy = features(view)
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


def test_each_tier_and_life_gives_two_vectors_with_their_zooms(
    items: list[Item], tmp_path: Path
) -> None:
    wide = tmp_path / "wide.png"
    picture(1, 1, 640).resize((640, 512)).save(wide)
    told = vectors(replace(items[1], path=wide, scale=0.5))
    assert told is not None
    rows, zooms = told
    assert rows.shape == (VIEWS, LENGTH) and zooms.shape == (VIEWS,)
    centre, corner = 0.5 * 256 / 512, 0.5 * 256 / (0.6 * 512)
    hard = 512 / 640  # the tier scales it to a long side of 512
    assert zooms[[0, 1, 4, 5]] == pytest.approx([centre, corner] * 2, rel=0.01)
    assert zooms[4] == pytest.approx(hard * 0.5 * 256 / (hard * 512), rel=0.01)
    assert np.abs(rows[0] - rows[4]).max() > 0.05 and np.abs(rows[0] - rows[1]).max() > 0.005
    assert vectors(replace(items[0], path=tmp_path / "absent.png")) is None


def test_where_zooms_are_alike_classes_weigh_the_same() -> None:
    """Of ten real images nine are small, of ten AI ones one: yet small says nothing."""
    labels = np.repeat([0, 1], 10)
    zooms = np.array([[1.0] * 2] * 9 + [[0.5] * 2] * 10 + [[1.0] * 2])
    weights = even(np.ones(20), labels, zooms)
    small = zooms == 1
    masses = [[weights[part & (labels == label)[:, None]].sum() for label in (0, 1)]
              for part in (small, ~small)]  # fmt: skip
    assert masses == [[8, 8], [8, 8]]  # 2 × 5, had a class not to weigh 4 times as much as before
    alone = even(np.ones(3), np.array([0, 0, 1]), np.array([[1.0], [0.5], [0.5]]))
    assert alone.tolist() == [[0.0], [1.0], [1.0]]


def test_that_small_images_are_real_is_not_learnt(tmp_path: Path) -> None:
    """Both classes are of one grain; but the real ones are small."""
    made = []
    for number in range(24):
        label = number % 2
        path = tmp_path / f"{number}.png"
        small = number < 4 if label else number >= 4
        scale = 1.0 if small else 0.4
        image = picture(0, number, 300 if small else 750)
        image.resize((300, 300), Image.Resampling.LANCZOS).save(path)
        made.append(Item(path, label, "gen" if label else "", f"o{number}", f"o{number}", "art", scale))
    seen = look(made, workers=1)
    blind = replace(seen, zooms=np.ones_like(seen.zooms))
    margins = []
    for fitted_on in (seen, blind):
        texture = Texture.from_dict(fit_texture(fitted_on, 0.5))
        small, large = (
            np.mean([texture.look(np.asarray(Image.open(i.path))).margin for i in made if i.scale == s])
            for s in (1.0, 0.4)
        )
        margins.append(large - small)
    assert margins[0] < 0.3 * margins[1]


def test_what_was_looked_at_is_kept(items: list[Item], tmp_path: Path) -> None:
    kept = tmp_path / "vectors.npz"
    some = [*items[:2], replace(items[0], path=tmp_path / "absent.png")]
    first, again = (look_once(some, kept, workers=1) for _ in range(2))
    assert first.items == again.items == items[:2]
    assert np.array_equal(first.rows, again.rows) and np.array_equal(first.zooms, again.zooms)
    with pytest.raises(ConfigurationError, match="of other images"):
        look_once(items[:1], kept)
    kept.write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match="holds no vectors"):
        look_once(some, kept)


def test_one_class_alone_is_told(items: list[Item]) -> None:
    with pytest.raises(ConfigurationError, match="both classes"):
        fit_texture(look(items[::2], workers=1), 0.5)


FAMILIES = (("g0", "g2"), ("g1",))


@pytest.fixture(scope="module")
def many(items: list[Item]) -> Looked:
    """Whole pictures of two generators and many origins, so that both folds have both classes."""
    seen = look([item for item in items if int(item.path.stem) % 3], workers=1)
    made = [
        replace(item, generator=f"g{n % 2}" if item.label else "", origin=f"{item.origin}{copy}")
        for n, item in enumerate(seen.items)
        for copy in range(8)
    ]
    return Looked(made, np.repeat(seen.rows, 8, axis=0), np.repeat(seen.zooms, 8, axis=0))


def test_folds_measure_what_they_leave_out(many: Looked) -> None:
    assert {fold_of(item, FAMILIES) for item in many.items if item.generator == "g1"} == {1}
    assert {fold_of(item, FAMILIES) for item in many.items if not item.label} == {0, 1}
    assert fold_of(replace(many.items[0], label=1, generator="g9"), FAMILIES) is None
    texture, scores, found = fit_by_folds(many, DataRecipe(families=FAMILIES))
    assert len(scores) == 2
    assert sum(map(len, scores)) == len(many.items) * len(LOOKED_AT)
    assert all(one["clean"] > 0.9 for one in (*found["auc"], found["mean"]))
    assert Texture.from_dict(texture).worn.weights.any()


def test_what_a_fold_has_not_seen_does_not_count() -> None:
    """What marks AI in one fold marks real images in the other."""
    rng = np.random.default_rng(5)
    items, rows = [], []
    for number in range(80):
        label, origin = number % 2, f"o{number}"
        item = Item(
            Path(f"{number}.png"), label, f"g{number // 2 % 2}" if label else "", origin, origin, ""
        )
        row = rng.random((VIEWS, LENGTH)).astype(np.float32)
        row[:, :20] += (2 * label - 1) * (1 if fold_of(item, FAMILIES) else -1)
        items.append(item)
        rows.append(row)
    looked = Looked(items, np.stack(rows), np.ones((80, VIEWS)))
    with pytest.raises(ConfigurationError, match="tells nothing"):
        fit_by_folds(looked, DataRecipe(families=FAMILIES))


def test_folds_need_families_and_both_classes(many: Looked) -> None:
    with pytest.raises(ConfigurationError, match="families"):
        fit_by_folds(many, DataRecipe())
    with pytest.raises(ConfigurationError, match="fold 2 leaves out no images of one"):
        fit_by_folds(many, DataRecipe(families=(("g0",), ("g9",))))


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
    assert "12 images" in capsys.readouterr().out

    recipe.write_text(f"{recipe.read_text()}families = [['gen'], ['g9']]\n")
    assert main([*command, "--workers", "1", "--folds", str(tmp_path / "folds")]) == 1
    assert "both classes" in capsys.readouterr().err


def test_margins_of_folds_calibrate(many: Looked, tmp_path: Path) -> None:
    """They are read back as written, stand in for the texture's, and set the thresholds."""
    _, told, found = fit_by_folds(many, DataRecipe(families=FAMILIES))
    table = write(told, found, tmp_path)
    assert len(table.splitlines()) == 2 + len(FAMILIES) + 1
    unseen = read(tmp_path / "margins.csv")
    assert len(unseen) == len(told)
    for again, fold in zip(unseen, told, strict=True):
        assert [s.item.group for s in again] == [s.item.group for s in fold]
        assert [s.texture for s in again] == pytest.approx([s.texture for s in fold], abs=1e-5)
    first = unseen[0][0]
    known = replace(first, texture=99.0, margins=(1.0,))
    other = replace(known, tier="nowhere")
    assert replaced([known, other], unseen) == [replace(known, texture=first.texture)]
    with pytest.raises(ConfigurationError, match="other images"):
        replaced([other], unseen)
    (tmp_path / "broken.csv").write_text("path,label\na,b\n")
    with pytest.raises(ConfigurationError, match=r"broken.csv is no margins.csv"):
        read(tmp_path / "broken.csv")


def test_unseen_scores_set_odds_and_thresholds() -> None:
    """Half as sure on unseen makers: half the slopes, and thresholds that hold there."""
    network = [replace(s, texture=0.8 * s.margins[0]) for s in scores(Model(1.0), images=800, seed=3)]
    rng = np.random.default_rng(6)
    unseen = [
        replace(s, margins=(), texture=float(rng.normal(0.3 * (2 * s.item.label - 1), 1.5)))
        for s in network
    ]
    seen_alone, calibration = (
        Calibration.from_dict(fit(network, crops=False, unseen=folds)) for folds in ((), [unseen])
    )
    ratio = seen_alone.texture[1] / seen_alone.alone[0]
    assert calibration.texture[1] / calibration.alone[0] == pytest.approx(ratio, rel=1e-3)
    assert calibration.texture[1] < 0.7 * seen_alone.texture[1]
    mean = np.array([np.mean([s.margins[0] for s in network])], np.float32)
    said = np.array([calibration.probability(mean, s.texture) for s in unseen])
    labels = np.array([s.item.label for s in unseen])
    assert (said[labels == 0] >= calibration.ai_from).mean() < 0.08
    assert (said[labels == 1] <= calibration.real_to).mean() < 0.08
    assert abs(said.mean() - 0.5) < 0.05
    # Real images of one fold look more like AI: these too are called so as rarely as stated.
    fooled = [replace(s, texture=s.texture + 2 * (1 - s.item.label)) for s in unseen[:400]]
    stricter = Calibration.from_dict(fit(network, crops=False, unseen=[unseen[400:], fooled]))
    said = np.array([stricter.probability(mean, s.texture) for s in fooled if not s.item.label])
    assert (said >= stricter.ai_from).mean() < 0.08
    pooled = Calibration.from_dict(fit(network, crops=False, unseen=[[*unseen[400:], *fooled]]))
    said = np.array([pooled.probability(mean, s.texture) for s in fooled if not s.item.label])
    assert (said >= pooled.ai_from).mean() > 0.08


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
            assert "6 images" in capsys.readouterr().out
        assert main(["calibrate", *common, "--no-crops"]) == int("drawn" not in kinds)
    assert "no category drawn; known are other, photo" in capsys.readouterr().err
