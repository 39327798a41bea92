"""What a recipe says of the images: which are used, what is told apart, and how they are changed."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from .checked import need


@dataclass(frozen=True, slots=True)
class ClassRecipe:
    """One class of a task: the images with this label and one of these categories."""

    name: str
    label: Literal["real", "ai"]
    categories: tuple[str, ...]

    def __post_init__(self) -> None:
        need(bool(self.name), "name", self.name, "a name")
        need(bool(self.categories), "categories", [], "one category or more")


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """Which images are used, what is told apart, and in what measure they are drawn.

    The validation part never trains: it chooses the checkpoint and fits the calibration. It is
    the `validation_origins`, or else a random `validation_share` of all images, drawn with `split_seed`.

    `sampling`: `balanced` draws all classes alike and a group of n tiles with weight n**`balance`
    (1: as it comes, 0: equally); `shuffled` takes each image once, in random order.

    Only images of these `categories` and, of the AI images, these `generators` are used; of all where
    none are named. Told apart are real and AI, or `classes`; images of none of these are left out.
    `related_origins`: lists of origins that share images, and count as one when folds are made;
    `families`: lists of generators that are alike, which folds of `texture` leave out together. Images
    of `left_out_origins` are not used at all, as those of a published test part."""

    validation_origins: tuple[str, ...] = ()
    validation_share: float = 0.0
    split_seed: int = 42
    sampling: Literal["balanced", "shuffled"] = "balanced"
    balance: float = 0.5
    categories: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()
    classes: tuple[ClassRecipe, ...] = ()
    related_origins: tuple[tuple[str, ...], ...] = ()
    families: tuple[tuple[str, ...], ...] = ()
    left_out_origins: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs."""
        return tuple(one.name for one in self.classes) or ("real", "ai")

    def __post_init__(self) -> None:
        share = self.validation_share
        need(0 <= share < 1, "validation_share", share, "a share of the images, below 1")
        need(
            not (share and self.validation_origins), "validation_share", share,
            "left out where validation_origins are given",
        )  # fmt: skip
        need(0 <= self.split_seed < 2**32, "split_seed", self.split_seed, "from 0 to below 2**32")
        need(0 <= self.balance <= 1, "balance", self.balance, "from 0 to 1")
        need(len(self.classes) != 1, "classes", list(self.names), "two classes or more, or none")
        need(len(set(self.names)) == len(self.names), "classes", list(self.names), "of unlike names")
        kinds = [(one.label, category) for one in self.classes for category in one.categories]
        twice = sorted({f"{label} {category}" for label, category in kinds
                        if kinds.count((label, category)) > 1})  # fmt: skip
        need(not twice, "classes", ", ".join(twice), "in one class only")


@dataclass(frozen=True, slots=True)
class AugmentRecipe:
    """Chances of each change, alike for both classes; see `augment.py`. `rescale` is for crops."""

    rescale: float = 0.7
    rescale_range: tuple[float, float] = (0.4, 1.4)
    codec: float = 0.7
    second_codec: float = 0.3
    quality_range: tuple[int, int] = (30, 95)
    rotate: float = 0.5
    jitter: float = 0.5
    gray: float = 0.1
    blur: float = 0.1
    noise: float = 0.1
    cutout: float = 0.15
    colour_jitter: float = 0.0
    brightness_contrast: float = 0.0
    masking: float = 0.0

    def __post_init__(self) -> None:
        for key, value in dataclasses.asdict(self).items():
            if isinstance(value, float):
                need(0 <= value <= 1, key, value, "a chance from 0 to 1")
        low, high = self.rescale_range
        need(
            0.01 <= low <= high <= 100, "rescale_range", [low, high], "two factors, rising, 0.01 to 100"
        )
        low, high = self.quality_range
        need(1 <= low <= high <= 100, "quality_range", [low, high], "two qualities, rising, 1 to 100")
