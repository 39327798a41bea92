"""Networks by the name in a recipe: the project's SE-ResNet-50, and torchvision's to compare it with.

All of them start from scratch, take the same uint8 pixels through the same front ends, and give one
logit a class. What differs from torchvision's: the first convolution takes six channels where the front
end gives as many, and `dropout` is that of the classifier (ResNet and DenseNet get one before their
linear layer).
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_model

from aidetect._model import IMAGENET_MEAN, IMAGENET_STD, FrontEnd, SEResNet50

from .frequency import WithFrequencies
from .recipe import Recipe
from .sequence import SequenceModel
from .trunk import TrialSEResNet50


class Torchvision(nn.Module):
    """N×3×H×W pixels, uint8 or float in 0…255, sRGB → N×`classes` logits, by one of torchvision's
    classifiers, such as `vgg16` or `mobilenet_v2`."""

    mean: Tensor
    std: Tensor
    front = SEResNet50.front

    def __init__(self, name: str, front_end: FrontEnd, dropout: float, classes: int) -> None:
        super().__init__()
        self.front_end = front_end
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.net = get_model(name, weights=None, num_classes=classes)
        if front_end == "rgb+residual":
            _widen(self.net)
        head = "fc" if hasattr(self.net, "fc") else "classifier"
        classifier = getattr(self.net, head)
        if isinstance(classifier, nn.Linear):
            setattr(self.net, head, nn.Sequential(nn.Dropout(dropout), classifier))
        else:
            for part in classifier:
                if isinstance(part, nn.Dropout):
                    part.p = dropout

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.net(self.front(pixels))
        return logits


class Small(nn.Module):
    """N×3×H×W pixels, uint8 or float in 0…255, sRGB → N×`classes` logits, by four convolutions of stride
    2 with batch normalisation, 16 to 128 channels: a tenth of a million weights, for videos on a CPU."""

    mean: Tensor
    std: Tensor
    front = SEResNet50.front

    def __init__(self, front_end: FrontEnd, dropout: float, classes: int) -> None:
        super().__init__()
        self.front_end = front_end
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        widths = (6 if front_end == "rgb+residual" else 3, 16, 32, 64, 128)
        blocks = [
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
            for a, b in pairwise(widths)
        ]
        self.body = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], classes))

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.body(self.front(pixels)).mean((2, 3)))
        return logits


def _widen(net: nn.Module) -> None:
    """Gives the first convolution six channels."""
    name, old = next((n, m) for n, m in net.named_modules() if isinstance(m, nn.Conv2d))
    new = nn.Conv2d(
        6, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None
    )  # type: ignore[arg-type]
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    net.set_submodule(name, new)


def network(recipe: Recipe) -> nn.Module:
    """The network of a recipe, with weights that PyTorch's seed decides: pixels N×3×H×W in 0…255, of a
    recipe of videos N×T×3×H×W, → N×classes logits, in the order of `recipe.data.names`."""
    model, classes = recipe.model, len(recipe.data.names)
    made: nn.Module
    if model.backbone == "se-resnet50":
        made = TrialSEResNet50(model) if model.on_trial else SEResNet50(**model.architecture())
        if classes != 2:
            last = made.head[-1]
            made.head[-1] = nn.Linear(last.in_features, classes)
    elif model.backbone == "small":
        made = Small(model.front_end, model.dropout, classes)
    else:
        name = model.backbone.replace("-", "_")
        made = Torchvision(name, model.front_end, model.dropout, classes)
    if model.frequency:
        made = WithFrequencies(made, model.dropout, classes)
    if recipe.sequence.frames:
        made = SequenceModel(made, recipe.sequence, classes)
    if model.initialisation == "glorot":
        for layer in weighted_layers(made):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return made


def weighted_layers(model: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    """Convolutions and linear layers, in order."""
    return (layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear))


def cost(model: nn.Module, size: int) -> dict[str, float]:
    """What one image of `size`×`size` pixels costs: `parameters`, and `gflops`, billions of
    multiplications and additions of a forward pass."""
    pixels = torch.zeros((1, 3, size, size), dtype=torch.uint8)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.eval()(pixels)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "gflops": counter.get_total_flops() / 1e9,
    }
