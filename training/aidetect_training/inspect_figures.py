"""The pictures of `inspect`: class distribution, image sizes, mean colours, a sheet of samples."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from PIL import Image

if TYPE_CHECKING:
    from .inspect import Look

CLASSES = (("real", "#0072b2"), ("AI", "#d55e00"))
"""Names and colours of labels 0 and 1: two that the colour-blind tell apart (Okabe and Ito 2008)."""

_SHOWN_GROUPS = 20
_SHEET = (8, 12)
"""Rows of each class and columns of the sample sheet."""


def draw(looks: "Sequence[Look]", out: Path, rng: random.Random) -> None:
    """Writes `classes.png`, `sizes.png`, `colours.png` and `samples.png` into `out`."""
    _save(out / "classes.png", lambda axes: _classes(axes, looks), (9, 7))
    _save(out / "sizes.png", lambda axes: _sizes(axes, looks), (7, 7))
    _save(out / "colours.png", lambda axes: _colours(axes, looks), (7, 4.5))
    _sheet(looks, rng).save(out / "samples.png")


def _save(path: Path, paint: Callable[[Axes], None], size: tuple[float, float]) -> None:
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    paint(axes)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _classes(axes: Axes, looks: "Sequence[Look]") -> None:
    counts = Counter((one.item.label, one.item.group) for one in looks)
    shown = sorted(counts.most_common(_SHOWN_GROUPS), key=lambda pair: (pair[0][0], pair[1]))
    axes.barh(
        [f"{CLASSES[label][0]}: {group}" for (label, group), _ in shown],
        [count for _, count in shown],
        color=[CLASSES[label][1] for (label, _), _ in shown],
    )
    totals = Counter(one.item.label for one in looks)
    axes.set_title(
        f"{totals[0]:,} real, {totals[1]:,} AI; the {len(shown)} largest of {len(counts)} groups"
    )
    axes.set_xlabel("images")


def _sizes(axes: Axes, looks: "Sequence[Look]") -> None:
    for label, (name, colour) in enumerate(CLASSES):
        own = [one for one in looks if one.item.label == label]
        axes.scatter(
            [one.width for one in own], [one.height for one in own],
            s=8, alpha=0.35, color=colour, label=f"{name} ({len(own):,})",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="width in pixels", ylabel="height in pixels")
    axes.set_title("Image sizes")
    axes.legend()


def _colours(axes: Axes, looks: "Sequence[Look]") -> None:
    bins = np.linspace(0, 255, 33)
    for label, (name, _) in enumerate(CLASSES):
        means = np.array([one.colour for one in looks if one.item.label == label]).reshape(-1, 3)
        for channel, colour in enumerate(("red", "green", "blue")):
            share = np.histogram(means[:, channel], bins)[0] / max(1, len(means))
            axes.plot(bins[:-1], share, color=f"tab:{colour}", linestyle="-" if label else ":")
        axes.plot([], [], color="black", linestyle="-" if label else ":", label=name)
    axes.set(
        xlabel="mean of the channel, 0…255", ylabel="share of the class", title="Mean R, G, B of images"
    )
    axes.legend()


def _sheet(looks: "Sequence[Look]", rng: random.Random) -> Image.Image:
    """Real samples above, AI samples below a line."""
    rows, columns = _SHEET
    side = 96
    sheet = Image.new("RGB", (columns * side, 2 * rows * side + 8), "white")
    for label in (0, 1):
        own = [one for one in looks if one.item.label == label]
        for place, one in enumerate(rng.sample(own, min(len(own), rows * columns))):
            with Image.open(BytesIO(one.thumbnail)) as picture:
                left, top = place % columns * side, (place // columns + label * rows) * side + 8 * label
                sheet.paste(
                    picture, (left + (side - picture.width) // 2, top + (side - picture.height) // 2)
                )
    return sheet
