"""The trainer: one loop over the phases of a recipe, resumable at any moment.

Lightning Fabric supplies devices, mixed precision and checkpoint files; what is learnt, and from
which samples, stands here. `OUT/last.ckpt` is written atomically every minute, at every
evaluation and on Ctrl-C; starting again with the same folder goes on from it, to the same end as
if there had been no stop. `OUT/best.ckpt` holds the averaged weights
with the best figure on the validation part, `OUT/metrics.csv` a row per evaluation. Images that
cannot be read are left out and listed in `OUT/skipped.txt`, videos without the face that a recipe wants
in `OUT/faceless.txt`. A run that starts from given weights is
evaluated before its first step too, so that what it keeps is no worse on the validation part.
"""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from pickle import UnpicklingError
from types import TracebackType
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from aidetect import ConfigurationError

from .backbones import network
from .data import (
    Batch,
    Crops,
    Item,
    SkippedList,
    check_tiles,
    collate,
    missing_files,
    sampler,
    split,
)
from .distributed import Share, any_of, launch
from .layouts import read_dataset
from .mixing import mix
from .optimise import Criterion, new_criterion, new_optimizer
from .recipe import Phase, Recipe
from .rows import append_row, forget_rows_after
from .schedule import Average, learning_rate
from .start import Start
from .validation import Validation, laid_out, processes
from .video_data import Runs
from .widths import loaded


class DivergedError(ConfigurationError):
    """The loss is no longer a number."""


CHECKPOINT_SECONDS = 60


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    device: str = "auto",
    workers: int = 2,
    start: Start | None = None,
) -> dict[str, Any]:
    """Trains `recipe` on the images in `data`; returns the row of the best evaluation.

    `data`: a folder as `read_dataset` takes it. Raises ConfigurationError for data that do not fit the
    recipe, and as `fit` does.
    """
    training, validation = split(read_dataset(data), recipe.data)
    return fit(recipe, training, validation, out, device, workers, start=start)


