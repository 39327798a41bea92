"""What the commands of `aidetect-train` that measure or make models do with their arguments, as
`commands.py` has it for the others."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aidetect import ConfigurationError

from .commands import of_images

if TYPE_CHECKING:
    import numpy as np

    from aidetect._weights import ModelPackage

    from .recipe import Recipe


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


def export(arguments: argparse.Namespace) -> None:
    import torch

    from .export import UNCALIBRATED, export_model
    from .recipe import load_recipe

    recipe = of_images(load_recipe(arguments.recipe))
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
    from .texture_fit import fit_texture, look, look_once

    recipe = load_recipe(arguments.recipe)
    items = [item for folder in arguments.data for item in read_dataset(folder)]
    then = "calibrate MODEL --data …"
    items = chosen(items, recipe.data) if arguments.folds else split(items, recipe.data)[0]
    if arguments.vectors:
        looked = look_once(items, arguments.vectors, arguments.workers)
    else:
        looked = look(items, arguments.workers)
    if arguments.folds:
        fitted, scores, found = texture_folds.fit_by_folds(looked, recipe.data)
        print(texture_folds.write(scores, found, arguments.folds))
        then += f" --unseen {arguments.folds / 'margins.csv'}"
    else:
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
    wanted = [[score for score in fold if score.tier in tiers] for fold in unseen]
    calibration = fit(scores, crops=crops, unseen=wanted)
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


def ship(arguments: argparse.Namespace) -> None:
    from .export import ship

    print(f"shipped {ship(arguments.model)}")
