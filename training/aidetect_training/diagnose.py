"""Why a network does not learn: what its layers pass on, and what comes back to them.

Of one batch of augmented training samples, layer by layer: how much of the output differs from image
to image, how many ReLU units are dead (0 at every place of every image, so that no gradient passes),
and the gradient of the weights against the weights themselves. Once for the untrained network that the
recipe's seed makes, and once for the network where a training folder stands. Writes `diagnosis.json`,
`diagnosis.md` and a picture with the run's loss curve.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from aidetect import ConfigurationError

from .backbones import network
from .data import Crops, Item, collate, sampler, split
from .layouts import read_dataset
from .recipe import Phase, Recipe
from .rows import read_rows
from .widths import loaded

BATCH = 32


def diagnose(recipe: Recipe, data: Path, run: Path, out: Path) -> dict[str, Any]:
    """Compares the untrained network with that of `run/last.ckpt`; returns what `diagnosis.json` holds.

    Raises ConfigurationError where `run` has no checkpoint of this recipe.
    """
    training, _ = split(read_dataset(data), recipe.data)
    pixels, labels = _batch(recipe, training)
    torch.manual_seed(recipe.train.seed)
    untrained, trained = network(recipe), network(recipe)
    try:
        state = torch.load(run / "last.ckpt", map_location="cpu", weights_only=True)
        loaded(trained, state["model"])
    except (OSError, RuntimeError, KeyError) as error:
        raise ConfigurationError(
            f"{run} has no last.ckpt of {recipe.name} ({next(iter(str(error).splitlines()), '')}). "
            "Train first, or name the same changes."
        ) from None
    if state.get("start"):
        raise ConfigurationError(
            f"{run} was begun from given weights; what is compared here is a network with what its seed "
            "gave. Give a run without --from."
        )
    rows = read_rows(run / "metrics.csv")
    found = {
        "samples": state["samples"],
        "chance": math.log(len(recipe.data.names)),
        "curve": [{key: row[key] for key in ("samples", "loss", recipe.train.monitor)} for row in rows],
        "untrained": examine(untrained, pixels, labels),
        "trained": examine(trained, pixels, labels),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "diagnosis.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (out / "diagnosis.md").write_text(table(found) + "\n", encoding="utf-8")
    _draw(found, out / "diagnosis.png")
    return found


def _batch(recipe: Recipe, items: Sequence[Item]) -> tuple[Tensor, Tensor]:
    phase = Phase(recipe.train.phases[0].size, BATCH, BATCH)
    samples = Crops(items, recipe, phase, recipe.train.seed)
    batch = collate([samples[draw] for draw in sampler(items, recipe.data, BATCH, recipe.train.seed)])
    return batch.pixels, batch.labels


def examine(model: nn.Module, pixels: Tensor, labels: Tensor) -> dict[str, Any]:
    """`loss`, `margin_deviation` (standard deviation over the images of the first two logits'
    difference), and `layers`: of each convolution and linear layer, as they follow each other, `name`;
    `varies`, the share of the output's mean square that is variance over the images; `dead`, the share
    of dead units in the ReLU behind it, None where there is none; `gradient`, ‖gradient‖ / ‖weights‖.

    As in training, but without dropout, so that only the weights decide.
    """
    layers: list[dict[str, Any]] = []
    hooks = []

    def weighted(name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            values = output.detach().float()
            power = float(values.square().mean())
            varies = float(values.var(0, correction=0).mean()) / power if power else 0.0
            layers.append({"name": name, "varies": varies, "dead": None})

        hooks.append(module.register_forward_hook(hook))

    def rectified(module: nn.Module) -> None:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            alive = (output.detach() > 0).flatten(2).any(2) if output.ndim > 2 else output.detach() > 0
            layers[-1]["dead"] = 1 - float(alive.any(0).float().mean())

        hooks.append(module.register_forward_hook(hook))

    model.train()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weighted(name, module)
        elif isinstance(module, nn.ReLU | nn.ReLU6):
            rectified(module)
        elif isinstance(module, nn.Dropout):
            module.eval()
    model.zero_grad()
    logits = model(pixels)
    loss = functional.cross_entropy(logits, labels)
    loss.backward()
    for hook in hooks:
        hook.remove()
    modules = dict(model.named_modules())
    for layer in layers:
        weight = modules[layer["name"]].weight
        layer["gradient"] = float(weight.grad.norm() / weight.detach().norm())
    margins = (logits[:, 1] - logits[:, 0]).detach()
    return {"loss": loss.item(), "margin_deviation": float(margins.std()), "layers": layers}


def table(found: dict[str, Any]) -> str:
    """A row a layer, untrained → trained, in Markdown."""
    before, after = found["untrained"], found["trained"]
    lines = [
        f"Loss of one batch {before['loss']:.4f} → {after['loss']:.4f} after {found['samples']:,} "
        f"samples (chance {found['chance']:.4f}); deviation of the margin over its images "
        f"{before['margin_deviation']:.2g} → {after['margin_deviation']:.2g}.",
        "",
        "| layer | varies with the image | dead ReLU units | gradient / weights |",
        "|---|---|---|---|",
    ]
    for one, other in zip(before["layers"], after["layers"], strict=True):
        dead = "–" if one["dead"] is None else f"{one['dead']:.2f} → {other['dead']:.2f}"
        lines.append(
            f"| {one['name']} | {one['varies']:.1e} → {other['varies']:.1e} | {dead} "
            f"| {one['gradient']:.1e} → {other['gradient']:.1e} |"
        )
    return "\n".join(lines)


def _draw(found: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 4), layout="constrained")
    curve = found["curve"]
    left.plot([row["samples"] for row in curve], [row["loss"] for row in curve], marker="o")
    left.axhline(found["chance"], color="grey", linestyle=":", label="chance")
    left.set(title="training loss", xlabel="samples")
    left.legend()
    for state in ("untrained", "trained"):
        layers = found[state]["layers"]
        middle.plot([max(layer["gradient"], 1e-12) for layer in layers], marker=".", label=state)
        right.plot([layer["dead"] for layer in layers if layer["dead"] is not None], marker=".")
    middle.set(title="gradient / weights", xlabel="layer", yscale="log")
    middle.legend()
    right.set(title="share of dead ReLU units", xlabel="layer", ylim=(-0.05, 1.05))
    figure.savefig(path)
    pyplot.close(figure)
