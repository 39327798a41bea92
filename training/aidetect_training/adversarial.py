"""White-box attacks: how few levels of change, chosen with the weights at hand, turn an answer.

FGSM (Goodfellow et al. 2015) and PGD (Madry et al. 2018) in the L∞ ball of 1…4 levels of 255, against
the global view, the one that every image has. An attacker who knows the model can always do this much;
what is measured is how little is needed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from aidetect import ImageError
from aidetect._image import decode
from aidetect._model import SEResNet50
from aidetect._views import extract_views

from .augment import squash
from .data import Item
from .metrics import balanced_accuracy

LEVELS = (1, 2, 4)
"""Radii ε of the ball, in levels of 255."""

PGD_STEPS = 10
BATCH = 16

Attack = Literal["fgsm", "pgd"]


def perturb(
    network: SEResNet50, pixels: Tensor, labels: Tensor, attack: Attack, level: float, seed: int = 0
) -> Tensor:
    """Pixels N×3×H×W in 0…255, changed by at most `level` each so that the loss of the true labels
    grows; whole levels, as a file can hold them."""
    original = pixels.float()
    if attack == "fgsm":
        moved = original + level * _direction(network, original, labels)
    else:
        generator = torch.Generator().manual_seed(seed)
        start = (2 * torch.rand(original.shape, generator=generator) - 1) * level
        moved = (original + start.to(original.device)).clamp(0, 255)
        for _ in range(PGD_STEPS):
            moved = moved + level / 4 * _direction(network, moved, labels)
            moved = original + (moved - original).clamp(-level, level)
            moved = moved.clamp(0, 255)
    return moved.round().clamp(0, 255)


def _direction(network: SEResNet50, pixels: Tensor, labels: Tensor) -> Tensor:
    """Sign of the gradient of the loss with respect to the pixels."""
    pixels = pixels.detach().requires_grad_()
    loss = functional.cross_entropy(network(pixels), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    return gradient.sign()


def attacked(
    network: SEResNet50, items: Sequence[Item], size: int, view: str = "crop"
) -> dict[str, dict[str, float]]:
    """AUC and balanced accuracy of the global view (for `squash` of the squashed image), by attack and
    level: `none`, `fgsm 1/255`, `pgd 4/255`, … Unreadable images are told and left out."""
    network = network.eval().requires_grad_(False)
    shown = [(item.label, seen) for item in items if (seen := _seen(item, size, view)) is not None]
    truth = np.array([label for label, _ in shown])
    kinds: list[tuple[str, Attack | None, float]] = [("none", None, 0)]
    kinds += [(f"{kind} {level}/255", kind, level) for kind in ("fgsm", "pgd") for level in LEVELS]
    answers: dict[str, list[float]] = {name: [] for name, _, _ in kinds}
    for first in tqdm(range(0, len(shown), BATCH), unit="batch", mininterval=1):
        chunk = shown[first : first + BATCH]
        pixels = torch.from_numpy(np.stack([seen for _, seen in chunk])).permute(0, 3, 1, 2)
        labels = torch.tensor([label for label, _ in chunk])
        for name, kind, level in kinds:
            given = perturb(network, pixels, labels, kind, level) if kind else pixels
            with torch.inference_mode():
                answers[name] += network(given).softmax(1)[:, 1].tolist()
    return {
        name: {
            "auc": float(roc_auc_score(truth, said)),
            "balanced_accuracy": balanced_accuracy(truth, np.array(said)),
        }
        for name, said in answers.items()
    }


def _seen(item: Item, size: int, view: str) -> np.ndarray | None:
    try:
        pixels = decode(item.path.read_bytes(), name=str(item.path)).pixels
    except (ImageError, OSError) as error:
        tqdm.write(f"left out: {error}")
        return None
    if view == "squash":
        return np.asarray(squash(Image.fromarray(pixels), size))
    return extract_views(pixels, "fast", size).pixels[0]


def write(sheet: dict[str, dict[str, float]], out: Path) -> None:
    """Writes `adversarial.json` and `adversarial.md` into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "adversarial.json").write_text(json.dumps(sheet, indent=1) + "\n", encoding="utf-8")
    (out / "adversarial.md").write_text(table(sheet) + "\n", encoding="utf-8")


def table(sheet: dict[str, dict[str, float]]) -> str:
    lines = ["| attack | AUC | balanced accuracy at even odds |", "|---|---|---|"]
    lines += [f"| {name} | {f['auc']:.3f} | {f['balanced_accuracy']:.3f} |" for name, f in sheet.items()]
    return "\n".join(lines)