def fit(
    recipe: Recipe,
    training: Sequence[Item],
    validation: Sequence[Item],
    out: Path,
    device: str = "auto",
    workers: int = 2,
    unwanted: Callable[[dict[str, float]], bool] | None = None,
    watch: Validation | None = None,
    start: Start | None = None,
) -> dict[str, Any]:
    """`train` on these two parts, of the recipe's `chosen` images.

    Tiles are at least as large as the largest phase's crops and the views; for a recipe that squashes
    them images are of any size. `unwanted` is asked after each evaluation, given its row, whether to
    end the run. `watch` is evaluated in place of draws from `validation`. `start` has weights in place
    of the seed's. Raises ConfigurationError for images of the wrong size, for a checkpoint in `out` of
    another recipe or start, and when the loss is no longer a number.
    """
    recipe = replace(recipe, train=recipe.train.over(len(training)))
    if recipe.model.view == "crop" and not recipe.sequence.frames:
        check_tiles(training, max(phase.size for phase in recipe.train.phases))
        check_tiles(validation, recipe.model.view_size)
    missing = missing_files([*training, *validation])
    out.mkdir(parents=True, exist_ok=True)
    fabric = launch(device, recipe.train)
    torch.manual_seed(recipe.train.seed)
    bare = loaded(network(recipe), start.weights) if start else network(recipe)
    bare.to(memory_format=torch.channels_last)
    model, optimizer = fabric.setup(bare, new_optimizer(bare, recipe.train))
    criterion = new_criterion(recipe, training, bare)
    average = Average(bare, recipe.train.average_decay)
    state: dict[str, Any] = {
        "model": model, "optimizer": optimizer, "average": average.values,
        "step": 0, "samples": 0, "best": {}, "stale": 0,
    }  # fmt: skip
    if recipe.train.schedule == "plateau":
        state["cuts"] = 0
    if start:
        state["start"] = start.digest
    if goes_on := (out / "last.ckpt").exists():
        _resume(fabric, out / "last.ckpt", state, average)
    if fabric.is_global_zero:
        forget_rows_after(out / "metrics.csv", state["samples"] if goes_on else -1)
    if state["stale"] >= recipe.train.patience:
        return dict(state["best"])
    skipped = SkippedList(out / "skipped.txt")
    skipped.add(missing)
    watch = watch or Validation(recipe, validation, workers, skipped)

    total, initial = recipe.train.samples, state["samples"]
    if start and not goes_on:
        _evaluate(recipe, average, watch, state, [], out, fabric)
        _save(fabric, out / "last.ckpt", state)
    saved = time.monotonic()
    losses: list[float] = []
    with _Stop() as stop, tqdm(total=total, initial=initial, unit="img", unit_scale=True) as bar:
        for batch, drawn in _batches(recipe, training, initial, workers, fabric):
            pixels, labels, _, unreadable, faceless = batch
            skipped.add(unreadable)
            watch.faceless.add(faceless)
            if len(labels) or fabric.world_size > 1:
                losses.append(_step(recipe, fabric, model, optimizer, state, pixels, labels, criterion))
            before = state["samples"]
            state["step"] += 1
            state["samples"] += drawn
            average.update(bare, state["step"])
            bar.update(drawn)
            bar.set_postfix(loss=f"{_mean(losses[-50:]):.3f}", skipped=len(skipped))
            every = recipe.train.evaluate_every
            finished = state["samples"] >= total
            evaluated = finished or state["samples"] // every != before // every
            ended = finished
            if evaluated:
                row = _evaluate(recipe, average, watch, state, losses, out, fabric)
                losses = []
                ended |= bool(unwanted and unwanted(row))
            due = time.monotonic() - saved > CHECKPOINT_SECONDS
            asked, due = any_of(fabric, stop.asked, due)
            ended |= asked or state["stale"] >= recipe.train.patience
            if ended or evaluated or due:
                _save(fabric, out / "last.ckpt", state)
                saved = time.monotonic()
            if ended:
                break
    if len(skipped):
        fabric.print(f"{len(skipped):,} images could not be read; they are listed in {skipped.path}")
    if faces := len(watch.faceless):
        fabric.print(f"no face was found in {faces:,} videos; they are listed in {watch.faceless.path}")
    return dict(state["best"])


def _step(
    recipe: Recipe,
    fabric: Fabric,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    pixels: Tensor,
    labels: Tensor,
    criterion: Criterion,
) -> float:
    """One step of the optimizer; returns the loss. Dropout depends on seed, step and part alone."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe, state["samples"], state.get("cuts", 0))
    parts = min(recipe.train.micro_batches, max(1, len(labels)))
    value = 0.0
    for part in range(parts):
        first, last = (len(labels) * end // parts for end in (part, part + 1))
        seed = recipe.train.seed + 1_000_003 * (state["step"] + 1)
        torch.manual_seed(seed + fabric.global_rank * parts + part)
        waits = fabric.world_size > 1 and part < parts - 1
        with fabric.no_backward_sync(model, enabled=waits):  # type: ignore[arg-type]
            loss = _loss(recipe, model, pixels[first:last], labels[first:last], criterion, fabric)
            loss = loss * ((last - first) / len(labels) if len(labels) else 0.0)
            value += float(loss.item())
            if not math.isfinite(value):
                raise DivergedError(
                    f"the loss is {value} after {state['samples']:,} samples. Lower train.learning_rate "
                    "and start again from the last checkpoint or in a new folder."
                )
            fabric.backward(loss)
    optimizer.step()
    optimizer.zero_grad()
    return value


def _loss(
    recipe: Recipe,
    model: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    criterion: Criterion,
    fabric: Fabric,
) -> Tensor:
    """Mean loss of these samples; of none, which other processes wait for all the same, that of a blank
    one."""
    if not len(labels):
        size = recipe.model.view_size
        run = (recipe.sequence.frames,) if recipe.sequence.frames else ()
        pixels = torch.zeros((2, *run, 3, size, size), dtype=torch.uint8, device=fabric.device)
        labels = torch.zeros(2, dtype=torch.long, device=fabric.device)
    if recipe.train.mixing == "none":
        return criterion(model(laid_out(pixels)).float(), labels)
    mixed, others, share = mix(pixels, labels, recipe.train.mixing)
    logits = model(laid_out(mixed)).float()
    return share * criterion(logits, labels) + (1 - share) * criterion(logits, others)


def _resume(fabric: Fabric, path: Path, state: dict[str, Any], average: Average) -> None:
    start = state.get("start", "")
    try:
        begun = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("start", "")
        if begun == start:
            fabric.load(path, state)
            average.load(state["average"])
    except (RuntimeError, KeyError, ValueError, OSError, EOFError, UnpicklingError) as error:
        reason = next(iter(str(error).splitlines()), "") or "it ends too early"
        raise ConfigurationError(
            f"{path} is broken or of another recipe ({reason}). Give another folder, or remove it."
        ) from None
    if begun != start:
        raise ConfigurationError(
            f"{path} was begun {'from other weights' if begun else 'without --from'}. Start the same "
            "command again, or give another folder."
        )
    state["average"] = average.values
    fabric.print(f"goes on after {state['samples']:,} samples")


def _batches(
    recipe: Recipe, items: Sequence[Item], done: int, workers: int, fabric: Fabric
) -> Iterator[tuple[Batch, int]]:
    """This process's part of each batch, and how many samples the whole of it has."""
    first = 0
    for number, phase in enumerate(recipe.train.phases):
        left = phase.samples - max(0, done - first)
        if left > 0:
            for batch in _loader(recipe, items, phase, number, phase.samples - left, workers, fabric):
                yield batch, min(phase.batch, left)
                left -= phase.batch
        first += phase.samples


