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
    optimizer = _plain_optimizer(model, recipe)
    if recipe.positive_last:
        last = last_layer(model)
        only_signs_of_ai(last)
        optimizer.register_step_post_hook(lambda *_: only_signs_of_ai(last))
    return optimizer


def _plain_optimizer(model: nn.Module, recipe: TrainRecipe) -> torch.optim.Optimizer:
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


@torch.no_grad()
def only_signs_of_ai(last: nn.Linear) -> None:
    """Moves weights to the nearest with which each feature, none of which is below 0 behind a ReLU, can
    only speak for AI (class 1), never for real: ≤ 0 in real's row, ≥ 0 in AI's.

    After Stay-Positive (Rajan and Lee 2025), which clamps while it retrains the last layer alone; here
    it is clamped from the first step on.
    """
    last.weight[0].clamp_(max=0)
    last.weight[1].clamp_(min=0)


def last_layer(model: nn.Module) -> nn.Linear:
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]


def new_criterion(recipe: Recipe, training: Sequence[Item], model: nn.Module) -> Criterion:
    """The recipe's loss on a batch that `model` was shown last; with `contrastive`, plus so many times
    `supervised_contrastive` of what its last layer was given."""
    plain, weight = _plain_criterion(recipe, training), recipe.train.contrastive
    if not weight:
        return plain
    given: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        given[:] = inputs

    last_layer(model).register_forward_pre_hook(keep)

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        return plain(logits, labels) + weight * supervised_contrastive(given[0].float(), labels)

    return criterion


def supervised_contrastive(features: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """N×D features, N class numbers → mean loss over those that have another of their class.

    Khosla et al. 2020, L_out of equation 2, with one view an image and no projection: features of one
    class come together, those of others go apart. 0 where no two are of one class.
    """
    unit = functional.normalize(features, dim=1)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    alike = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    surprise = alike.logsumexp(1, keepdim=True) - alike
    friends = (labels[:, None] == labels) & ~itself
    mean = surprise.masked_fill(~friends, 0).sum(1) / friends.sum(1).clamp_min(1)
    return mean.sum() / friends.any(1).sum().clamp_min(1)


def _plain_criterion(recipe: Recipe, training: Sequence[Item]) -> Criterion:
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
