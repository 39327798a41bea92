"""Networks with random weights and packages of them: real ones, of which nothing was learnt."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aidetect._model import SEResNet50
from aidetect_training.export import UNCALIBRATED, export_model

SMALL: dict[str, Any] = {"front_end": "rgb+residual", "stages": 2}


def network(architecture: dict[str, Any], size: int = 64) -> SEResNet50:
    """In evaluation mode. Its batch normalisation has statistics, and its last layer is scaled so
    that the probabilities of `sample_views` lie apart: an error in any layer then shows."""
    torch.manual_seed(5)
    model = SEResNet50(**architecture).eval()
    pixels = torch.from_numpy(sample_views(size)).permute(0, 3, 1, 2)
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            # Small where a block adds to what it was given, as in trained networks: else each block
            # of random weights doubles every rounding error.
            low, high = (0.05, 0.15) if name.endswith("bn3") else (0.6, 1.2)
            nn.init.uniform_(module.weight, low, high)
            nn.init.normal_(module.bias, 0, 0.1)
            module.momentum = None
    with torch.no_grad():
        model.train()(pixels)
        model.eval()
        last = model.head[3]
        assert isinstance(last, nn.Linear)
        margins = model(pixels) @ torch.tensor([-1.0, 1.0])
        last.weight /= margins.std()
        margins = model(pixels) @ torch.tensor([-1.0, 1.0])
        last.bias[1] -= margins.mean()
    return model


def sample_views(size: int) -> NDArray[np.uint8]:
    """8×size×size×3: noise of several grains and strengths, ramps, a flat and a two-coloured one."""
    random = np.random.default_rng(8)
    views = np.full((8, size, size, 3), 128.0)
    views[:2] += random.normal(0, (10, 60), (size, size, 3, 2)).transpose(3, 0, 1, 2)
    coarse = random.normal(0, 50, (2, size // 8, size // 8, 3))
    views[2:4] += coarse.repeat(8, axis=1).repeat(8, axis=2)
    views[4] = np.linspace(0, 255, size)[:, None, None]
    views[5] = np.linspace(255, 0, size)[:, None] * np.array([1, 0.5, 0])
    views[6] = (40, 160, 220)
    views[7, :, size // 2 :] = (250, 10, 10)
    return views.clip(0, 255).astype(np.uint8)


def package(
    folder: Path,
    architecture: dict[str, Any],
    name: str = "test",
    size: int = 64,
    model: SEResNet50 | None = None,
) -> Path:
    """Exports `model`, by default `network(architecture, size)`; returns the manifest's path."""
    return export_model(
        (model or network(architecture, size)).state_dict(), architecture, size,
        name=name, version="1", calibration=UNCALIBRATED, trained_on="nothing", out=folder,
    )  # fmt: skip
