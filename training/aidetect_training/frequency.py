"""A branch that sees frequencies, beside the network that a recipe names.

As Xu et al. 2020, "Learning in the Frequency Domain", section 3, have it, each frequency of an 8×8 block
is a channel; taken are the logarithms of magnitudes, as Frank et al. 2020, "Leveraging Frequency
Analysis for Deep Fake Image Recognition", section 4, do of whole images. The SDK does not know it.
"""

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn
from torch.nn import functional

BLOCK = 8
WIDTH = 128


class BlockFrequencies(nn.Module):
    """N×3×H×W pixels, uint8 or float in 0…255, sRGB → N×192×⌊H/8⌋×⌊W/8⌋: log(1 + |c|) of each block's
    orthonormal DCT, 64 of each colour, a row of a block's frequencies after the other."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        basis = dct(np.eye(BLOCK), norm="ortho", axis=0)
        planes = np.einsum("ui,vj->uvij", basis, basis).reshape(-1, 1, BLOCK, BLOCK)
        self.register_buffer(
            "kernel", torch.from_numpy(planes).float().repeat(3, 1, 1, 1), persistent=False
        )

    def forward(self, pixels: Tensor) -> Tensor:
        # In bfloat16 a block's mean would leak into all of its frequencies.
        with torch.autocast(pixels.device.type, enabled=False):
            found = functional.conv2d(pixels.to(self.kernel.dtype), self.kernel, stride=BLOCK, groups=3)
            return found.abs().log1p()


class WithFrequencies(nn.Module):
    """N×3×H×W pixels → N×`classes` logits: those of `network` and those of two convolutions over the
    blocks' frequencies, added up."""

    def __init__(self, network: nn.Module, dropout: float, classes: int) -> None:
        super().__init__()
        self.network = network
        self.frequencies = nn.Sequential(
            BlockFrequencies(),
            nn.BatchNorm2d(3 * BLOCK**2),
            nn.Conv2d(3 * BLOCK**2, WIDTH, 1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(inplace=True),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(WIDTH, classes))

    def forward(self, pixels: Tensor) -> Tensor:
        seen = self.frequencies(pixels).mean((2, 3))
        logits: Tensor = self.network(pixels) + self.classifier(seen)
        return logits
