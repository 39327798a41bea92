import dataclasses
import inspect
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import tomli_w
import torch

from aidetect import ConfigurationError
from aidetect._model import SEResNet50
from aidetect_training.backbones import network
from aidetect_training.recipe import BUILT_IN, ModelRecipe, Phase, load_recipe, recipe_table


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.toml")), ids=lambda path: path.stem)
def test_built_in_recipes_load_and_make_a_network(path: Path) -> None:
    recipe = load_recipe(path.stem)
    assert recipe == load_recipe(str(path))
    assert recipe.name and recipe.about and recipe.train.over(63_960).samples >= 300_000
    with torch.device("meta"):
        network(recipe)


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*.toml")), ids=lambda path: path.stem)
def test_a_recipe_is_written_as_it_is_read(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(path))
    table = recipe_table(recipe)
    assert "seed" not in table["train"] or table["train"]["seed"] != 42  # what is as by default
    (tmp_path / "again.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    assert load_recipe(str(tmp_path / "again.toml")) == recipe


def test_the_default_recipe_holds_origins_out_and_ends_at_the_size_it_is_used_at() -> None:
    recipe = load_recipe("default")
    assert len(recipe.data.validation_origins) >= 10
    assert recipe.train.phases[-1].size == recipe.model.view_size


def test_what_is_not_written_keeps_its_default(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, 'about = "x"\n[augment]\nblur = 1\n'))
    assert recipe.name == "mine"
    assert recipe.augment.blur == 1.0 and type(recipe.augment.blur) is float
    assert recipe.augment.noise == 0.1
    assert recipe.model == ModelRecipe()


def test_lists_become_tuples_and_phases(tmp_path: Path) -> None:
    text = """about = "x"
    [data]
    validation_origins = ["a/b", "c"]
    [augment]
    rescale_range = [1, 2]
    [train]
    phases = [{ size = 32, samples = 10, batch = 5 }, { size = 64, samples = 7, batch = 7 }]"""
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.data.validation_origins == ("a/b", "c")
    assert recipe.augment.rescale_range == (1.0, 2.0)
    assert recipe.train.phases == (Phase(32, 10, 5), Phase(64, 7, 7))
    assert recipe.train.samples == 17


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[model]\nfrontend = 'rgb'", "model.frontend"),
        ("[optimizer]\nname = 'sgd'", "optimizer"),
        ("[model]\nstages = '4'", "model.stages"),
        ("[model]\nstages = true", "model.stages"),
        ("[model]\nstages = 5", "model.stages"),
        ("[model]\nfront_end = 'yuv'", "model.front_end"),
        ("[model]\nview_size = 16", "model.view_size"),
        ("[model]\nbackbone = 'vgg19'", "model.backbone"),
        ("[model]\nbackbone = 'vgg16'\nstages = 3", "model.stages"),
        ("[train]\noptimizer = 'lamb'", "train.optimizer"),
        ("[train]\nclass_weights = true", "train.class_weights"),
        ("[model]\ndropout = 1.0", "model.dropout"),
        ("model = 3", "model"),
        ("name = 3", "name"),
        ("[data]\nbalance = -0.1", "data.balance"),
        ("[data]\nvalidation_origins = [1]", "data.validation_origins[0]"),
        ("[data]\nvalidation_share = 1", "data.validation_share"),
        ("[data]\nvalidation_origins = ['a']\nvalidation_share = 0.2", "data.validation_share"),
        ("[data]\nsplit_seed = -1", "data.split_seed"),
        ("[data]\nsampling = 'random'", "data.sampling"),
        ("[model]\nview = 'stretch'", "model.view"),
        ("[augment]\ncolour_jitter = 2", "augment.colour_jitter"),
        ("[augment]\nblur = 1.5", "augment.blur"),
        ("[augment]\nblur = nan", "augment.blur"),
        ("[augment]\nrescale_range = [2]", "augment.rescale_range"),
        ("[augment]\nrescale_range = [2.0, 1.0]", "augment.rescale_range"),
        ("[augment]\nquality_range = [30, 95.5]", "augment.quality_range[1]"),
        ("[augment]\nquality_range = [0, 95]", "augment.quality_range"),
        ("[train]\nphases = 3", "train.phases"),
        ("[train]\nphases = []", "train.phases"),
        ("[train]\nphases = [3]", "train.phases[0]"),
        ("[train]\nphases = [{ size = 64, batch = 8 }]", "train.phases[0].samples"),
        ("[train]\nphases = [{ size = 8, samples = 80, batch = 8 }]", "train.phases[0].size"),
        ("[train]\nphases = [{ size = 64, samples = 80, batch = 1 }]", "train.phases[0].batch"),
        ("[train]\nphases = [{ size = 64, samples = 7, batch = 8 }]", "train.phases[0].samples"),
        ("[train]\nphases = [{ size = '64', samples = 80, batch = 8 }]", "train.phases[0].size"),
        ("[train]\nphases = [{ size = 64, epochs = -1 }]", "train.phases[0].epochs"),
        ("[train]\nphases = [{ size = 64, epochs = 2, samples = 256 }]", "train.phases[0].samples"),
        ("[train]\nschedule = 'linear'", "train.schedule"),
        ("[train]\nmonitor = 'loss'", "train.monitor"),
        ("[train]\nprecision = 'fp4'", "train.precision"),
        ("[train]\nlearning_rate = 0", "train.learning_rate"),
        ("[train]\nwarmup = 1.0", "train.warmup"),
        ("[train]\nevaluate_every = 0", "train.evaluate_every"),
        ("[train]\npatience = 0", "train.patience"),
        ("[train]\nseed = -1", "train.seed"),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, f'about = "x"\n{text}\n')
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert told in message.replace(path, "").split()[0:3] or f" {told};" in message


def test_a_recipe_has_to_say_what_it_is_about(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"mine\.toml: about is missing"):
        load_recipe(written(tmp_path, ""))


def test_broken_toml_names_the_file_and_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"mine\.toml cannot be read: .*line 2"):
        load_recipe(written(tmp_path, "about = 'x'\nname = \n"))


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"binary\.toml cannot be read"):
        load_recipe(str(path))


@pytest.mark.parametrize("name", ["defualt", "nowhere/mine.toml"])
def test_a_missing_recipe_lists_those_there_are(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}.*default"):
        load_recipe(name)


def test_a_recipe_cannot_be_changed() -> None:
    recipe = load_recipe("default")
    for part, key in ((recipe, "name"), (recipe.model, "stages"), (recipe.train.phases[0], "size")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, key, 1)


def test_the_recipe_offers_what_the_network_offers() -> None:
    offered, recipe = get_type_hints(SEResNet50.__init__), get_type_hints(ModelRecipe)
    options = set(inspect.signature(SEResNet50).parameters)
    assert set(ModelRecipe().architecture()) == options
    for name in options:
        here, there = get_args(recipe[name]), get_args(offered[name])
        assert here[: len(there)] == there
        for value in here:
            assert ModelRecipe(**{name: value}).on_trial is (value not in there)
    assert SEResNet50(**ModelRecipe().architecture()).head[2].p == 0.3
