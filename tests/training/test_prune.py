"""Pruning: a smaller network that says nearly the same, as a package that runs like any other."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from aidetect import ConfigurationError, ModelIntegrityError
from aidetect._backends import open_backend
from aidetect._head import Head
from aidetect._model import SEResNet50
from aidetect._weights import ModelPackage, load_package
from aidetect_training.cli import main
from aidetect_training.prune import prune, pruned
from aidetect_training.quantize import quantize

from ..networks import SMALL, network, package, sample_views

VIEWS = sample_views(64)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return load_package(package(tmp_path_factory.mktemp("whole"), SMALL))


@pytest.fixture(scope="module")
def half(whole: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return load_package(prune(whole, VIEWS, 0.5, tmp_path_factory.mktemp("half")))


def margins(model: nn.Module) -> np.ndarray:
    with torch.inference_mode():
        logits = model(torch.from_numpy(VIEWS).permute(0, 3, 1, 2)).numpy()
    found: np.ndarray = logits[:, 1] - logits[:, 0]
    return found


def blocks(model: SEResNet50) -> list[Any]:
    return [block for layer in model.layers for block in layer]  # type: ignore[attr-defined]


def test_channels_that_repeat_others_go_without_a_trace() -> None:
    """Half of the channels are others once more, at a tenth: what read them has to read the others."""
    model = network(SMALL)
    with torch.no_grad():
        for block in blocks(model):
            for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
                half = norm.num_features // 2
                conv.weight[half:] = conv.weight[:half]
                for values in (norm.weight, norm.bias):
                    values[half:] = values[:half] / 10
    # Statistics are taken anew: they have to be those of these views before, too.
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.train()
    margins(model)
    right, made = margins(model.eval()), pruned(model, VIEWS, 0.5)
    assert right.std() > 0.1
    np.testing.assert_allclose(margins(made), right, atol=0.02 * right.std())
    for old, new in zip(blocks(model), blocks(made), strict=True):
        assert torch.equal(new.conv1.weight, old.conv1.weight[: len(new.conv1.weight)])
        assert len(new.conv1.weight) == len(old.conv1.weight) // 2


def test_statistics_are_those_of_the_views() -> None:
    model, views = network(SMALL), VIEWS // 3
    before = copy.deepcopy(model.state_dict())
    made = pruned(model, views, 0.5)
    with torch.inference_mode():
        seen = made.stem[0](made.front(torch.from_numpy(views).permute(0, 3, 1, 2)))
    torch.testing.assert_close(made.stem[1].running_mean, seen.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_inner_channels_go_by_sixteen_and_the_smallest_scales_first() -> None:
    model = network(SMALL)
    made = pruned(model, VIEWS, 0.3)
    for old, new in zip(blocks(model), blocks(made), strict=True):
        for name in ("bn1", "bn2"):
            scales, left = getattr(old, name).weight, getattr(new, name).weight
            assert len(left) == {64: 48, 128: 96}[len(scales)]
            assert set(left.tolist()) == set(scales.abs().topk(len(left)).values.tolist())
        assert new.conv3.weight.shape[0] == old.conv3.weight.shape[0]


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_runtimes_compute_what_the_network_does(
    whole: ModelPackage, half: ModelPackage, backend: str
) -> None:
    right = margins(pruned(network(SMALL), VIEWS, 0.5))
    logits = open_backend(half, backend, device="cpu").logits(VIEWS)
    # Probabilities, as far apart as bfloat16, which OpenVINO may choose, can be.
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], right, atol=0.05)
    assert len(half.weights) < 0.7 * len(whole.weights)


def test_a_package_like_any_other(whole: ModelPackage, half: ModelPackage, tmp_path: Path) -> None:
    assert half.manifest.name == "test-pruned50" and "50%" in half.manifest.about
    for same in ("version", "calibration", "view_size", "architecture", "texture", "trained_on"):
        assert getattr(half.manifest, same) == getattr(whole.manifest, same)
    logits, maps = open_backend(half, "onnx").logits_and_maps(VIEWS)
    cells = Head.of(half).cells(maps, logits[:, 1] - logits[:, 0])
    np.testing.assert_allclose(cells.mean((1, 2)), logits[:, 1] - logits[:, 0], atol=1e-3)
    with pytest.raises(ModelIntegrityError, match="PyTorch cannot load"):
        open_backend(half, "torch", device="cpu")
    both = load_package(quantize(half, VIEWS, tmp_path))
    small = open_backend(both, "onnx").logits(VIEWS)
    assert both.manifest.name == "test-pruned50-int8"
    assert np.corrcoef(small[:, 1] - small[:, 0], logits[:, 1] - logits[:, 0])[0, 1] > 0.95


def test_the_command_makes_what_check_and_evaluate_take(
    whole: ModelPackage, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(tiles), "--images", "6", "--share", "0.4", "--out", str(tmp_path / "made")]
    assert main(["prune", str(whole.path), *options]) == 0
    path = tmp_path / "made" / "test-pruned40.json"
    assert str(path) in capsys.readouterr().out
    measured = ["--model", str(path), "--backend", "onnx", "--tiers", "clean", "--out", str(tmp_path)]
    assert main(["evaluate", "--data", str(tiles), *measured]) == 0
    assert "test-pruned40" in (tmp_path / "metrics.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("share", [0.0, 1.0, 0.01])
def test_a_share_has_to_take_something_and_leave_something(whole: ModelPackage, share: float) -> None:
    with pytest.raises(ConfigurationError, match=f"share is {share}"):
        pruned(network(SMALL), VIEWS, share)


def test_a_model_in_int8_is_refused(half: ModelPackage, tmp_path: Path) -> None:
    both = load_package(quantize(half, VIEWS, tmp_path))
    with pytest.raises(ConfigurationError, match="is in int8"):
        prune(both, VIEWS, 0.5, tmp_path)
