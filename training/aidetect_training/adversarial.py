"""White-box attacks: how few levels of change, chosen with the weights at hand, turn an answer.

FGSM (Goodfellow et al. 2015) and PGD (Madry et al. 2018) in the L∞ ball of 1…4 levels of 255, against
the global view, the one that every image has. An attacker who knows the model can always do this much;
what is measured is how little is needed. Only the network is attacked: a texture decides by counts,
which have no gradient; what turns them is seen in the robustness sheet.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from aidetect import ImageError
from aidetect._calibration import Calibration
from aidetect._image import decode
from aidetect._views import extract_views

from .augment import squash
from .data import Item
from .metrics import balanced_accuracy
from .scoring import Score

LEVELS = (1, 2, 4)
"""Radii ε of the ball, in levels of 255."""

PGD_STEPS = 10
BATCH = 16

Attack = Literal["fgsm", "pgd"]

Verdict = Callable[[Item, float], float]
"""P(AI) of the whole model for an image whose global view has this margin, all else as it was."""


def perturb(
    network: nn.Module, pixels: Tensor, labels: Tensor, attack: Attack, level: float, seed: int = 0
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


def _direction(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    """Sign of the gradient of the loss with respect to the pixels."""
    pixels = pixels.detach().requires_grad_()
    loss = functional.cross_entropy(network(pixels), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    return gradient.sign()


def attacked(
    network: nn.Module,
    items: Sequence[Item],
    size: int,
    view: str = "crop",
    verdict: Verdict | None = None,
) -> dict[str, dict[str, float]]:
    """What attacks on the global view (for `squash` on the squashed image) do, by attack and level:
    `none`, `fgsm 1/255`, `pgd 4/255`, … Unreadable images are told and left out.

    `auc`, `balanced_accuracy`: of the network alone; `lost`: how far its margin falls towards the wrong
    class on average; with `verdict` also `verdict_balanced_accuracy` and `moved`, the mean change of
    P(AI), in size: what is left of the attack where the network is only a part of the model.
    """
    network = network.eval().requires_grad_(False)
    shown = [(item, seen) for item in items if (seen := _seen(item, size, view)) is not None]
    kinds: list[tuple[str, Attack | None, float]] = [("none", None, 0)]
    kinds += [(f"{kind} {level}/255", kind, level) for kind in ("fgsm", "pgd") for level in LEVELS]
    margins: dict[str, list[float]] = {name: [] for name, _, _ in kinds}
    for first in tqdm(range(0, len(shown), BATCH), unit="batch", mininterval=1):
        chunk = shown[first : first + BATCH]
        pixels = torch.from_numpy(np.stack([seen for _, seen in chunk])).permute(0, 3, 1, 2)
        labels = torch.tensor([item.label for item, _ in chunk])
        for name, kind, level in kinds:
            given = perturb(network, pixels, labels, kind, level) if kind else pixels
            with torch.inference_mode():
                logits = network(given)
            margins[name] += (logits[:, 1] - logits[:, 0]).tolist()
    readable = [item for item, _ in shown]
    return {name: _figures(readable, margins["none"], said, verdict) for name, said in margins.items()}


def _figures(
    items: Sequence[Item], before: Sequence[float], after: Sequence[float], verdict: Verdict | None
) -> dict[str, float]:
    truth, was, now = np.array([item.label for item in items]), np.array(before), np.array(after)
    figures = {
        "images": float(len(items)),
        "auc": float(roc_auc_score(truth, now)),
        "balanced_accuracy": balanced_accuracy(truth, np.where(now >= 0, 1.0, 0.0)),
        "lost": float(((was - now) * (2 * truth - 1)).mean()),
    }
    if verdict:
        first = np.array([verdict(item, margin) for item, margin in zip(items, before, strict=True)])
        last = np.array([verdict(item, margin) for item, margin in zip(items, after, strict=True)])
        figures["verdict_balanced_accuracy"] = balanced_accuracy(truth, last)
        figures["moved"] = float(np.abs(last - first).mean())
    return figures


def verdict_of(scores: Sequence[Score], calibration: Calibration) -> Verdict | None:
    """The verdict of these images once their global view has another margin; texture and native crops,
    which the attack does not see, stay as in `scores`. None without scores of the tier "clean"."""
    clean = {score.item.path: score for score in scores if score.tier == "clean"}

    def verdict(item: Item, margin: float) -> float:
        before = clean[item.path]
        margins = np.array((margin, *before.margins[1:]), np.float32)
        return calibration.probability(margins, before.texture)

    return verdict if clean else None


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


COLUMNS = (
    ("auc", "network's AUC"),
    ("balanced_accuracy", "its balanced accuracy"),
    ("lost", "its margin loses"),
    ("verdict_balanced_accuracy", "verdict's balanced accuracy"),
    ("moved", "P(AI) moves by"),
)


def table(sheet: dict[str, dict[str, float]]) -> str:
    columns = [(key, title) for key, title in COLUMNS if key in sheet["none"]]
    lines = [f"| attack | {' | '.join(title for _, title in columns)} |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name, figures in sheet.items():
        lines.append(f"| {name} | {' | '.join(f'{figures[key]:.3f}' for key, _ in columns)} |")
    return "\n".join(lines)
