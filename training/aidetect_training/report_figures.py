"""The pictures of `report`, each for a light and for a dark page."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

Tiers = Mapping[str, Mapping[str, Any]]
"""Figures by tier, as `evaluate` gives them."""

Rows = Sequence[Mapping[str, float]]
"""Of a `metrics.csv`."""

GROUNDS = {"light": ("#ffffff", "#1b1d21", "#c9ced6"), "dark": ("#16181c", "#e8eaed", "#4a515d")}
"""Page → colours of paper, ink and grid."""

COLOURS = {
    "light": ("#0072b2", "#b84a00", "#00795a", "#9b4f7c"),
    "dark": ("#56b4e9", "#f0a04b", "#4fc9a4", "#e0a3c5"),
}
"""Lines, told apart by the colour-blind (after Okabe and Ito 2008), with 3:1 contrast to the paper."""

MARKS = ("o", "s", "^", "D")
_COLOURS_KEPT = 48


def pictures(draw: Callable[[Figure, str], None], size: tuple[float, float]) -> dict[str, bytes]:
    """What `draw(figure, page)` paints, as PNG for each page; `size` in inches of 100 pixels."""
    found = {}
    for page, (paper, ink, grid) in GROUNDS.items():
        colours = {
            "figure.facecolor": paper, "axes.facecolor": paper, "legend.facecolor": paper,
            "text.color": ink, "axes.labelcolor": ink, "axes.edgecolor": ink, "xtick.color": ink,
            "ytick.color": ink, "grid.color": grid, "legend.edgecolor": grid, "axes.axisbelow": True,
            "axes.prop_cycle": matplotlib.cycler(color=COLOURS[page]),
        }  # fmt: skip
        with pyplot.rc_context(colours):
            figure = pyplot.figure(figsize=size, layout="constrained")
            draw(figure, page)
            found[page] = _png(figure)
            pyplot.close(figure)
    return found


def _png(figure: Figure) -> bytes:
    """Few colours: a third of the bytes, and lines and letters look the same."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100, format="png")
    small = io.BytesIO()
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLOURS_KEPT).save(small, "PNG", optimize=True)
    return small.getvalue()


def roc(tiers: Tiers) -> dict[str, bytes]:
    """One curve a tier."""

    def draw(figure: Figure, page: str) -> None:
        axes = figure.subplots()
        for tier, figures in tiers.items():
            false_rate, true_rate = np.transpose(figures["roc"])
            axes.plot(false_rate, true_rate, label=f"{tier}: AUC {figures['auc']:.3f}")
        axes.plot([0, 1], [0, 1], ":", color=GROUNDS[page][1], linewidth=1, label="chance")
        axes.set(xlabel="real images taken for AI", ylabel="AI images found", xlim=(0, 1), ylim=(0, 1))
        axes.grid(linewidth=0.6)
        axes.legend(loc="lower right")

    return pictures(draw, (5.2, 4.6))


def reliability(tiers: Tiers) -> dict[str, bytes]:
    """Share of AI images against P(AI), a panel a tier; below it how many images a bin holds."""

    def draw(figure: Figure, page: str) -> None:
        panels = figure.subplots(
            2, len(tiers), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1)
        )
        for (tier, figures), above, below in zip(tiers.items(), *panels, strict=True):
            counts, said, share = np.transpose(figures["reliability"])
            above.plot([0, 1], [0, 1], ":", color=GROUNDS[page][1], linewidth=1)
            above.plot(said, share, marker="o")
            above.set(title=f"{tier}: ECE {figures['ece']:.3f}", xlim=(0, 1), ylim=(0, 1))
            below.bar(said, counts, width=0.06)
            below.set(xlabel="P(AI) that was said")
            for axes in (above, below):
                axes.grid(linewidth=0.6)
        panels[0][0].set_ylabel("share that is AI")
        panels[1][0].set_ylabel("images")

    return pictures(draw, (3 * len(tiers) + 0.6, 4.2))


def confusion(tiers: Tiers, kind: str) -> dict[str, bytes]:
    """A matrix a tier, of `forced` choices or of the labels at the `shipped` thresholds."""
    answers = ("real", "ai") if kind == "forced" else ("real", "uncertain", "ai")

    def draw(figure: Figure, page: str) -> None:
        panels = figure.subplots(1, len(tiers), squeeze=False)[0]
        shades = matplotlib.colors.LinearSegmentedColormap.from_list(
            "", [GROUNDS[page][0], COLOURS[page][0]]
        )
        for (tier, figures), axes in zip(tiers.items(), panels, strict=True):
            matrix = figures["confusion"][kind]
            counts = np.array([[matrix[truth][answer] for answer in answers] for truth in matrix])
            shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
            axes.imshow(shares, cmap=shades, vmin=0, vmax=2)  # half the colour: letters stay readable
            for (row, column), count in np.ndenumerate(counts):
                text = f"{count:,}\n{shares[row, column]:.0%}"
                axes.text(column, row, text, ha="center", va="center")
            axes.set_xticks(range(len(answers)), [_name(answer) for answer in answers])
            axes.set_yticks(range(len(matrix)), [_name(truth) for truth in matrix])
            axes.set(title=tier, xlabel="answer")
        panels[0].set_ylabel("truth")

    return pictures(draw, (len(tiers) * (0.9 * len(answers) + 0.5) + 0.5, 2.6))


def _name(key: str) -> str:
    return "AI" if key == "ai" else key


def curves(rows: Rows, names: Sequence[tuple[str, str]]) -> dict[str, bytes]:
    """Training loss, and the validation part's figures: `names` are (column, title)."""

    def draw(figure: Figure, page: str) -> None:
        above, below = figure.subplots(2, 1, sharex=True)
        samples = [row["samples"] for row in rows]
        above.plot(samples, [row["loss"] for row in rows], marker=MARKS[0])
        above.set(ylabel="training loss")
        for (column, title), mark in zip(names, MARKS, strict=False):
            below.plot(samples, [row[column] for row in rows], marker=mark, label=title)
        below.set(xlabel="samples seen", ylabel="validation")
        below.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: f"{x:,.0f}"))
        below.legend(fontsize=9)
        for axes in (above, below):
            axes.grid(linewidth=0.6)

    return pictures(draw, (6.4, 5))


def changes(sheet: Mapping[str, Mapping[str, float]]) -> dict[str, bytes]:
    """The robustness sheet: balanced accuracy after each change, beside that of unchanged images."""

    def draw(figure: Figure, page: str) -> None:
        axes: Axes = figure.subplots()
        names = list(sheet)[::-1]
        for place, (column, title) in enumerate(
            (("balanced_accuracy", "balanced accuracy"), ("auc", "AUC"))
        ):
            values = [sheet[name][column] for name in names]
            axes.plot(values, range(len(names)), MARKS[place], label=title)
            axes.axvline(values[-1], color=COLOURS[page][place], linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="dotted: the unchanged images", ylim=(-0.7, len(names) - 0.3))
        axes.grid(linewidth=0.6, axis="x")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=2)

    return pictures(draw, (5.6, 0.24 * len(sheet) + 1.2))
