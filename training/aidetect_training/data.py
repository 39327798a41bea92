"""Reads folders with a `manifest.csv`, splits them, and draws what is trained on and validated."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, Sampler

from aidetect import ConfigurationError, ImageError
from aidetect._image import decode

from .augment import augment, squash
from .prepare import MAX_ORIGINAL_PIXELS, origin_of, plain, read_rows
from .recipe import Phase, Recipe
from .recipe_images import DataRecipe


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a manifest. `label` 0 is real, 1 is AI; or, once `chosen` for a recipe that names
    classes, the number of the class. `group` is the generator or the category. `scale`: pixels a side
    that one of the original became, where that is known."""

    path: Path
    label: int
    generator: str
    source: str
    origin: str
    category: str
    scale: float = 1.0

    @property
    def group(self) -> str:
        return self.generator or self.category or self.origin


def read_manifest(folder: Path) -> list[Item]:
    """Reads `folder/manifest.csv`: path, label, source; optional generator, origin, category, scale.

    Raises ConfigurationError for a missing file or column, an empty path, a label not 0 or 1, a grid or
    scale that is none.
    """
    return [
        Item(
            path=folder / row["path"],
            label=int(row["label"]),
            generator=row.get("generator") or "",
            source=row["source"],
            origin=origin_of(row),
            category=row.get("category") or "",
            scale=float(row.get("scale") or 1),
        )
        for row in read_rows(folder)
    ]


