"""The network: ResNet-50 with one Squeeze-and-Excitation block and a small head.

Source: "Identifikasi konten visual buatan AI dengan ResNet dan fine-grained feature extraction",
JITET 13 (3S1). With its defaults, `SEResNet50()` is the network of that paper's method section:

- trunk: torchvision's ResNet-50, no pretrained weights, its classifier removed;
- Squeeze-and-Excitation block (Hu et al. 2018, section 3; reduction 16) after layer4;
- head: global average pooling, Linear 2048→512, ReLU, Dropout 0.3, Linear 512→2; class 0 is real,
  class 1 is AI.

Departures. Always: the normalisation with ImageNet's mean and deviation is done here instead of
by the data loader, so that every backend takes the same uint8 views. By option, for research:
what the trunk sees (`front_end`), the stem's stride and max-pooling, the number of stages, and
what is pooled; each is named in the recipe and in the model's manifest.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet50

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

FrontEnd = Literal["rgb", "residual", "rgb+residual"]
Pooling = Literal["mean", "mean+deviation"]

# Sorting network for nine values that leaves the median at index 4 (Paeth, Graphics Gems I, 1990).
_MEDIAN_OF_NINE = (
    (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3),
    (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2),
)  # fmt: skip


def median_3x3(x: Tensor) -> Tensor:
    """Median over each pixel's 3×3 neighbourhood (edges repeated), N×C×H×W → the same shape.

    Nineteen min/max pairs on shifted copies instead of a sort, which ONNX and OpenVINO run too.
    """
    height, width = x.shape[-2:]
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    p = [padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    for low, high in _MEDIAN_OF_NINE:
        p[low], p[high] = torch.minimum(p[low], p[high]), torch.maximum(p[low], p[high])
    return p[4]


class SqueezeExcitation(nn.Module):
    """Channel attention: global mean → C/16 → ReLU → C → sigmoid, which scales the maps."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.down = nn.Linear(channels, channels // reduction)
        self.up = nn.Linear(channels // reduction, channels)

    def forward(self, maps: Tensor) -> Tensor:
        gate = torch.sigmoid(self.up(functional.relu(self.down(maps.mean((2, 3))))))
        return maps * gate[:, :, None, None]


class SEResNet50(nn.Module):
    """N×3×H×W pixels, uint8 or float in 0…255, sRGB → N×2 logits (real, AI).

    `front_end`: `rgb` (the paper); `residual`, x − median3×3(x), which hides the subject and
    keeps fine detail (FerretNet); `rgb+residual`, both as six channels.
    `stem_stride` 1 and `stem_pool` False keep detail that the paper's stem averages away
    (Gragnaniello et al. 2021, section 4). `stages` 2 to 4: layers of the trunk that are kept.
    `pooling` `mean+deviation` adds each map's standard deviation to its mean.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        front_end: FrontEnd = "rgb",
        stem_stride: Literal[1, 2] = 2,
        stem_pool: bool = True,
        stages: Literal[2, 3, 4] = 4,
        pooling: Pooling = "mean",
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if front_end not in ("rgb", "residual", "rgb+residual"):
            raise ValueError(
                f"front_end is {front_end!r}; it can be 'rgb', 'residual' or 'rgb+residual'"
            )
        if stem_stride not in (1, 2) or stages not in (2, 3, 4):
            raise ValueError("stem_stride can be 1 or 2, stages 2, 3 or 4")
        if pooling not in ("mean", "mean+deviation"):
            raise ValueError(f"pooling is {pooling!r}; it can be 'mean' or 'mean+deviation'")
        self.front_end = front_end
        self.pooling = pooling
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

        trunk = resnet50(weights=None)
        if front_end == "rgb+residual" or stem_stride == 1:
            channels = 6 if front_end == "rgb+residual" else 3
            trunk.conv1 = nn.Conv2d(channels, 64, 7, stride=stem_stride, padding=3, bias=False)
            nn.init.kaiming_normal_(trunk.conv1.weight, mode="fan_out", nonlinearity="relu")
        pool = trunk.maxpool if stem_pool else nn.Identity()
        self.stem = nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu, pool)
        self.layers = nn.Sequential(trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4)[:stages]
        channels = 512 * 2 ** (stages - 2)
        self.se = SqueezeExcitation(channels)
        pooled = channels * (2 if pooling == "mean+deviation" else 1)
        self.head = nn.Sequential(
            nn.Linear(pooled, 512), nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(512, 2)
        )

    def front(self, pixels: Tensor) -> Tensor:
        """What the trunk sees: N×3×H×W pixels in 0…255 → N×(3 or 6)×H×W, about unit scale."""
        x = pixels.to(self.mean.dtype) / 255
        rgb = (x - self.mean) / self.std
        if self.front_end == "rgb":
            return rgb
        # Residuals are about a tenth of the contrast of the image itself.
        residual = (x - median_3x3(x)) * 10
        return residual if self.front_end == "residual" else torch.cat((rgb, residual), 1)

    def maps(self, pixels: Tensor) -> Tensor:
        """The last layer's maps after the SE gate, N×2048×h×w: the ground of the heat map."""
        gated: Tensor = self.se(self.layers(self.stem(self.front(pixels))))
        return gated

    def classify(self, maps: Tensor) -> Tensor:
        """N×C×h×w gated maps → N×2 logits."""
        pooled = maps.mean((2, 3))
        if self.pooling == "mean+deviation":
            variance = (maps * maps).mean((2, 3)) - pooled * pooled
            pooled = torch.cat((pooled, torch.sqrt(variance.clamp_min(0) + 1e-6)), 1)
        logits: Tensor = self.head(pooled)
        return logits

    def forward(self, pixels: Tensor) -> Tensor:
        return self.classify(self.maps(pixels))
