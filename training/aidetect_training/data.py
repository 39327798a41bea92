"""Reads folders with a `manifest.csv`, splits them by origin, and draws balanced samples."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, Sampler

from aidetect import ConfigurationError

from .augment import augment
from .prepare import origin_of, plain, read_rows
from .recipe import DataRecipe, Phase, Recipe


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a manifest. `label` 0 is real, 1 is AI; `group` is the generator or the category."""

    path: Path
    label: int
    generator: str
    source: str
    origin: str
    category: str

    @property
    def group(self) -> str:
        return self.generator or self.category or self.origin


def read_manifest(folder: Path) -> list[Item]:
    """Reads `folder/manifest.csv`: path, label, source; optional generator, origin, category.

    Raises ConfigurationError for a missing file or column, an empty path, a label not 0 or 1.
    """
    return [
        Item(
            path=folder / row["path"],
            label=int(row["label"]),
            generator=row.get("generator") or "",
            source=row["source"],
            origin=origin_of(row),
            category=row.get("category") or "",
        )
        for row in read_rows(folder)
    ]


def split(items: Sequence[Item], recipe: DataRecipe) -> tuple[list[Item], list[Item]]:
    """(training, validation), whole origins apart. Both classes have to be in both parts."""
    held_out = {plain(origin) for origin in recipe.validation_origins}
    if unknown := held_out - {plain(item.origin) for item in items}:
        raise ConfigurationError(f"validation origins that the data do not have: {sorted(unknown)}")
    training = [item for item in items if plain(item.origin) not in held_out]
    validation = [item for item in items if plain(item.origin) in held_out]
    for name, part in (("training", training), ("validation", validation)):
        if len({item.label for item in part}) < 2:
            raise ConfigurationError(
                f"the {name} part needs images of both classes; it has {len(part)} in all"
            )
    return training, validation


def open_tile(item: Item, side: int) -> Image.Image:
    """The tile, its pixels not yet read.

    Raises ConfigurationError if it cannot be opened or its shorter side is below `side` pixels.
    """
    try:
        tile = Image.open(item.path, formats=("JPEG", "PNG", "WEBP"))
    except OSError as error:
        raise ConfigurationError(
            f"{item.path} cannot be opened as JPEG, PNG or WebP: {error}. Make the tiles again."
        ) from None
    if min(tile.size) < side:
        tile.close()
        raise ConfigurationError(
            f"{item.path} is {tile.width}×{tile.height} pixels, but the recipe cuts crops of {side}. "
            "Make larger tiles, or lower train.phases and model.view_size."
        )
    return tile


def check_tiles(items: Iterable[Item], side: int) -> None:
    """Opens the header of every tile, so that a wrong one is told before a long run, not within."""
    for item in items:
        open_tile(item, side).close()


class BalancedSampler(Sampler[tuple[int, int]]):
    """Draws (index, k) for one phase: real and AI in turn, with return.

    Of a class, a group of n tiles is drawn with weight n**balance, then, by the same rule, one of
    the group's origins, then any of its tiles. The k-th draw depends on the seed and k alone, so
    that a resumed run, which starts at k = `start`, goes on where it stopped.
    """

    def __init__(
        self, items: Sequence[Item], recipe: DataRecipe, samples: int, seed: int, start: int = 0
    ) -> None:
        self.samples, self.seed, self.start = samples, seed, start
        self._classes = []
        for label in (0, 1):
            members = [i for i, item in enumerate(items) if item.label == label]
            sizes = Counter((items[i].group, items[i].origin) for i in members)
            groups: Counter[str] = Counter()
            within: defaultdict[str, float] = defaultdict(float)
            for (group, _), size in sizes.items():
                groups[group] += size
                within[group] += size**recipe.balance
            weights = np.array(
                [
                    groups[items[i].group] ** recipe.balance
                    * sizes[items[i].group, items[i].origin] ** (recipe.balance - 1)
                    / within[items[i].group]
                    for i in members
                ]
            )
            self._classes.append((np.array(members), np.cumsum(weights / weights.sum())))

    def __len__(self) -> int:
        return self.samples - self.start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        chunk = 4096
        for first in range(self.start - self.start % chunk, self.samples, chunk):
            draws = np.random.default_rng((self.seed, first)).random(chunk)
            for k in range(max(first, self.start), min(first + chunk, self.samples)):
                members, ends = self._classes[k % 2]
                position = np.searchsorted(ends, draws[k - first], side="right")
                yield int(members[min(int(position), len(members) - 1)]), k


class Crops(Dataset[tuple[torch.Tensor, int]]):
    """Augmented 3×size×size uint8 crops of the tiles, with their labels.

    Its keys are the draws of `BalancedSampler`: the crop of the k-th draw depends on the seed and k
    alone, in whichever process it is made.
    """

    def __init__(self, items: Sequence[Item], recipe: Recipe, phase: Phase, seed: int) -> None:
        self.items, self.recipe, self.phase, self.seed = items, recipe, phase, seed

    def __getitem__(self, draw: tuple[int, int]) -> tuple[torch.Tensor, int]:
        index, k = draw
        item = self.items[index]
        with open_tile(item, self.phase.size) as image:
            tile = image.convert("RGB")
        crop = augment(tile, self.phase.size, self.recipe.augment, random.Random(f"{self.seed} {k}"))
        return torch.from_numpy(crop).permute(2, 0, 1), item.label
