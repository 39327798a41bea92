"""What commands of `aidetect-train` do with their arguments: those of data and training; the others are
in `model_commands.py`. `cli.py` tells what the arguments mean.

Imports stand in the functions, so that `--help` needs none of them.
"""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from aidetect import ConfigurationError

if TYPE_CHECKING:
    from .recipe import Recipe


def _recipe(arguments: argparse.Namespace) -> "Recipe":
    """The recipe that is named, with the changes of `--set`."""
    from .recipe import load_recipe, read_changes

    return load_recipe(arguments.recipe, read_changes(arguments.set))


def of_images(recipe: "Recipe") -> "Recipe":
    """Raises ConfigurationError for a recipe of videos."""
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

    originals, out = arguments.originals, arguments.out
    workers, seed = arguments.workers, arguments.seed
    if name := arguments.held_out or arguments.whole:
        origins = load_recipe(name).data.validation_origins
        if not origins:
            raise ConfigurationError(f"recipe {name} names no validation_origins")
        others, cap = (True, 120) if arguments.whole else (False, 60)
        counts = make_images(originals, out, origins, others, cap, workers, seed)
    else:
        counts = make_tiles(originals, out, TileOptions(), workers, seed)
    if not counts["files"]:
        raise ConfigurationError(f"no file was written to {arguments.out}: nothing there fits")
    print(", ".join(f"{count:,} {name}" for name, count in counts.items()))


def train(arguments: argparse.Namespace) -> None:
    from .recipe import write_recipe
    from .start import read_start
    from .train import train

    recipe = _recipe(arguments)
    start = read_start(arguments.start, recipe) if arguments.start else None
    write_recipe(recipe, arguments.out / "recipe.toml")
    best = train(recipe, arguments.data, arguments.out, arguments.device, arguments.workers, start)
    if best:
        name = recipe.train.monitor
        print(f"best after {best['samples']:,.0f} samples: validation {name} {best[name]:.4f}")


def crossval(arguments: argparse.Namespace) -> None:
    from .crossval import crossval, table

    folds, recipe = arguments.folds, of_images(_recipe(arguments))
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
        table(diagnose(of_images(_recipe(arguments)), arguments.data, arguments.folder, arguments.out))
    )


def clips(arguments: argparse.Namespace) -> None:
    from .clips import ClipOptions, make_clips
    from .recipe import load_recipe

    held_out = load_recipe(arguments.held_out).data.validation_origins if arguments.held_out else ()
    options = ClipOptions(
        arguments.task, arguments.pairs, arguments.size, arguments.frames, seed=arguments.seed
    )
    counts = make_clips(arguments.images, arguments.out, options, held_out)
    print(", ".join(f"{count:,} {name}" for name, count in counts.items()))


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
