"""Images of a batch mixed with others of it; the loss counts both labels in the same measure."""

from typing import Literal

import torch
from torch import Tensor

MIXUP_ALPHA = 0.2
CUTMIX_ALPHA = 1.0


def mix(
    pixels: Tensor, labels: Tensor, kind: Literal["mixup", "cutmix"]
) -> tuple[Tensor, Tensor, float]:
    """N×…×H×W pixels → (mixed pixels, the others' labels, the share that is the image's own).

    `mixup` (Zhang et al. 2018): means with a share of Beta(0.2, 0.2), floats in 0…255. `cutmix` (Yun et
    al. 2019): a rectangle of the other, whose share is uniform. One share for all; PyTorch's seed
    decides it and who is mixed with whom.
    """
    order = torch.randperm(len(labels)).to(labels.device)
    alpha = MIXUP_ALPHA if kind == "mixup" else CUTMIX_ALPHA
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    if kind == "mixup":
        return share * pixels + (1 - share) * pixels[order], labels[order], share
    height, width = pixels.shape[-2:]
    side = (1 - share) ** 0.5
    tall, wide = round(side * height), round(side * width)
    top = int(torch.randint(height - tall + 1, ()))
    left = int(torch.randint(width - wide + 1, ()))
    mixed = pixels.clone()
    inside = (..., slice(top, top + tall), slice(left, left + wide))
    mixed[inside] = pixels[order][inside]
    return mixed, labels[order], 1 - tall * wide / (height * width)
