"""Weights that training starts from, in place of those that a recipe's seed gives: a model package's,
also a pruned one's, or those of a `best.ckpt`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from aidetect import ConfigurationError
from aidetect._weights import load_package

from .backbones import network
from .recipe import ModelRecipe, Recipe
from .widths import loaded

FREE = {"dropout", "initialisation", "view", "view_size"}
"""Keys of a recipe's [model] that the same weights go with whatever their values."""


@dataclass(frozen=True, slots=True)
class Start:
    """`weights`: state dict of the recipe's network, at its own width where it was pruned. `digest`:
    SHA-256 of the file, by which a run knows what it was begun from."""

    weights: Mapping[str, Tensor]
    digest: str


def read_start(given: str, recipe: Recipe) -> Start:
    """The weights of `given`: a path that ends in .ckpt, or a model as `load_package` takes it.

    Raises ConfigurationError, and says which --set to add, where they are of another network than the
    recipe's; ModelError for a package that cannot be loaded.
    """
    start, told = _checkpoint(Path(given)) if given.endswith(".ckpt") else _package(given)
    wanted = asdict(recipe.model)
    other = [f"model.{key}={_toml(value)}" for key, value in told.items() if value != wanted[key]]
    if other:
        raise ConfigurationError(
            f"{given} holds weights of another network than recipe {recipe.name} has. For its own: "
            + " ".join(f"--set {change}" for change in other)
        )
    made = network(recipe)
    try:
        loaded(made, start.weights)
    except RuntimeError:
        raise ConfigurationError(
            f"{given} does not fit recipe {recipe.name}: {_misfit(made, start.weights)}. Give weights "
            "of the same backbone, classes and [sequence]; for a model in int8 the one it is made of."
        ) from None
    return start


def _package(given: str) -> tuple[Start, dict[str, Any]]:
    package = load_package(given)
    known = {field.name for field in fields(ModelRecipe)} - FREE
    architecture = asdict(ModelRecipe()) | package.manifest.architecture
    told = {key: value for key, value in architecture.items() if key in known}
    return Start(safetensors.torch.load(package.weights), package.manifest.weights_sha256), told


def _checkpoint(path: Path) -> tuple[Start, dict[str, Any]]:
    """The averaged weights, and what the checkpoint says of its network: nothing before `train` wrote
    that down, so that shapes alone are compared."""
    try:
        digest = sha256(path.read_bytes()).hexdigest()
        kept = torch.load(path, map_location="cpu", weights_only=True)
        start = Start(kept["weights"], digest)
    except (RuntimeError, KeyError, EOFError, OSError, UnpicklingError) as error:
        reason = next(iter(str(error).splitlines()), "") or "it ends too early"
        raise ConfigurationError(
            f"{path} cannot be read as a best.ckpt ({reason}). Give another, or a model."
        ) from None
    return start, {key: value for key, value in kept.get("network", {}).items() if key not in FREE}


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _misfit(made: nn.Module, weights: Mapping[str, Tensor]) -> str:
    """The first difference between a network and weights that are not its own."""
    own = made.state_dict()
    for key, value in own.items():
        if key not in weights and not key.endswith("num_batches_tracked"):
            return f"it has no {key}"
        if key in weights and weights[key].shape != value.shape:
            return f"its {key} is {_shape(weights[key])}, not {_shape(value)}"
    return f"it has {next(iter(weights.keys() - own.keys()), 'others')} besides"


def _shape(value: Tensor) -> str:
    return "×".join(map(str, value.shape)) or "one number"