def _loader(
    recipe: Recipe,
    items: Sequence[Item],
    phase: Phase,
    number: int,
    start: int,
    workers: int,
    fabric: Fabric,
) -> Iterator[Batch]:
    seed = recipe.train.seed + 1000 * number
    draws = sampler(items, recipe.data, phase.samples, seed, start)
    samples = Runs if recipe.sequence.frames else Crops
    loader = DataLoader(
        samples(items, recipe, phase, seed),
        batch_sampler=Share(draws, phase.batch, fabric.global_rank, fabric.world_size),
        collate_fn=collate,
        **processes(workers),
    )
    return iter(fabric.setup_dataloaders(loader, use_distributed_sampler=False))


def _evaluate(
    recipe: Recipe,
    average: Average,
    watch: Validation,
    state: dict[str, Any],
    losses: list[float],
    out: Path,
    fabric: Fabric,
) -> dict[str, float]:
    row: dict[str, float] = {}
    if fabric.is_global_zero:
        averaged = loaded(network(recipe), average.values)
        averaged.to(fabric.device, memory_format=torch.channels_last)
        figures = watch.figures(averaged, fabric.device, recipe.train.precision)
        row = {"samples": state["samples"], "loss": _mean(losses), **figures, "at": time.time()}
        print("  ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "at"))
        append_row(out / "metrics.csv", row)
    row = fabric.broadcast(row)
    if row[recipe.train.monitor] > state["best"].get(recipe.train.monitor, -1.0):
        state["best"], state["stale"] = row, 0
        best = {"weights": average.values, "recipe": recipe.name, "row": row}
        _save(fabric, out / "best.ckpt", {**best, "network": asdict(recipe.model)})
    else:
        state["stale"] += 1
        if "cuts" in state and state["stale"] % (recipe.train.plateau_patience + 1) == 0:
            state["cuts"] += 1
    return row


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _save(fabric: Fabric, path: Path, state: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    fabric.save(partial, state)
    if fabric.is_global_zero:
        os.replace(partial, path)
    fabric.barrier()


class _Stop:
    """Turns Ctrl-C and SIGTERM into a wish to stop after this batch; a second one stops at once."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "_Stop":
        self._former = {number: signal.signal(number, self._ask) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True
        signal.signal(number, self._former[number])
