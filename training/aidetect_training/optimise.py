"""What a recipe minimises, and with which optimizer."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from .data import Item
from .recipe import Recipe, TrainRecipe

Criterion = Callable[[Tensor, Tensor], Tensor]
"""(N×classes logits, N class numbers) → mean loss."""


def new_optimizer(model: nn.Module, recipe: TrainRecipe) -> torch.optim.Optimizer:
    """Its learning rate of 1 is only a placeholder: each step sets it."""
    shared = {"lr": 1.0, "weight_decay": recipe.weight_decay}
    match recipe.optimizer:
        case "adamw":
            return torch.optim.AdamW(model.parameters(), fused=True, **shared)
        case "adam":
            return torch.optim.Adam(model.parameters(), fused=True, **shared)
        case "sgd":
            return torch.optim.SGD(model.parameters(), momentum=0.9, fused=True, **shared)
        case "radam":
            return torch.optim.RAdam(model.parameters(), decoupled_weight_decay=True, **shared)
        case "rmsprop":
            return torch.optim.RMSprop(model.parameters(), **shared)


def new_criterion(recipe: Recipe, training: Sequence[Item]) -> Criterion:
    """Cross-entropy with the recipe's label smoothing and class weights; or `mse`, the mean square of
    how far the probabilities are from 0 and 1 (Brier's score); or `focal` loss (Lin et al. 2017) with
    γ = 2 and no weights."""
    if recipe.train.loss == "mse":
        return mean_square
    if recipe.train.loss == "focal":
        return focal
    smoothing = recipe.train.label_smoothing
    if recipe.train.class_weights == "none":
        return partial(functional.cross_entropy, label_smoothing=smoothing)
    weights = balanced_weights(training, len(recipe.data.names))

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        weight = weights.to(logits.device)
        return functional.cross_entropy(logits, labels, weight, label_smoothing=smoothing)

    return criterion


def mean_square(logits: Tensor, labels: Tensor) -> Tensor:
    probabilities = logits.softmax(1)
    return functional.mse_loss(probabilities, functional.one_hot(labels, logits.shape[1]).float())


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    surprise = functional.cross_entropy(logits, labels, reduction="none")
    return ((1 - (-surprise).exp()) ** 2 * surprise).mean()


def balanced_weights(training: Sequence[Item], classes: int) -> Tensor:
    """Of each class images / (classes × its images), which is scikit-learn's `balanced`."""
    counts = torch.bincount(torch.tensor([item.label for item in training]), minlength=classes)
    return len(training) / (classes * counts.float())
