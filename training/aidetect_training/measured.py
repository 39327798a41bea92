"""What an evaluation measures: a model package, or checkpoints of recipes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from aidetect import ConfigurationError
from aidetect._calibration import Calibration
from aidetect._weights import load_package

from .data import Item
from .recipe import Recipe
from .scoring import (
    AS_TRAINED,
    Ensemble,
    Score,
    load_checkpoint,
    load_network,
    score_network,
    score_package,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """`about` goes into `metrics.json`; `score` takes images and tiers; `network` loads the network in
    float32; `size` and `view` (`crop` or `squash`) are what it is shown."""

    about: dict[str, Any]
    calibration: Calibration
    score: Callable[[Sequence[Item], Sequence[str]], list[Score]]
    network: Callable[[], nn.Module]
    size: int
    view: str


_CARD = (
    "name", "version", "created", "about", "trained_on", "architecture", "view_size", "calibration",
    "weights_sha256",
)  # fmt: skip


def of_package(model: str | None, backend: str, views: str) -> Measured:
    """A model by name or path; None: the shipped one."""
    package = load_package(model)
    manifest = package.manifest
    calibration = Calibration.from_dict(manifest.calibration)
    crops = calibration.weighs_crops
    return Measured(
        {key: value for key, value in manifest.to_dict().items() if key in _CARD},
        calibration,
        lambda items, tiers: score_package(package, items, tiers, backend, views, crops),
        lambda: load_network(package),
        manifest.view_size,
        "crop",
    )


def of_checkpoints(paths: Sequence[Path], recipes: Sequence[Recipe], views: str) -> Measured:
    """One or several `best.ckpt`, each with its recipe, without calibration, shown what their recipes
    were; of several the mean of their logits counts.

    Raises ConfigurationError for recipes that are not shown the same, or split the images unlike.
    """
    first = recipes[0]
    for other in recipes[1:]:
        if other.data != first.data:
            raise ConfigurationError(
                f"{first.name} and {other.name} use other images, or hold others out: one might have "
                "been trained on what both are measured on. Give recipes with the same [data]."
            )
        if (other.model.view, other.model.view_size) != (first.model.view, first.model.view_size):
            raise ConfigurationError(
                f"{first.name} and {other.name} are not shown the same. Give recipes "
                "with the same model.view and model.view_size."
            )

    def network() -> nn.Module:
        networks = [load_checkpoint(*pair) for pair in zip(paths, recipes, strict=True)]
        return Ensemble(networks).eval() if len(networks) > 1 else networks[0]

    names = [path.name for path in paths] if len(paths) == 1 else [str(path) for path in paths]
    return Measured(
        {
            "name": " + ".join(recipe.name for recipe in recipes),
            "checkpoint": ", ".join(names),
            "about": first.about if len(paths) == 1 else "The mean of several networks' logits.",
        },
        AS_TRAINED,
        lambda items, tiers: score_network(network(), first, items, tiers, views),
        network,
        first.model.view_size,
        first.model.view,
    )
