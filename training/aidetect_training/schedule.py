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


def learning_rate(recipe: Recipe, done: int) -> float:
    """Linear warm-up, then one cosine to zero, unless the rate stays `constant`; `done` counts samples.
    In steps of one epoch it is CosineAnnealingLR with T_max = epochs."""
    train = recipe.train
    if train.schedule == "steps":
        done -= done % train.evaluate_every
    warm = train.warmup * train.samples
    if done < warm:
        return train.learning_rate * done / warm
    if train.schedule == "constant":
        return train.learning_rate
    return train.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - warm) / (train.samples - warm)))
