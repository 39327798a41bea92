"""`aidetect-train`: inspect, prepare, train, export, calibrate, evaluate, as TRAINING.md orders them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aidetect import AidetectError, ConfigurationError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0 done, 1 stopped by an error, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except AidetectError as error:
        print(f"aidetect-train: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("aidetect"):
            raise
        print(
            f"aidetect-train: {error.name} is not installed; in a clone: pip install '.[train]'",
            file=sys.stderr,
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aidetect-train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    sub = command(
        "inspect",
        _inspect,
        "tell a data set's sizes, formats, colours and duplicates by class, in figures",
    )
    sub.add_argument("data", type=Path, help="folder of images; any layout that TRAINING.md names")
    sub.add_argument("--out", type=Path, required=True, help="folder for inspect.json and pictures")
    sub.add_argument("--workers", type=int, default=2)

    sub = command(
        "prepare", _prepare, "cut training tiles from a folder of originals with a manifest.csv"
    )
    sub.add_argument("originals", type=Path, help="folder with manifest.csv: path,label,source,…")
    sub.add_argument("out", type=Path)
    whole = sub.add_mutually_exclusive_group()
    whole.add_argument(
        "--held-out", metavar="RECIPE", help="write the recipe's validation origins whole instead"
    )
    whole.add_argument(
        "--whole", metavar="RECIPE", help="write all but the recipe's validation origins whole instead"
    )
    sub.add_argument("--workers", type=int, default=2)

    sub = command("train", _train, "train a recipe; started again with the same --out it goes on")
    sub.add_argument("recipe", help="name of a built-in recipe, or a .toml file")
    sub.add_argument(
        "--data", type=Path, required=True, help="folder of tiles or images; see TRAINING.md"
    )
    sub.add_argument("--out", type=Path, required=True, help="folder for checkpoints and metrics.csv")
    sub.add_argument("--device", default="auto")
    sub.add_argument("--workers", type=int, default=2)

    sub = command(
        "export", _export, "write a checkpoint as a model: manifest, safetensors and ONNX graph"
    )
    sub.add_argument("checkpoint", type=Path, help="best.ckpt of a training folder")
    sub.add_argument("--recipe", required=True, help="the recipe it was trained with")
    sub.add_argument("--name", default="default")
    sub.add_argument("--version", required=True)
    sub.add_argument("--trained-on", default="", help="one sentence for the manifest")
    sub.add_argument("--out", type=Path, required=True)

    sub = command("texture", _texture, "fit a model's texture, hand-made features next to its network")
    sub.add_argument("model", type=Path, help="folder or manifest of an exported model; rewritten")
    sub.add_argument("--recipe", required=True, help="its validation origins are left out")
    sub.add_argument(
        "--data", type=Path, required=True, nargs="+", help="folders of images with manifest.csv"
    )
    sub.add_argument("--version", help="the model's new version")
    sub.add_argument("--workers", type=int, default=2)

    sub = command(
        "calibrate", _calibrate, "fit a model's probabilities and thresholds on held-out images"
    )
    sub.add_argument("model", type=Path, help="folder or manifest of an exported model; rewritten")
    sub.add_argument(
        "--data", type=Path, required=True, help="folder of held-out images with manifest.csv"
    )
    sub.add_argument("--tiers", default="clean,web,hard")
    sub.add_argument("--backend", default="auto")
    sub.add_argument(
        "--no-crops", action="store_true", help="give native crops no weight, and do not look at them"
    )

    sub = command("evaluate", _evaluate, "measure a model on a folder of images")
    sub.add_argument("--data", type=Path, required=True, help="any layout that TRAINING.md names")
    sub.add_argument("--out", type=Path, required=True, help="folder for metrics.json and tables.md")
    sub.add_argument("--model", help="name or path; without it the shipped model")
    sub.add_argument("--checkpoint", type=Path, help="best.ckpt of a training folder instead of a model")
    sub.add_argument("--recipe", help="the recipe that the checkpoint was trained with")
    sub.add_argument(
        "--validation", action="store_true", help="only the recipe's validation part of the data"
    )
    sub.add_argument("--tiers", default="clean,web,hard")
    sub.add_argument("--views", default="default")
    sub.add_argument("--backend", default="auto")
    sub.add_argument(
        "--sheets",
        type=lambda text: text.split(","),
        default=[],
        help="robustness (single changes to the images), adversarial (FGSM and PGD), or both",
    )

    sub = command(
        "ship", _ship, "make an exported and calibrated model the one that the package carries"
    )
    sub.add_argument("model", type=Path)
    return parser


def _inspect(arguments: argparse.Namespace) -> None:
    from .inspect import inspect
    from .layouts import read_dataset

    found = inspect(read_dataset(arguments.data), arguments.out, arguments.workers)
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


def _prepare(arguments: argparse.Namespace) -> None:
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


def _train(arguments: argparse.Namespace) -> None:
    from .recipe import load_recipe
    from .train import train

    recipe = load_recipe(arguments.recipe)
    best = train(recipe, arguments.data, arguments.out, arguments.device, arguments.workers)
    if best:
        name = recipe.train.monitor
        print(f"best after {best['samples']:,.0f} samples: validation {name} {best[name]:.4f}")


def _export(arguments: argparse.Namespace) -> None:
    import torch

    from .export import UNCALIBRATED, export_model
    from .recipe import load_recipe

    recipe = load_recipe(arguments.recipe)
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


def _texture(arguments: argparse.Namespace) -> None:
    from .data import split
    from .export import rewrite
    from .layouts import read_dataset
    from .recipe import load_recipe
    from .texture_fit import fit_texture

    recipe = load_recipe(arguments.recipe)
    items = [item for folder in arguments.data for item in read_dataset(folder)]
    training, _ = split(items, recipe.data)
    texture = fit_texture(training, recipe.data.balance, arguments.workers)
    changes = {"version": arguments.version} if arguments.version else {}
    path = rewrite(arguments.model, texture=texture, **changes)
    print(f"{len(training):,} images; next: aidetect-train calibrate {path} --data …")


def _calibrate(arguments: argparse.Namespace) -> None:
    from aidetect._weights import load_package

    from .calibrate import fit
    from .export import rewrite
    from .layouts import read_dataset
    from .scoring import score_package

    package = load_package(arguments.model)
    items, crops = read_dataset(arguments.data), not arguments.no_crops
    tiers = arguments.tiers.split(",")
    scores = score_package(package, items, tiers, arguments.backend, crops=crops)
    calibration = fit(scores, crops=crops)
    rewrite(arguments.model, calibration=calibration)
    print("\n".join(f"{key}: {value}" for key, value in calibration.items()))


def _evaluate(arguments: argparse.Namespace) -> None:
    from . import adversarial, robustness
    from .data import split
    from .evaluate import evaluate, head_table, write
    from .layouts import read_dataset
    from .measured import of_checkpoint, of_package
    from .recipe import load_recipe
    from .variants import SHEET

    if (arguments.checkpoint or arguments.validation) and not arguments.recipe:
        raise ConfigurationError("--checkpoint and --validation need --recipe as well")
    if unknown := set(arguments.sheets) - {"robustness", "adversarial"}:
        raise ConfigurationError(
            f"no sheet {', '.join(sorted(unknown))}: robustness and adversarial are"
        )
    items = read_dataset(arguments.data)
    if arguments.validation:
        _, items = split(items, load_recipe(arguments.recipe).data)
    if arguments.checkpoint:
        recipe = load_recipe(arguments.recipe)
        measured = of_checkpoint(arguments.checkpoint, recipe, arguments.views)
    else:
        measured = of_package(arguments.model, arguments.backend, arguments.views)
    scores = measured.score(items, arguments.tiers.split(","))
    result = evaluate(scores, measured.calibration) | {"model": measured.about}
    write(result, arguments.out)
    print(head_table(result))
    if "robustness" in arguments.sheets:
        scores = measured.score(items, [robustness.UNCHANGED, *SHEET])
        sheet = robustness.robustness(scores, measured.calibration)
        robustness.write(sheet, arguments.out)
        print(f"\n{robustness.table(sheet)}")
    if "adversarial" in arguments.sheets:
        attacked = adversarial.attacked(measured.network(), items, measured.size, measured.view)
        adversarial.write(attacked, arguments.out)
        print(f"\n{adversarial.table(attacked)}")


def _ship(arguments: argparse.Namespace) -> None:
    from .export import ship

    print(f"shipped {ship(arguments.model)}")


if __name__ == "__main__":
    sys.exit(main())
