"""Local margins: equal to what autograd says, for every network and in every backend."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aidetect import ModelIntegrityError
from aidetect._backends import Backend, open_backend
from aidetect._backends._openvino import OpenVinoBackend
from aidetect._backends._torch import TorchBackend
from aidetect._head import Head
from aidetect._model import SEResNet50
from aidetect._weights import ModelPackage, load_package

from ..networks import SMALL, network, package, sample_views

Cells = NDArray[np.float32]

ARCHITECTURES: list[dict[str, Any]] = [
    {"front_end": "rgb+residual"},
    {"front_end": "residual", "stages": 2, "stem_stride": 1},
    {"stages": 3, "stem_pool": False, "pooling": "mean+deviation"},
    {"front_end": "rgb+residual", "stages": 2, "pooling": "mean+deviation"},
]


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=str)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Cells, ModelPackage]:
    """A network's package, and what autograd says of `sample_views(64)` with the weights in it."""
    model = network(request.param)
    for tensor in model.parameters():
        if tensor.ndim > 1:
            tensor.data = tensor.data.half().float()  # as it is kept
    folder = tmp_path_factory.mktemp("package")
    given = load_package(package(folder, request.param, model=model))
    return by_autograd(model, sample_views(64)), given


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return load_package(package(tmp_path_factory.mktemp("small"), SMALL))


def by_autograd(model: SEResNet50, views: NDArray[np.uint8]) -> Cells:
    """Gradient times activation, summed over channels, with what is left of the margin spread evenly."""
    with torch.no_grad():
        maps = model.maps(torch.from_numpy(views).permute(0, 3, 1, 2))
    maps.requires_grad_(True)
    logits = model.classify(maps)
    margins = logits[:, 1] - logits[:, 0]
    (gradient,) = torch.autograd.grad(margins.sum(), maps)
    added = (gradient * maps).sum(1) * maps.shape[2] * maps.shape[3]
    local = added + (margins - added.mean((1, 2)))[:, None, None]
    found: Cells = local.detach().numpy()
    return found


def local(backend: Backend, given: ModelPackage, views: NDArray[np.uint8]) -> Cells:
    logits, maps = backend.logits_and_maps(views)
    assert logits.dtype == maps.dtype == np.float32
    np.testing.assert_allclose(logits, backend.logits(views), atol=1e-5)
    cells = Head.of(given).cells(maps, logits[:, 1] - logits[:, 0])
    np.testing.assert_allclose(cells.mean((1, 2)), logits[:, 1] - logits[:, 0], atol=1e-4)
    return cells


@pytest.mark.parametrize("name", ["onnx", "openvino", "torch"])
def test_are_those_of_autograd(name: str, pair: tuple[Cells, ModelPackage]) -> None:
    right, given = pair
    views = sample_views(64)
    backend = (
        OpenVinoBackend(given, 1, "f32") if name == "openvino" else open_backend(given, name, "cpu", 1)
    )
    assert right.std((1, 2)).max() > 0.05
    assert np.abs(local(backend, given, views) - right).max() < 0.01 * np.abs(right).max()


@pytest.mark.parametrize("kind", ["openvino bf16", "torch bf16", "maps in fp16"])
def test_are_close_in_half_precision(kind: str, pair: tuple[Cells, ModelPackage]) -> None:
    """The error is a fifth of the spread at most, and the same places are high."""
    right, given = pair
    views = sample_views(64)
    if kind == "openvino bf16":
        found = local(OpenVinoBackend(given, 1, "bf16"), given, views)
    elif kind == "torch bf16":
        found = local(TorchBackend(given, "cpu", 1, "bfloat16"), given, views)
    else:
        logits, maps = open_backend(given, "onnx", "cpu", 1).logits_and_maps(views)
        found = Head.of(given).cells(maps.astype(np.float16), logits[:, 1] - logits[:, 0])
    assert 0 < np.sqrt(np.square(found - right).mean()) < 0.2 * right.std()
    assert np.corrcoef(found.ravel(), right.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("name", ["onnx", "openvino", "torch"])
def test_of_no_view_are_none(name: str, small: ModelPackage) -> None:
    logits, maps = open_backend(small, name, "cpu", 1).logits_and_maps(
        np.empty((0, 64, 64, 3), np.uint8)
    )
    assert logits.shape == (0, 2) and maps.shape[:2] == (0, 512)


def test_a_network_without_the_head_is_refused(small: ModelPackage) -> None:
    renamed = replace(small, weights=small.weights.replace(b'"head.3.weight"', b'"tail.3.weight"'))
    for broken in (renamed, replace(small, weights=b"no tensors"), replace(small, weights=b"")):
        with pytest.raises(ModelIntegrityError, match=r"head .* export it again"):
            Head.of(broken)
