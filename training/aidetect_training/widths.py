"""How many channels there are inside the blocks of a pruned network: its weights alone tell it.

A manifest's architecture and a recipe name a network at its full width; whoever loads weights into one
does it with `loaded`, so that those of a pruned one fit too.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

Inner = tuple[nn.Conv2d, nn.BatchNorm2d, nn.Conv2d]
"""A convolution and its normalisation, whose channels can go, and the convolution that reads them."""


def loaded(network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """`network`, made as narrow as `weights`, its state dict, and with these weights.

    Raises RuntimeError where they are of another network.
    """
    for name, (conv, norm, reader) in inner(network):
        weight = weights.get(name)
        if weight is not None and weight.ndim == 4 and 0 < len(weight) < norm.num_features:
            keep(conv, norm, reader, torch.arange(len(weight)))
    network.load_state_dict(dict(weights))
    return network


def inner(network: nn.Module) -> Iterator[tuple[str, Inner]]:
    """What can be pruned, each with the name of its weights: both inner widths of every bottleneck."""
    for name, block in network.named_modules():
        if isinstance(block, Bottleneck):
            yield f"{name}.conv1.weight", (block.conv1, block.bn1, block.conv2)
            yield f"{name}.conv2.weight", (block.conv2, block.bn2, block.conv3)


@torch.no_grad()
def keep(
    conv: nn.Conv2d, norm: nn.BatchNorm2d, reader: nn.Conv2d, kept: Tensor, read: Tensor | None = None
) -> None:
    """Leaves the channels `kept`; `read` are the new weights of what reads them, without it those of
    before."""
    reader.weight = nn.Parameter(reader.weight[:, kept] if read is None else read)
    conv.weight = nn.Parameter(conv.weight[kept])
    for name in ("weight", "bias"):
        setattr(norm, name, nn.Parameter(getattr(norm, name)[kept]))
    norm.running_mean, norm.running_var = norm.running_mean[kept], norm.running_var[kept]  # type: ignore[index]
    conv.out_channels = norm.num_features = reader.in_channels = len(kept)
