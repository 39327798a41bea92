import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aidetect import ConfigurationError
from aidetect_training.cli import main
from aidetect_training.data import Item, read_manifest, split
from aidetect_training.pairs import FACTORS, Autoencoder, PairOptions, make_pairs
from aidetect_training.recipe import load_recipe

from .conftest import item, picture, write_manifest

RECIPE = 'about = "x"\n[data]\nvalidation_origins = ["owner/held-out"]\n'


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 tiles of 76×68 pixels, half of them real, a third of an origin that is held out."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(5)
    rows = []
    for number in range(24):
        label = number % 2
        picture(label, 76, 68, rng).save(folder / f"{number}.png")
        origin = "owner/held-out" if number % 3 == 0 else f"o/{number}"
        rows.append(
            {"path": f"{number}.png", "label": str(label), "source": origin, "category": "photo"}
        )
    write_manifest(folder, rows)
    return folder


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("decoder", ["nearest", "transposed", "shuffle"])
def test_each_autoencoder_has_a_code_of_so_much_smaller_sides(decoder: str, factor: int) -> None:
    model = Autoencoder(decoder, factor)  # type: ignore[arg-type]
    pixels = torch.rand(2, 3, 64, 72)
    code = model.encoder(pixels)
    assert code.shape[2:] == (64 // factor, 72 // factor)
    assert code[0].numel() * 12 == pixels[0].numel()
    assert model(pixels).shape == pixels.shape


def test_each_real_tile_has_a_reconstruction_that_is_like_it_in_all_else(
    large: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(RECIPE, encoding="utf-8")
    arguments = ["--recipe", str(tmp_path / "mine.toml"), "--images", "7", "--steps", "2"]
    out = tmp_path / "pairs"
    assert main(["pairs", str(large), str(out), *arguments]) == 0
    made = read_manifest(out)
    real, ai = ([one for one in made if one.label == label] for label in (0, 1))
    training = split(read_manifest(large), load_recipe(str(tmp_path / "mine.toml")).data)[0]
    sources = {one.origin: one for one in training if not one.label}
    assert len(real) == 7 and len({one.origin for one in real} & set(sources)) == 7
    assert max(Counter(one.generator for one in ai).values()) == 2
    assert len({one.generator for one in ai}) == 6 and {one.generator for one in real} == {""}
    for before, after in zip(real, ai, strict=True):
        assert before.path.stem == after.path.stem
        assert before.origin == after.origin != "owner/held-out"
        with Image.open(before.path) as first, Image.open(after.path) as second:
            assert first.size == second.size == (72, 64)
            assert first.quantization == second.quantization and first.info == second.info
            assert first.tobytes() != second.tobytes()
            with Image.open(sources[before.origin].path) as source:
                kept = np.asarray(source.crop((0, 0, 72, 64)), int) - np.asarray(first, int)
            assert np.abs(kept).mean() < 6

    again = tmp_path / "again"
    assert main(["pairs", str(large), str(again), *arguments]) == 0
    for one in ai:
        assert (again / one.path.relative_to(out)).read_bytes() == one.path.read_bytes()


def test_training_makes_them_more_like(large: Path, tmp_path: Path) -> None:
    items: list[Item] = [one for one in read_manifest(large) if not one.label]
    short = make_pairs(items, tmp_path / "short", PairOptions(images=6, steps=1, batch=4))
    longer = make_pairs(items, tmp_path / "longer", PairOptions(images=6, steps=30, batch=4))
    for name, ratio in longer.items():
        assert ratio > short[name] + 3, name


def test_what_cannot_be_made_is_told(
    large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    rows = []
    for number in range(6):
        shutil.copy(large / f"{number}.png", few)
        rows.append({"path": f"{number}.png", "label": str(number % 2), "source": f"o{number}"})
    write_manifest(few, rows)
    arguments = ["--recipe", str(tmp_path / "mine.toml"), "--steps", "1"]
    (tmp_path / "mine.toml").write_text(
        RECIPE.replace('["owner/held-out"]', '["o0", "o1"]'), encoding="utf-8"
    )
    assert main(["pairs", str(few), str(tmp_path / "out"), *arguments]) == 1
    assert "there are 2 real tiles for 6 autoencoders" in capsys.readouterr().err
    Image.new("RGB", (60, 80)).save(tmp_path / "x.png")
    small = [item(0, path=str(tmp_path / "x.png"))] * 6
    with pytest.raises(ConfigurationError, match="60×80 pixels, but the recipe cuts crops of 64"):
        make_pairs(small, tmp_path / "out", PairOptions(steps=1))
