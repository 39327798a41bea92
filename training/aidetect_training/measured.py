"""What an evaluation measures: a model package, or a checkpoint of a recipe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from aidetect._calibration import Calibration
from aidetect._weights import load_package

from .data import Item
from .recipe import Recipe
from .scoring import AS_TRAINED, Score, load_checkpoint, load_network, score_checkpoint, score_package


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


def of_checkpoint(path: Path, recipe: Recipe, views: str) -> Measured:
    """A `best.ckpt`, without calibration, shown what its recipe was."""
    return Measured(
        {"name": recipe.name, "checkpoint": path.name, "about": recipe.about},
        AS_TRAINED,
        lambda items, tiers: score_checkpoint(path, recipe, items, tiers, views),
        lambda: load_checkpoint(path, recipe),
        recipe.model.view_size,
        recipe.model.view,
    )