def chosen(items: Sequence[Item], recipe: DataRecipe) -> list[Item]:
    """The images that the recipe uses, labelled by the number of their class.

    Raises ConfigurationError for a category or a generator that none of the images has.
    """
    for key, wanted in (("category", recipe.categories), ("generator", recipe.generators)):
        known = {getattr(item, key) for item in items} - {""}
        if unknown := sorted(set(wanted) - known):
            raise ConfigurationError(
                f"the data have no {key} {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
    left_out = {plain(origin) for origin in recipe.left_out_origins}
    kept = [
        item
        for item in items
        if plain(item.origin) not in left_out
        and (not recipe.categories or item.category in recipe.categories)
        and (not (recipe.generators and item.label) or item.generator in recipe.generators)
    ]
    if not recipe.classes:
        return kept
    numbers = {
        (int(one.label == "ai"), category): number
        for number, one in enumerate(recipe.classes)
        for category in one.categories
    }
    keyed = [(item, numbers.get((item.label, item.category))) for item in kept]
    return [replace(item, label=number) for item, number in keyed if number is not None]


def split(items: Sequence[Item], recipe: DataRecipe) -> tuple[list[Item], list[Item]]:
    """(training, validation) of the `chosen` images: whole origins apart, or a random share of the
    images, not stratified: the one that scikit-learn's `train_test_split` draws.

    Raises ConfigurationError unless the training part has every class, the validation part two.
    """
    items = chosen(items, recipe)
    if recipe.validation_share:
        order = np.random.RandomState(recipe.split_seed).permutation(len(items))
        first = math.ceil(recipe.validation_share * len(items))
        training = [items[i] for i in order[first:]]
        validation = [items[i] for i in order[:first]]
    else:
        training, validation = _split_by_origin(items, recipe)
    check_classes(training, validation, recipe)
    return training, validation


def check_classes(training: Sequence[Item], validation: Sequence[Item], recipe: DataRecipe) -> None:
    """Raises ConfigurationError unless the training part has every class, the validation part two."""
    for name, part, least in (("training", training, len(recipe.names)), ("validation", validation, 2)):
        there = {item.label for item in part}
        if len(there) >= least:
            continue
        missing = [name for number, name in enumerate(recipe.names) if number not in there]
        wanted = f"each class and has no {', '.join(missing)}" if recipe.classes else "both classes"
        raise ConfigurationError(f"the {name} part needs images of {wanted}; it has {len(part)} in all")


def _split_by_origin(items: Sequence[Item], recipe: DataRecipe) -> tuple[list[Item], list[Item]]:
    held_out = {plain(origin) for origin in recipe.validation_origins}
    if unknown := held_out - {plain(item.origin) for item in items}:
        raise ConfigurationError(
            f"validation origins that the data do not have: {sorted(unknown)}. Name origins of "
            "these data: --set 'data.validation_origins=[\"…\"]', or in the recipe"
        )
    training = [item for item in items if plain(item.origin) not in held_out]
    validation = [item for item in items if plain(item.origin) in held_out]
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


def missing_files(items: Sequence[Item]) -> list[str]:
    """A line for each item that has no file. Raises ConfigurationError if that is more than half."""
    missing = [item.path for item in items if not item.path.is_file()]
    if 2 * len(missing) > len(items):
        raise ConfigurationError(
            f"{len(missing):,} of {len(items):,} images are not there, such as {missing[0]}. "
            "Put them where the table says."
        )
    return [f"{path}\tno such file" for path in missing]


class BalancedSampler(Sampler[tuple[int, int]]):
    """Draws (index, k) for one phase: the classes in turn (real and AI), with return.

    Of a class, a group of n tiles is drawn with weight n**balance, then, by the same rule, one of
    the group's origins, then any of its tiles. The k-th draw depends on the seed and k alone, so
    that a resumed run, which starts at k = `start`, goes on where it stopped.
    """

    def __init__(
        self, items: Sequence[Item], recipe: DataRecipe, samples: int, seed: int, start: int = 0
    ) -> None:
        self.samples, self.seed, self.start = samples, seed, start
        self._classes = []
        for label in sorted({item.label for item in items}):
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
                members, ends = self._classes[k % len(self._classes)]
                position = np.searchsorted(ends, draws[k - first], side="right")
                yield int(members[min(int(position), len(members) - 1)]), k


class ShuffledSampler(Sampler[tuple[int, int]]):
    """Draws (index, k) for one phase: every image once, in an order that depends on the seed alone,
    then again in another; a resumed run starts at k = `start`."""

    def __init__(self, images: int, samples: int, seed: int, start: int = 0) -> None:
        self.images, self.samples, self.seed, self.start = images, samples, seed, start

    def __len__(self) -> int:
        return self.samples - self.start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for first in range(self.start - self.start % self.images, self.samples, self.images):
            order = np.random.default_rng((self.seed, first)).permutation(self.images)
            for k in range(max(first, self.start), min(first + self.images, self.samples)):
                yield int(order[k - first]), k


def sampler(
    items: Sequence[Item], recipe: DataRecipe, samples: int, seed: int, start: int = 0
) -> Sampler[tuple[int, int]]:
    """The draws of one phase as the recipe wants them."""
    if recipe.sampling == "shuffled":
        return ShuffledSampler(len(items), samples, seed, start)
    return BalancedSampler(items, recipe, samples, seed, start)


Sample = tuple[torch.Tensor, int] | tuple[torch.Tensor, int, str] | str
"""3×size×size uint8 pixels and the label, of a video with no face where one is wanted also a line that
says so; or why the image cannot be read."""


def _picture(item: Item, view: str, side: int) -> Image.Image | str:
    """The tile, or the whole image where the recipe squashes; or why it cannot be read."""
    try:
        if view == "squash":
            data = item.path.read_bytes()
            return Image.fromarray(decode(data, max_pixels=MAX_ORIGINAL_PIXELS).pixels)
        with open_tile(item, side) as image:
            return image.convert("RGB")
    except (ImageError, OSError) as error:
        return f"{item.path}\t{' '.join(str(error).split())}"


class Crops(Dataset[Sample]):
    """Augmented samples of the items.

    Its keys are a sampler's draws: the crop of the k-th draw depends on the seed and k alone, in
    whichever process it is made.
    """

    def __init__(self, items: Sequence[Item], recipe: Recipe, phase: Phase, seed: int) -> None:
        self.items, self.recipe, self.phase, self.seed = items, recipe, phase, seed

    def __getitem__(self, draw: tuple[int, int]) -> Sample:
        index, k = draw
        size, view = self.phase.size, self.recipe.model.view
        picture = _picture(self.items[index], view, size)
        if isinstance(picture, str):
            return picture
        rng = random.Random(f"{self.seed} {k}")
        crop = augment(picture, size, self.recipe.augment, rng, view)
        return torch.from_numpy(crop).permute(2, 0, 1), self.items[index].label


class Centres(Dataset[Sample]):
    """What is validated of each item: the middle of a tile, or the squashed whole image."""

    def __init__(self, items: Sequence[Item], view: str, size: int) -> None:
        self.items, self.view, self.size = items, view, size

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        picture = _picture(self.items[index], self.view, self.size)
        if isinstance(picture, str):
            return picture
        if self.view == "squash":
            shown = squash(picture, self.size)
        else:
            left, top = (picture.width - self.size) // 2, (picture.height - self.size) // 2
            shown = picture.crop((left, top, left + self.size, top + self.size))
        return torch.from_numpy(np.array(shown)).permute(2, 0, 1), self.items[index].label


class Batch(NamedTuple):
    """`drawn` counts all samples that were asked for, `unreadable` tells those that are missing,
    `faceless` those in which a face was looked for in vain."""

    pixels: torch.Tensor
    labels: torch.Tensor
    drawn: int
    unreadable: list[str]
    faceless: list[str]


def collate(samples: Sequence[Sample]) -> Batch:
    good = [sample for sample in samples if not isinstance(sample, str)]
    bad = [sample for sample in samples if isinstance(sample, str)]
    pixels = torch.stack([sample[0] for sample in good]) if good else torch.empty(0)
    labels = torch.tensor([sample[1] for sample in good])
    return Batch(pixels, labels, len(samples), bad, [sample[2] for sample in good if len(sample) == 3])


class SkippedList:
    """Images that cannot be read, or videos without a face, once each, in a file of lines with path, tab
    and reason. A run that goes on knows those of before."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.path, self._known = path, {line.split("\t")[0] for line in lines}

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            if (name := line.split("\t")[0]) not in self._known:
                self._known.add(name)
                with open(self.path, "a", encoding="utf-8") as file:
                    file.write(line + "\n")

    def __len__(self) -> int:
        return len(self._known)
