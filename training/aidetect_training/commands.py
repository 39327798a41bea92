"""What each command of `aidetect-train` does with its arguments; `cli.py` tells what they mean.

Imports stand in the functions, so that `--help` needs none of them.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aidetect import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

    from aidetect._weights import ModelPackage

    from .recipe import Recipe


def _recipe(arguments: argparse.Namespace) -> "Recipe":
    """The recipe that is named, with the changes of `--set`."""
    from .recipe import load_recipe, read_changes

    return load_recipe(arguments.recipe, read_changes(arguments.set))


def _recipes(arguments: argparse.Namespace) -> "list[Recipe]":
    """Those of `evaluate`: one for each checkpoint, or one for all; without checkpoints at most one."""
    from .recipe import load_recipe, read_changes

    recipes = [load_recipe(name, read_changes(arguments.set)) for name in arguments.recipe]
    wanted = max(1, len(arguments.checkpoint))
    if len(recipes) not in (0, 1, wanted):
        raise ConfigurationError(
            f"{len(recipes)} recipes for {len(arguments.checkpoint)} checkpoints: give --recipe once, "
            "or once for each --checkpoint, in their order"
        )
    return recipes * wanted if len(recipes) == 1 else recipes


def _of_images(recipe: "Recipe") -> "Recipe":
    if recipe.sequence.frames:
        raise ConfigurationError(
            f"recipe {recipe.name} is one of videos, this command for images. Measure it with: "
            "aidetect-train evaluate --checkpoint …"
        )
    return recipe


def inspect(arguments: argparse.Namespace) -> None:
    from .data import chosen
    from .inspect import inspect
    from .layouts import read_dataset
    from .recipe import load_recipe

    items = read_dataset(arguments.data)
    if arguments.recipe:
        items = chosen(items, replace(load_recipe(arguments.recipe).data, classes=()))
    found = inspect(items, arguments.out, arguments.workers)
    for name, figures in found["classes"].items():
        formats = ", ".join(f"{count:,} {form}" for form, count in figures["formats"].items())
        print(
            f"{name}: {figures['images']:,} images of {len(figures['origins']):,} origins, {formats};"
            f" median {figures['width']['median']:.0f}×{figures['height']['median']:.0f} pixels"
        )
    twins = found["near_duplicates"]
    print(
        f"{twins['pairs']:,} near-duplicate pairs, {twins['across_origins']:,} across origins,"
        f" {twins['across_classes']:,} across classes; {len(found['unreadable']):,} unreadable."
        f" Pictures in {arguments.out}"
    )


def prepare(arguments: argparse.Namespace) -> None:
    from .prepare import TileOptions, make_images, make_tiles
    from .recipe import load_recipe

    if name := arguments.held_out or arguments.whole:
        origins = load_recipe(name).data.validation_origins
        if not origins:
            raise ConfigurationError(f"recipe {name} names no validation_origins")
        others, cap = (True, 300) if arguments.whole else (False, 60)
        counts = make_images(arguments.originals, arguments.out, origins, others, cap, arguments.workers)
    else:
        counts = make_tiles(arguments.originals, arguments.out, TileOptions(), arguments.workers)
    if not counts["files"]:
        raise ConfigurationError(f"no file was written to {arguments.out}: nothing there fits")
    print(", ".join(f"{count:,} {name}" for name, count in counts.items()))


def train(arguments: argparse.Namespace) -> None:
    from .recipe import write_recipe
    from .train import train

    recipe = _recipe(arguments)
    write_recipe(recipe, arguments.out / "recipe.toml")
    best = train(recipe, arguments.data, arguments.out, arguments.device, arguments.workers)
    if best:
        name = recipe.train.monitor
        print(f"best after {best['samples']:,.0f} samples: validation {name} {best[name]:.4f}")


def crossval(arguments: argparse.Namespace) -> None:
    from .crossval import crossval, table

    folds, recipe = arguments.folds, _of_images(_recipe(arguments))
    found = crossval(recipe, arguments.data, folds, arguments.out, arguments.device, arguments.workers)
    print(table(found))


def ablate(arguments: argparse.Namespace) -> None:
    from .ablate import ablate, read_trials
    from .recipe import read_changes

    trials = read_trials(arguments.trials, read_changes(arguments.set), arguments.samples)
    also = dict(pair.split("=", 1) if "=" in pair else (pair, "") for pair in arguments.also)
    ablate(trials, arguments.data, arguments.out, also, arguments.device, arguments.workers)
    print((arguments.out / "table.md").read_text(encoding="utf-8"), end="")


def pairs(arguments: argparse.Namespace) -> None:
    from .data import split
    from .layouts import read_dataset
    from .pairs import PairOptions, make_pairs
    from .recipe import load_recipe

    items = split(read_dataset(arguments.data), load_recipe(arguments.recipe).data)[0]
    options = PairOptions(arguments.images, arguments.steps, seed=arguments.seed)
    ratios = make_pairs(items, arguments.out, options, arguments.device)
    print("\n".join(f"{name}: {ratio:.1f} dB" for name, ratio in ratios.items()))


def diagnose(arguments: argparse.Namespace) -> None:
    from .diagnose import diagnose, table

    print(
        table(diagnose(_of_images(_recipe(arguments)), arguments.data, arguments.folder, arguments.out))
    )


def export(arguments: argparse.Namespace) -> None:
    import torch

    from .export import UNCALIBRATED, export_model
    from .recipe import load_recipe

    recipe = _of_images(load_recipe(arguments.recipe))
    if recipe.model.backbone != "se-resnet50" or recipe.data.classes:
        raise ConfigurationError(
            f"recipe {recipe.name} makes a {recipe.model.backbone} that tells {len(recipe.data.names)} "
            "classes apart; the SDK runs se-resnet50 with real and AI. Measure it with: aidetect-train "
            "evaluate --checkpoint … or crossval."
        )
    if recipe.model.on_trial:
        raise ConfigurationError(
            f"recipe {recipe.name} has options on trial (a high-pass input, local_from or joined), "
            "which the SDK does not run. Measure it with: aidetect-train evaluate --checkpoint …"
        )
    if recipe.model.frequency:
        raise ConfigurationError(
            f"recipe {recipe.name} has a frequency branch, which the SDK does not run. Measure it with: "
            "aidetect-train evaluate --checkpoint …"
        )
    if recipe.model.view == "squash":
        raise ConfigurationError(
            f"recipe {recipe.name} squashes whole images, which the SDK never does: exported, it would "
            f"give other answers. Measure it with: aidetect-train evaluate --checkpoint "
            f"{arguments.checkpoint} --recipe {arguments.recipe} --data …"
        )
    checkpoint = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)
    path = export_model(
        checkpoint["weights"],
        recipe.model.architecture(),
        recipe.model.view_size,
        name=arguments.name,
        version=arguments.version,
        calibration=UNCALIBRATED,
        trained_on=arguments.trained_on,
        about=recipe.about,
        out=arguments.out,
    )
    print(f"wrote {path}; next: aidetect-train calibrate {path} --data …")


def texture(arguments: argparse.Namespace) -> None:
    from . import texture_folds
    from .data import chosen, split
    from .export import UNCALIBRATED, rewrite
    from .layouts import read_dataset
    from .recipe import load_recipe
    from .texture_fit import fit_texture, look

    recipe = load_recipe(arguments.recipe)
    items = [item for folder in arguments.data for item in read_dataset(folder)]
    then = "calibrate MODEL --data …"
    if arguments.folds:
        looked = look(chosen(items, recipe.data), arguments.workers)
        fitted, scores, found = texture_folds.fit_by_folds(looked, recipe.data)
        print(texture_folds.write(scores, found, arguments.folds))
        then += f" --unseen {arguments.folds / 'margins.csv'}"
    else:
        looked = look(split(items, recipe.data)[0], arguments.workers)
        fitted = fit_texture(looked, recipe.data.balance)
    changes = {"version": arguments.version} if arguments.version else {}
    alone = {**UNCALIBRATED, "both": [0.0, 0.0, 0.0], "alone": [0.0, 0.0], "texture": [1.0, 1.0]}
    rewrite(arguments.model, texture=fitted, calibration=alone, **changes)
    print(f"{len(looked.items):,} images; next: aidetect-train {then}")


def calibrate(arguments: argparse.Namespace) -> None:
    from aidetect._weights import load_package

    from . import texture_folds
    from .calibrate import fit
    from .data import chosen
    from .export import rewrite
    from .layouts import read_dataset
    from .recipe import load_recipe
    from .scoring import score_package

    package = load_package(arguments.model)
    items, crops = read_dataset(arguments.data), not arguments.no_crops
    if arguments.recipe:
        items = chosen(items, load_recipe(arguments.recipe).data)
    tiers = arguments.tiers.split(",")
    unseen = texture_folds.read(arguments.unseen) if arguments.unseen else []
    scores = score_package(package, items, tiers, arguments.backend, crops=crops, textured=not unseen)
    if unseen:
        scores = texture_folds.replaced(scores, unseen)
    calibration = fit(scores, crops=crops, unseen=[one for one in unseen if one.tier in tiers])
    rewrite(arguments.model, calibration=calibration)
    print("\n".join(f"{key}: {value}" for key, value in calibration.items()))


def evaluate(arguments: argparse.Namespace) -> None:
    from . import adversarial, robustness
    from .data import chosen, split
    from .evaluate import evaluate, head_table, spread, write
    from .layouts import read_dataset
    from .measured import of_checkpoints, of_package
    from .variants import SHEET
    from .video_measure import measure

    if (arguments.checkpoint or arguments.validation) and not arguments.recipe:
        raise ConfigurationError("--checkpoint and --validation need --recipe as well")
    if unknown := set(arguments.sheets) - {"robustness", "adversarial"}:
        raise ConfigurationError(
            f"no sheet {', '.join(sorted(unknown))}: robustness and adversarial are"
        )
    items = read_dataset(arguments.data)
    recipes = _recipes(arguments)
    if recipes:
        recipe = recipes[0]
        if recipe.data.classes:
            raise ConfigurationError(
                f"recipe {recipe.name} names its classes; an evaluation tells real from AI. Measure it "
                "with: aidetect-train crossval"
            )
        items = split(items, recipe.data)[1] if arguments.validation else chosen(items, recipe.data)
    if arguments.checkpoint and any(one.sequence.frames for one in recipes):
        if len(arguments.checkpoint) > 1:
            raise ConfigurationError("several checkpoints are measured as one on images only: give one")
        found = measure(recipe, arguments.checkpoint[0], items, arguments.out)
        print("\n".join(f"{key}: {value}" for key, value in found.items()))
        return
    if arguments.checkpoint:
        measured = of_checkpoints(arguments.checkpoint, recipes, arguments.views)
    else:
        measured = of_package(arguments.model, arguments.backend, arguments.views)
    scores = measured.score(items, arguments.tiers.split(","))
    result = evaluate(scores, measured.calibration) | {"model": measured.about}
    write(result, arguments.out)
    print(head_table(result))
    some = spread(items, arguments.sheet_images or len(items))
    if "robustness" in arguments.sheets:
        changed = measured.score(some, [robustness.UNCHANGED, *SHEET])
        sheet = robustness.robustness(changed, measured.calibration)
        robustness.write(sheet, arguments.out)
        print(f"\n{robustness.table(sheet)}")
    if "adversarial" in arguments.sheets:
        verdict = adversarial.verdict_of(scores, measured.calibration)
        attacked = adversarial.attacked(measured.network(), items, measured.size, measured.view, verdict)
        adversarial.write(attacked, arguments.out)
        print(f"\n{adversarial.table(attacked)}")


def clips(arguments: argparse.Namespace) -> None:
    from .clips import ClipOptions, make_clips
    from .recipe import load_recipe

    held_out = load_recipe(arguments.held_out).data.validation_origins if arguments.held_out else ()
    options = ClipOptions(
        arguments.task, arguments.pairs, arguments.size, arguments.frames, seed=arguments.seed
    )
    counts = make_clips(arguments.images, arguments.out, options, held_out)
    print(", ".join(f"{count:,} {name}" for name, count in counts.items()))


def report(arguments: argparse.Namespace) -> None:
    from .recipe import load_recipe
    from .report import read_folders, training_images
    from .report_page import write

    recipe = load_recipe(arguments.recipe) if arguments.recipe else None
    evaluations, trainings = read_folders(arguments.folders, arguments.recipe)
    data = [training_images(folders, recipe) for folders in arguments.data]
    print(f"wrote {write(evaluations, trainings, data, arguments.out)}")


def quantize(arguments: argparse.Namespace) -> None:
    from .quantize import quantize

    package, views = _model_and_views(arguments)
    _made_beside(package, quantize(package, views, arguments.out))


def prune(arguments: argparse.Namespace) -> None:
    from .prune import prune

    package, views = _model_and_views(arguments)
    _made_beside(package, prune(package, views, arguments.share, arguments.out))


def _model_and_views(arguments: argparse.Namespace) -> "tuple[ModelPackage, np.ndarray]":
    """A model, and what it is shown of some images of all origins alike."""
    from aidetect._weights import load_package

    from .evaluate import spread
    from .layouts import read_dataset
    from .quantize import views_of

    package = load_package(arguments.model)
    return package, views_of(package, spread(read_dataset(arguments.data), arguments.images))


def _made_beside(package: "ModelPackage", path: Path) -> None:
    size, before = path.with_suffix(".safetensors").stat().st_size, len(package.weights)
    print(f"{size / before:.2f} of the weights' bytes; next: aidetect-train evaluate --model {path} …")


def search(arguments: argparse.Namespace) -> None:
    from .recipe import read_changes
    from .search import SearchOptions, changes_of, read_space, search

    best = search(
        arguments.recipe,
        read_changes(arguments.set),
        read_space(arguments.space),
        arguments.data,
        arguments.out,
        SearchOptions(
            arguments.trials,
            arguments.storage,
            arguments.sampler,
            arguments.seed,
            prune=not arguments.no_prune,
        ),
        arguments.device,
        arguments.workers,
    )
    print(
        f"best is trial {best.number} with {best.value:.4f}; its recipe: {arguments.out / 'best.toml'}"
    )
    print("\n".join(f"{key}: {value}" for key, value in changes_of(best).items()))


def ship(arguments: argparse.Namespace) -> None:
    from .export import ship

    print(f"shipped {ship(arguments.model)}")
