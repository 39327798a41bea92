"""How fast a recipe learns, and the average of what it has learnt."""

import math

import torch
from torch import Tensor, nn

from .recipe import Recipe


class Average:
    """Exponential moving average of weights and buffers; its window grows with the step at first."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.values[key].lerp_(value, 1 - decay)
            else:
                self.values[key].copy_(value)

    def load(self, values: dict[str, Tensor]) -> None:
        """Takes over saved values, on the device where these are."""
        for key, value in self.values.items():
            value.copy_(values[key])


def learning_rate(recipe: Recipe, done: int, cuts: int = 0) -> float:
    """Linear warm-up, then one cosine to zero, unless the rate stays `constant`; `done` counts samples.
    In steps of one epoch it is CosineAnnealingLR with T_max = epochs.

    `plateau`: a tenth for each of the `cuts` so far, one after every `plateau_patience` + 1 evaluations
    without a better figure: ReduceLROnPlateau with its factor. `one-cycle` (Smith and Topin 2018) as
    OneCycleLR has it: a cosine up from 1/25 of the rate over the first 30 %, another down to 1/250,000
    of it, whatever `warmup` says; momentum stays."""
    train = recipe.train
    if train.schedule == "one-cycle":
        part = done / train.samples
        low, high, way = (0.04, 1, part / 0.3) if part < 0.3 else (4e-6, 1, (1 - part) / 0.7)
        return train.learning_rate * (high - (high - low) * (1 + math.cos(math.pi * way)) / 2)
    if train.schedule == "steps":
        done -= done % train.evaluate_every
    warm = train.warmup * train.samples
    if done < warm:
        return train.learning_rate * done / warm
    if train.schedule in ("constant", "plateau"):
        return train.learning_rate * 0.1**cuts
    return train.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - warm) / (train.samples - warm)))
