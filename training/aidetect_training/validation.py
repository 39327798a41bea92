"""What a network says of held-out images: at each evaluation of a run, and after it.

`processes` and `laid_out` are what training and validation share of loading.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aidetect import ConfigurationError

from .data import Centres, Item, Sample, SkippedList, collate, sampler
from .distributed import computable
from .metrics import class_summary, summary
from .recipe import Precision, Recipe
from .video_data import MiddleRuns

VALIDATION_TILES = 1536


class Validation:
    """What held-out images are shown as, and the averaged network's figures on them: `VALIDATION_TILES`
    balanced draws, or the whole part where the recipe does not balance."""

    def __init__(
        self, recipe: Recipe, items: Sequence[Item], workers: int, skipped: SkippedList
    ) -> None:
        if recipe.data.sampling == "balanced":
            draws = sampler(items, recipe.data, VALIDATION_TILES, seed=1)
            items = [items[i] for i, _ in draws]
        shown: Dataset[Sample] = Centres(items, recipe.model.view, recipe.model.view_size)
        if recipe.sequence.frames:
            shown = MiddleRuns(items, recipe)
        batch = max(1, 64 // max(1, recipe.sequence.frames))
        self.loader = DataLoader(shown, batch, collate_fn=collate, **processes(workers))
        self.items, self.skipped, self.classes = items, skipped, recipe.data.classes
        self.faceless = SkippedList(skipped.path.with_name("faceless.txt"))

    def figures(self, model: nn.Module, device: torch.device, precision: Precision) -> dict[str, float]:
        """`summary`, or `class_summary` of a recipe that names classes."""
        shown, given = self.probabilities(model, device, precision)
        truth = np.array([item.label for item in shown])
        return class_summary(truth, given) if self.classes else summary(truth, given[:, 1])

    def probabilities(
        self, model: nn.Module, device: torch.device, precision: Precision
    ) -> tuple[list[Item], np.ndarray]:
        """The N items that can be read, in the order in which they are shown, and N×classes.

        Raises ConfigurationError where these are of one class only.
        """
        given, lost = [], set()
        half = computable(precision, device.type) == "bf16-mixed"
        model.eval()
        for pixels, labels, _, unreadable, faceless in self.loader:
            self.skipped.add(unreadable)
            self.faceless.add(faceless)
            lost.update(line.split("\t")[0] for line in unreadable)
            if not len(labels):
                continue
            with (
                torch.inference_mode(),
                torch.autocast(device.type, torch.bfloat16, half),
            ):
                logits = model(laid_out(pixels.to(device)))
            given.append(logits.float().softmax(1).cpu().numpy())
        shown = [item for item in self.items if str(item.path) not in lost]
        if len({item.label for item in shown}) < 2:
            raise ConfigurationError(
                "the validation part has readable images of one class only; "
                f"{self.skipped.path} lists what could not be read."
            )
        return shown, np.concatenate(given)


def laid_out(pixels: Tensor) -> Tensor:
    """Images as convolutions like them; runs of frames as they are, since their model sees to it."""
    return pixels.contiguous(memory_format=torch.channels_last) if pixels.ndim == 4 else pixels


def processes(workers: int) -> dict[str, Any]:
    """Loader processes start afresh: a fork of a process in which runtimes hold threads may crash."""
    return {"num_workers": workers, "multiprocessing_context": "spawn" if workers else None}
