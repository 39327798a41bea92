"""What a sequence model is shown of videos: runs of frames instead of images."""

import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from aidetect import InputError

from .augment import MARGIN, augment, squash
from .data import Item, Sample
from .faces import cut_out, import_cv2
from .recipe import Phase, Recipe
from .video_read import read_run


class Runs(Dataset[Sample]):
    """Augmented runs of the items, T×3×size×size; all frames of a run change in the same way. As with
    `Crops`, that of the k-th draw depends on the seed and k alone.

    Raises MissingExtraError where faces are wanted and OpenCV is missing.
    """

    def __init__(self, items: Sequence[Item], recipe: Recipe, phase: Phase, seed: int) -> None:
        _check(recipe)
        self.items, self.recipe, self.phase, self.seed = items, recipe, phase, seed

    def __getitem__(self, draw: tuple[int, int]) -> Sample:
        index, k = draw
        item, size, view = self.items[index], self.phase.size, self.recipe.model.view
        at = random.Random(f"{self.seed} {k} at").random()
        least = 0 if view == "squash" else size + MARGIN

        def changed(frame: Image.Image) -> np.ndarray:
            rng = random.Random(f"{self.seed} {k}")
            return augment(frame, size, self.recipe.augment, rng, view)

        return _sample(item, self.recipe, at, least, changed)


class MiddleRuns(Dataset[Sample]):
    """What is validated of each item: the run in its middle, frames squashed, or their centres.

    Raises as `Runs` does.
    """

    def __init__(self, items: Sequence[Item], recipe: Recipe) -> None:
        _check(recipe)
        self.items, self.recipe = items, recipe

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        item, size = self.items[index], self.recipe.model.view_size
        squashed = self.recipe.model.view == "squash"

        def shown(frame: Image.Image) -> np.ndarray:
            if squashed:
                return np.array(squash(frame, size))
            left, top = (frame.width - size) // 2, (frame.height - size) // 2
            return np.array(frame.crop((left, top, left + size, top + size)))

        return _sample(item, self.recipe, 0.5, 0 if squashed else size, shown)


def _check(recipe: Recipe) -> None:
    if recipe.sequence.faces:
        import_cv2()


def _sample(
    item: Item, recipe: Recipe, at: float, least: int, shown: Callable[[Image.Image], np.ndarray]
) -> Sample:
    """The run, each frame as `shown`, and its label; or a line with path and reason where it cannot be
    read, or a frame is smaller than the `least` side."""
    run, found = read_run(item.path, recipe.sequence.frames, recipe.sequence.rate, at), True
    try:
        if recipe.sequence.faces:
            frames, found = cut_out(list(run))
            pixels = np.stack([shown(frame) for frame in frames])
        else:
            pixels = np.stack([shown(_image(item, frame, least)) for frame in run])
    except InputError as error:
        return f"{item.path}\t{type(error).__name__}: {' '.join(str(error).split())}"
    clip = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    if not found:
        return clip, item.label, f"{item.path}\tno face was found: the middle was shown"
    return clip, item.label


def _image(item: Item, pixels: np.ndarray, least: int) -> Image.Image:
    if min(pixels.shape[:2]) < least:
        height, width = pixels.shape[:2]
        raise InputError(f"{item.path}: frames of {width}×{height} pixels, smaller than {least}")
    return Image.fromarray(pixels)
