"""Maps depend on what the network learnt (Adebayo et al. 2018): random weights draw another map."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aidetect._backends import open_backend
from aidetect._head import Head
from aidetect._image import decode
from aidetect._views import Views, extract_views
from aidetect._weights import ModelPackage, load_package

from ..networks import package

Cells = NDArray[np.float32]


def answered(given: ModelPackage, views: Views) -> tuple[Cells, Cells]:
    logits, maps = open_backend(given, "onnx", "cpu", 1).logits_and_maps(views.pixels)
    return maps, logits[:, 1] - logits[:, 0]


def agreement(one: Cells, other: Cells) -> float:
    """Spearman's rank correlation within each view, the mean over views."""
    ranks = [np.argsort(np.argsort(c.reshape(len(c), -1), axis=1), axis=1) for c in (one, other)]
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)]))


@pytest.fixture(scope="module")
def shipped(photograph: Path) -> tuple[ModelPackage, Views]:
    given = load_package()
    pixels = decode(photograph.read_bytes()).pixels
    return given, extract_views(pixels, "default", given.manifest.view_size)


def test_a_random_head_draws_another_map(shipped: tuple[ModelPackage, Views]) -> None:
    """Other, but not unlike: where a trunk responds most, any head finds most, of either sign."""
    given, views = shipped
    maps, margins = answered(given, views)
    own, random = Head.of(given), np.random.default_rng(0)
    right = own.cells(maps, margins)
    found = []
    for _ in range(40):
        hidden = random.uniform(-1, 1, own.hidden.shape) / np.sqrt(own.hidden.shape[1])
        margin = random.uniform(-1, 1, own.margin.shape) / np.sqrt(len(own.margin))
        head = Head(hidden.astype(np.float32), own.hidden_bias, margin.astype(np.float32), own.deviation)
        found.append(agreement(right, head.cells(maps, margins)))
    assert abs(np.mean(found)) < 0.35 and np.mean(np.abs(found)) < 0.8


def test_a_random_network_draws_another_map(shipped: tuple[ModelPackage, Views], tmp_path: Path) -> None:
    given, views = shipped
    size = given.manifest.view_size
    random = load_package(package(tmp_path, given.manifest.architecture, size=size))
    maps = [(Head.of(one), answered(one, views)) for one in (given, random)]
    assert abs(agreement(*(head.cells(*found) for head, found in maps))) < 0.5
