"""Scores of a made-up model on made-up images, for what comes after scoring."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aidetect_training.data import Item
from aidetect_training.scoring import Score


@dataclass(frozen=True)
class Model:
    """Margins are normal, ±`strength` apart by class, doubled in tier "clean"."""

    strength: float = 1.0
    spread: float = 1.5
    views: int = 9


def scores(
    model: Model,
    images: int = 400,
    tiers: tuple[str, ...] = ("clean", "web"),
    seed: int = 0,
    folder: Path = Path(),
    sizes: tuple[int, int] = (300, 300),
) -> list[Score]:
    """One Score per image and tier; real and AI in turn, 8 origins and 4 groups of each class.
    `sizes`: mean width of real and AI images."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(images):
        label = number % 2
        name = f"{'real' if not label else 'ai'}-{number // 2 % 8}"
        group = ("photo", "art", "anime", "product")[number // 2 % 4]
        generator = f"gen{number // 2 % 4}" if label else ""
        item = Item(folder / f"{number}.png", label, generator, name, name, group)
        width = int(sizes[label] + rng.integers(-40, 41))
        for tier in tiers:
            centre = (2 * label - 1) * model.strength * (2 if tier == "clean" else 1)
            shared = rng.normal(centre, model.spread)
            margins = tuple((shared + rng.normal(0, 0.5, model.views)).tolist())
            size = int(width * 300 * rng.uniform(0.2, 0.4))
            made.append(Score(item, tier, margins, width, 300, size, 0.0))
    return made
