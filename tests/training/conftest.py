"""Data folders that the tests make themselves, and the smallest network that learns from them."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aidetect_training import validation
from aidetect_training.data import Item
from aidetect_training.recipe import ModelRecipe, Phase, Recipe, TrainRecipe
from aidetect_training.recipe_images import AugmentRecipe, DataRecipe


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order are other sums: runs that are compared use one thread, here and in the
    processes that tests start."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package", autouse=True)
def few_validation_tiles() -> Iterator[None]:
    """An evaluation costs no more than the steps between two of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "VALIDATION_TILES", 64)
        yield


QUIET = AugmentRecipe(
    rescale=0, codec=0, second_codec=0, rotate=0, jitter=0, gray=0, blur=0, noise=0, cutout=0
)

TOY = Recipe(
    name="toy",
    about="as small as it gets",
    model=ModelRecipe(front_end="residual", stages=2, view_size=32),
    data=DataRecipe(validation_origins=("owner/held-out",)),
    augment=QUIET,
    train=TrainRecipe(
        phases=(Phase(size=32, samples=256, batch=16),),
        learning_rate=1e-3,
        average_decay=0.8,
        evaluate_every=128,
        precision="32-true",
        seed=1,
    ),
)
"""Trains in about three seconds."""


def picture(label: int, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """A soft random scene; that of class 1 carries a faint checkerboard, as some generators leave."""
    small = rng.integers(40, 216, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    scene = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(scene, np.float32) + rng.normal(0, 2, (height, width, 3))
    if label:
        rows, columns = np.indices((height, width))
        pixels += np.where((rows + columns) % 2, 14, -14)[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_manifest(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    """`folder/manifest.csv` with the columns of the first row."""
    with open(folder / "manifest.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def item(
    label: int, group: str = "g", origin: str = "o", path: str = "x.png", category: str = ""
) -> Item:
    return Item(Path(path), label, group if label else "", origin, origin, category or group)


@pytest.fixture(scope="session")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 lossless tiles of 48 pixels in both classes, a third of them of `owner_held-out`."""
    folder = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(3)
    rows = []
    for number in range(120):
        label = number % 2
        path = f"{number}.png"
        picture(label, 48, 48, rng).save(folder / path)
        origin = "owner_held-out" if number % 3 == 0 else f"origin{number % 4}"
        rows.append({"path": path, "label": str(label), "source": origin, "generator": "gen" * label})
    write_manifest(folder, rows)
    return folder


def toy(**train: object) -> Recipe:
    """`TOY` with other values in its `train` section."""
    return replace(TOY, train=replace(TOY.train, **train))  # type: ignore[arg-type]
