"""An exported model with fewer channels, which every processor runs faster: a package beside the one
that it is made of.

Of each bottleneck of the trunk a share of the inner channels goes, those with the smallest scales of
batch normalisation (Liu et al. 2017, "Network Slimming", section 3, here without its sparse training).
What a block adds to, the gate and the head keep their widths, so that heat maps stay. What the channels
that went had to say, those that stay take over as well as they can: least squares over the places of
images, as in He et al. 2017, "Channel Pruning", section 3.1, but in one step, and for the nine taps of a
3×3 convolution alike. At last batch normalisation's statistics are taken anew from the same images.
Nothing is trained and no label is looked at; calibration and texture are the model's own. What is made
can be trained on (`train --from`), and pruned again.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aidetect import ConfigurationError
from aidetect._model import SEResNet50
from aidetect._weights import ModelPackage

from .export import write_beside, written
from .scoring import load_network
from .widths import inner, keep

BLOCK = 16
"""Channels are kept in such numbers: runtimes compute so many at once."""

BATCH = 16
RIDGE = 1e-3
"""Of the mean square of a channel, added to each of them before the least squares are solved."""

ABOUT = "Of the inner channels {share:.0%} are taken out; for ONNX Runtime and OpenVINO."


def prune(package: ModelPackage, views: np.ndarray, share: float, out: Path) -> Path:
    """Writes `package` without a `share` of its inner channels into the folder `out`; returns its
    manifest.

    `views`: N×S×S×3 uint8, as `quantize.views_of` gives them, of images that no result is measured on.
    Raises ConfigurationError for a share that is not between 0 and 1 or that removes nothing, and for a
    package in int8.
    """
    try:
        network = load_network(package)
    except RuntimeError:
        raise ConfigurationError(
            f"{package.manifest.name} is in int8. Give the model that it is made of."
        ) from None
    made = pruned(network, views, share)
    suffix = f"pruned{share * 100:.0f}"
    data, graph = written(made, f"{package.manifest.name}-{suffix}")
    return write_beside(package, suffix, ABOUT.format(share=share), data, graph, out)


def pruned(network: SEResNet50, views: np.ndarray, share: float) -> SEResNet50:
    """A copy of `network`, in evaluation mode, without a `share` of the inner channels; see `prune`."""
    if not 0 < share < 1:
        raise ConfigurationError(f"share is {share}: it has to be above 0 and below 1")
    network = copy.deepcopy(network).eval()
    parts = [part for _, part in inner(network)]
    products = _products(network, [norm for _, norm, _ in parts], views)
    before = sum(norm.num_features for _, norm, _ in parts)
    for part, product in zip(parts, products, strict=True):
        _narrow(*part, product, share)
    if sum(norm.num_features for _, norm, _ in parts) == before:
        raise ConfigurationError(
            f"share is {share}: no block of {BLOCK} channels goes. Give a larger one."
        )
    _normalise_anew(network, views)
    return network


def _run(network: nn.Module, views: np.ndarray) -> None:
    with torch.inference_mode():
        for first in range(0, len(views), BATCH):
            network(torch.from_numpy(views[first : first + BATCH]).permute(0, 3, 1, 2))


def _products(network: nn.Module, norms: list[nn.BatchNorm2d], views: np.ndarray) -> list[Tensor]:
    """Of each normalisation's channels, after ReLU, the sums over all places of their products, C×C."""
    sums: dict[nn.Module, Tensor] = {}

    def add(norm: nn.Module, _: Any, normalised: Tensor) -> None:
        seen = functional.relu(normalised).permute(1, 0, 2, 3).flatten(1)
        sums[norm] = sums.get(norm, torch.zeros(())) + seen @ seen.T

    hooks = [norm.register_forward_hook(add) for norm in norms]
    _run(network, views)
    for hook in hooks:
        hook.remove()
    return [sums[norm].clone() for norm in norms]


def _narrow(
    conv: nn.Conv2d, norm: nn.BatchNorm2d, reader: nn.Conv2d, product: Tensor, share: float
) -> None:
    channels = norm.num_features
    left = max(BLOCK, round(channels * (1 - share) / BLOCK) * BLOCK)
    if left == channels:
        return
    kept = norm.weight.abs().topk(left).indices.sort().values
    small = product[kept][:, kept]
    small += RIDGE * product.diagonal().mean() * torch.eye(left)
    # What each channel is in terms of those that stay, C×K: X ≈ X[kept] as least squares have it.
    shares = torch.linalg.solve(small, product[kept]).T
    with torch.no_grad():
        read = torch.einsum("ochw,ck->okhw", reader.weight, shares)
    keep(conv, norm, reader, kept, read)


def _normalise_anew(network: nn.Module, views: np.ndarray) -> None:
    """Batch normalisation's statistics from these views alone; dropout stays off."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    _run(network, views)
    network.eval()
