"""How much of the bare forward-backward rate training keeps, and where the rest goes.

`train` itself runs the recipe `default` at its shipped crop size on made-up tiles, once with crops and
flips alone and once with all of its augmentation; its rate is taken from the moments of its optimizer's
steps, between the filling of the loaders' queue and its emptying. The bare rate is that of the same
network, precision and batch on pixels that are already there, measured before and after each run.
Printed beside, and on a CPU a figure too: processor time an image of each part, in one process. Where
other programs share the processors, that tells more than rates do. `--full` takes four times as many
steps.
"""

import argparse
import csv
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from _figures import Figures, at_least, print_figures
from PIL import Image
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_post_hook

from aidetect._model import SEResNet50
from aidetect_training import train as trainer
from aidetect_training import validation
from aidetect_training.data import Crops, collate, open_tile, read_manifest
from aidetect_training.distributed import computable
from aidetect_training.recipe import Phase, Recipe, load_recipe
from aidetect_training.recipe_images import AugmentRecipe, DataRecipe
from aidetect_training.schedule import Average

BATCH, SIZE, TILES = 32, 112, 96
QUEUE = 4
"""Batches that the loaders make ahead: two in each of two processes."""
WORKERS = 2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def make_tiles(folder: Path) -> None:
    """256×256 JPEGs with the look of photographs, of both classes; a quarter is validated on."""
    rng = np.random.default_rng(0)
    with open(folder / "manifest.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(("path", "label", "source"))
        for number in range(TILES):
            coarse = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            soft = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)
            noise = rng.normal(0, 6, (256, 256, 3))
            pixels = (np.asarray(soft) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)
            writer.writerow((f"{number}.jpg", number % 2, "held" if number < TILES // 4 else "seen"))


def recipes(steps: int) -> dict[str, Recipe]:
    """`default` with flips alone, and as it is: `steps` steps at its last phase's crop size."""
    shipped = load_recipe("default")
    phase = Phase(SIZE, steps * BATCH, BATCH)
    train = replace(shipped.train, phases=(phase,), evaluate_every=steps * BATCH)
    full = replace(shipped, data=DataRecipe(validation_origins=("held",)), train=train)
    chances = (f.name for f in fields(AugmentRecipe) if f.type in (float, "float"))
    quiet = replace(full, augment=replace(full.augment, **dict.fromkeys(chances, 0.0)))
    return {"crop_and_flip": quiet, "full_augmentation": full}


def trained(recipe: Recipe, tiles: Path, out: Path) -> float:
    """Images a second of `train` between filling and emptying of the queue."""
    moments: list[float] = []
    hook = register_optimizer_step_post_hook(lambda *_: moments.append(time.perf_counter()))
    try:
        trainer.train(recipe, tiles, out, DEVICE, WORKERS)
    finally:
        hook.remove()
    first, last = QUEUE, len(moments) - 1 - QUEUE
    return (last - first) * BATCH / (moments[last] - moments[first])


def half(recipe: Recipe) -> torch.autocast:
    """bfloat16 where the trainer would compute in it."""
    computed = computable(recipe.train.precision, DEVICE)
    return torch.autocast(DEVICE, torch.bfloat16, computed == "bf16-mixed")


class Bare:
    """The network alone, forward and backward, on one batch that stays where it is computed."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        network = SEResNet50(**recipe.model.architecture()).to(memory_format=torch.channels_last)
        self.network = network.to(DEVICE)
        pixels = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
        self.pixels = pixels.contiguous(memory_format=torch.channels_last).to(DEVICE)
        self.labels = (torch.arange(BATCH) % 2).to(DEVICE)

    def step(self) -> None:
        with half(self.recipe):
            logits = self.network(self.pixels)
        functional.cross_entropy(logits.float(), self.labels).backward()
        for parameter in self.network.parameters():
            parameter.grad = None
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    def rate(self, steps: int) -> float:
        """Images a second, the median of the steps; the first is not timed."""
        self.step()
        return BATCH / median(timed(self.step, time.perf_counter) for _ in range(steps))


def timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


def breakdown(made: dict[str, Recipe], bare: Bare, tiles: Path) -> dict[str, float]:
    """Milliseconds of processor time an image takes, by part."""
    items = read_manifest(tiles)

    def each(work: Callable[[int], object]) -> float:
        times = [timed(lambda n=n: work(n), time.process_time) for n in range(TILES)]
        return 1000 * mean(times)

    def sample(recipe: Recipe) -> float:
        crops = Crops(items, recipe, recipe.train.phases[0], seed=1)
        return each(lambda n: crops[n, n])

    def decoded(n: int) -> None:
        with open_tile(items[n], SIZE) as tile:
            tile.convert("RGB")

    quiet, full = (sample(recipe) for recipe in made.values())
    decode = each(decoded)
    crops = Crops(items, made["full_augmentation"], made["full_augmentation"].train.phases[0], seed=1)
    batch = [crops[n, n] for n in range(BATCH)]
    optimizer = torch.optim.AdamW(bare.network.parameters(), fused=True)
    average = Average(bare.network, 0.999)
    with half(bare.recipe):
        loss = bare.network(bare.pixels).float().square().mean()
    loss.backward()
    optimizer.step()

    def of_a_batch(work: Callable[[], object], times: int = 3) -> float:
        return 1000 / BATCH * median(timed(work, time.process_time) for _ in range(times))

    return {
        "forward and backward": of_a_batch(bare.step),
        "optimizer and weights' average": of_a_batch(
            lambda: (optimizer.step(), average.update(bare.network, 1))
        ),
        "reading and decoding": decode,
        "crop and flip": quiet - decode,
        "the other augmentation": full - quiet,
        "putting a batch together": of_a_batch(lambda: collate(batch)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    steps = 64 if parser.parse_args().full else 16
    validation.VALIDATION_TILES = 8
    torch.manual_seed(0)
    made = recipes(steps)
    bare = Bare(made["full_augmentation"])
    rates: dict[str, float] = {}
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (tiles := folder / "tiles").mkdir()
        make_tiles(tiles)
        before = bare.rate(2)
        for kind, least in (("crop_and_flip", 0.9), ("full_augmentation", 0.7)):
            with open(os.devnull, "w") as quiet:
                kept, sys.stdout = sys.stdout, quiet
                try:
                    rates[kind] = trained(made[kind], tiles, folder / kind)
                finally:
                    sys.stdout = kept
            after = bare.rate(2)
            ratio = rates[kind] / mean((before, after))
            print(f"{kind}: {rates[kind]:.1f} images/s; bare {before:.1f} before, {after:.1f} after")
            figures[f"{kind}_over_bare"] = at_least(ratio, least)
            before = after
        parts = breakdown(made, bare, tiles)
    print(f"processor time an image, at {SIZE} pixels in batches of {BATCH}:")
    for name, value in parts.items():
        print(f"  {name:32}{value:7.2f} ms")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    if DEVICE == "cpu":  # where that is what all parts share
        work, whole = parts["forward and backward"], sum(parts.values())
        for kind, least, total in (
            ("crop_and_flip", 0.9, whole - parts["the other augmentation"]),
            ("full_augmentation", 0.7, whole),
        ):
            figures[f"{kind}_by_processor_time"] = at_least(work / total, least)
    print_figures(figures)


if __name__ == "__main__":
    main()
