"""SE-ResNet-50 with options that are tried and not shipped: other inputs, a smaller receptive field,
shallow features beside the deep ones. The SDK does not know them, so that `export` refuses them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from aidetect._model import SEResNet50

from .recipe import ModelRecipe


class TrialSEResNet50(SEResNet50):
    """N×3×H×W pixels, uint8 or float in 0…255, sRGB → N×2 logits (real, AI).

    Beside what `SEResNet50` has:

    - `front_end` `high-pass` or `rgb+high-pass`: each colour's second difference along both axes, a
      fixed 3×3 filter that leaves nothing of flat areas and straight edges (the diagonal part of
      what SAFE takes from a wavelet);
    - `local_from` n: from the n-th stage on (1 to 4; 0: nowhere) 1×1 convolutions in place of 3×3, so
      that the receptive field stays what it is there (LaDeDa, after BagNet);
    - `joined`: the head is given the means of every stage's maps, not of the last one's alone.
    """

    high_pass: Tensor

    def __init__(self, model: ModelRecipe) -> None:
        known = {"high-pass": "rgb", "rgb+high-pass": "rgb+residual"}
        options = model.architecture()
        options["front_end"] = known.get(model.front_end, model.front_end)
        super().__init__(**options)
        self.shown = model.front_end
        line = torch.tensor([1.0, -2.0, 1.0]) / 2
        kernel = torch.outer(line, line).expand(3, 1, 3, 3).clone()
        self.register_buffer("high_pass", kernel, persistent=False)
        if model.local_from:
            for stage in self.layers[model.local_from - 1 :]:
                _narrow(stage)
        self.joined = model.joined
        if model.joined:
            shallow = sum(256 * 2**number for number in range(model.stages - 1))
            first = self.head[0]
            self.head[0] = nn.Linear(first.in_features + shallow, first.out_features)

    def front(self, pixels: Tensor) -> Tensor:
        """What the trunk sees: N×3×H×W pixels in 0…255 → N×(3 or 6)×H×W, about unit scale."""
        if "high-pass" not in self.shown:
            return super().front(pixels)
        x = pixels.to(self.mean.dtype) / 255
        padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        high = functional.conv2d(padded, self.high_pass, groups=3) * 10
        return high if self.shown == "high-pass" else torch.cat(((x - self.mean) / self.std, high), 1)

    def forward(self, pixels: Tensor) -> Tensor:
        if not self.joined:
            return super().forward(pixels)
        maps, means = self.stem(self.front(pixels)), []
        for stage in self.layers:
            maps = stage(maps)
            means.append(maps.mean((2, 3)))
        logits: Tensor = self.head(torch.cat((self.se(maps).mean((2, 3)), *means[:-1]), 1))
        return logits


def _narrow(stage: nn.Module) -> None:
    """Replaces a stage's 3×3 convolutions by 1×1 ones of the same stride."""
    for name, old in list(stage.named_modules()):
        if isinstance(old, nn.Conv2d) and old.kernel_size == (3, 3):
            new = nn.Conv2d(old.in_channels, old.out_channels, 1, old.stride, bias=False)  # type: ignore[arg-type]
            nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
            stage.set_submodule(name, new)
