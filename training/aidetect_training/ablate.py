"""Ablations: a list of trials, each a change to one base recipe, at an equal budget.

A list is a TOML file, `trials/*.toml` or any other:

    about = "what is asked"
    recipe = "default"                      # the base, by name or path
    seeds = [42]                            # each trial is run with each of them
    base_seeds = [42, 43, 44]               # the base with more: how they differ is noise
    set = { "model.stages" = 2 }            # of the base and so of all trials

    [[trial]]
    name = "rgb"
    expected = "worse: the subject shows"
    set = { "model.front_end" = "rgb" }

All trials are trained on as many samples as the base, to the end; where one is not, `samples` in it says
so. `also` names a folder of further training images. What they are measured on is the base's: its
validation part, in balanced draws, which no trial's `data` changes.

Every run has a folder in OUT with all that `train` leaves; started again, the command goes on where it
stopped. `OUT/trials.csv` has a row a run, `OUT/table.md` one a trial.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from torch import nn

from aidetect import ConfigurationError

from . import validation
from .ablate_table import BASE, row_of, table, write_csv
from .backbones import network
from .checked import build, need, read_table
from .crossval import ended
from .data import Item, SkippedList, sampler, split
from .layouts import read_dataset
from .prepare import plain
from .recipe import Precision, Recipe, load_recipe, recipe_table
from .rows import read_rows
from .train import DivergedError, fit

BUILT_IN = Path(__file__).parent / "trials"


@dataclass(frozen=True, slots=True)
class Trial:
    """`samples`: how many it is trained on, where that is not the base's number."""

    name: str
    expected: str
    set: dict[str, Any] = field(default_factory=dict)
    samples: int = 0
    also: str = ""

    def __post_init__(self) -> None:
        named = self.name.replace("-", "").replace("_", "").isalnum()
        need(named, "name", self.name, "letters, digits, - and _")
        need(bool(self.set or self.also), "set", self.set, "a change to the base")


@dataclass(frozen=True, slots=True)
class Trials:
    """`samples`: the base's budget in place of its recipe's (0); all phases of all trials are stretched
    alike."""

    about: str
    recipe: str
    trial: tuple[Trial, ...]
    set: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (42,)
    base_seeds: tuple[int, ...] = (42,)
    samples: int = 0

    def __post_init__(self) -> None:
        names = [BASE, *(trial.name for trial in self.trial)]
        need(len(set(names)) == len(names), "trial", names, f"of unlike names, none {BASE!r}")
        need(bool(self.seeds), "seeds", [], "one seed or more")
        missing = sorted({*self.seeds} - {*self.base_seeds})
        need(not missing, "base_seeds", list(self.base_seeds), f"with {missing}, as in seeds")


@dataclass(frozen=True, slots=True)
class Run:
    trial: Trial | None
    """None is the base."""
    seed: int
    recipe: Recipe

    @property
    def name(self) -> str:
        return self.trial.name if self.trial else BASE

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.seed}"


def read_trials(name_or_path: str, changes: Mapping[str, Any] | None = None, samples: int = 0) -> Trials:
    """A list by built-in name (`default`) or by path, with further `changes` for all of its trials, and
    another budget if `samples` are given.

    Raises ConfigurationError, naming file and key, for what is none.
    """
    path, read = read_table(name_or_path, BUILT_IN, "list of trials")
    trials: Trials = build(Trials, read, str(path), "")
    both = {**trials.set, **(changes or {})}
    return replace(trials, set=both, samples=samples or trials.samples)


def runs(trials: Trials) -> list[Run]:
    """The base with each of its seeds, then with each seed every trial.

    Raises ConfigurationError for a recipe that is none, for another budget that is not told, and for a
    trial that would be measured on other images or views than the base.
    """
    base = load_recipe(trials.recipe, trials.set)
    made = [Run(None, seed, _seeded(base, BASE, seed)) for seed in trials.base_seeds]
    for seed in trials.seeds:
        for trial in trials.trial:
            recipe = load_recipe(trials.recipe, {**trials.set, **trial.set})
            told = trial.samples or base.train.samples
            if recipe.train.samples != told:
                raise ConfigurationError(
                    f"trial {trial.name} trains on {recipe.train.samples:,} samples, not on {told:,}. "
                    "Where that is meant, say so with samples in it."
                )
            if _measured_on(recipe) != _measured_on(base):
                raise ConfigurationError(
                    f"trial {trial.name} changes which images are held out or what classes there are: "
                    "it cannot be compared with the base."
                )
            made.append(Run(trial, seed, _seeded(recipe, trial.name, seed)))
    for run in made:
        if run.recipe.data.classes or run.recipe.sequence.frames:
            raise ConfigurationError("trials tell real images from AI; classes and videos they do not")
    if not trials.samples:
        return made
    if not base.train.samples:
        raise ConfigurationError("samples stretch phases of samples; the base has epochs")
    factor = trials.samples / base.train.samples
    return [replace(run, recipe=_stretched(run.recipe, factor)) for run in made]


def _stretched(recipe: Recipe, factor: float) -> Recipe:
    phases = tuple(
        replace(phase, samples=max(phase.batch, round(phase.samples * factor)))
        for phase in recipe.train.phases
    )
    every = max(1, round(recipe.train.evaluate_every * factor))
    return replace(recipe, train=replace(recipe.train, phases=phases, evaluate_every=every))


def _seeded(recipe: Recipe, name: str, seed: int) -> Recipe:
    """Never stopped early: the budget is the same for all."""
    train = replace(recipe.train, seed=seed, patience=2**31)
    return replace(recipe, name=name, train=train)


def _measured_on(recipe: Recipe) -> tuple[object, ...]:
    data = recipe.data
    held_out = data.validation_origins, data.validation_share, data.split_seed
    return (*held_out, data.classes, data.left_out_origins)


def ablate(
    trials: Trials,
    data: Path,
    out: Path,
    also: Mapping[str, str | Path] | None = None,
    device: str = "auto",
    workers: int = 2,
) -> list[dict[str, Any]]:
    """Trains and measures what is missing of `runs(trials)`; returns the rows of `trials.csv`.

    `also`: folders by the names that trials give; their images of validation origins are left out.
    Raises ConfigurationError where a name has no folder, where `out` holds a run with other values, when
    a run was stopped by a signal, and as `runs` and `fit` do.
    """
    todo = runs(trials)
    items, also = read_dataset(data), also or {}
    wanted = {run.trial.also for run in todo if run.trial and run.trial.also}
    if missing := sorted(name for name in wanted if not also.get(name)):
        raise ConfigurationError(f"trials want images called {missing[0]}. Add: --also {missing[0]}=DIR")
    base = todo[0].recipe
    held_out = split(items, base.data)[1]
    if base.data.sampling == "balanced":
        draws = sampler(held_out, base.data, validation.VALIDATION_TILES, seed=1)
        held_out = [held_out[index] for index, _ in draws]
    out.mkdir(parents=True, exist_ok=True)
    bases: dict[int, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for run in todo:
        extra: list[Item] = []
        if run.trial and run.trial.also:
            extra = _of_no_origin_in(held_out, read_dataset(Path(also[run.trial.also])))
        training = [*split(items, run.recipe.data)[0], *extra]
        result = _measured(run, training, held_out, out / run.folder, device, workers)
        rows.append(row_of(run.name, run.seed, result, bases.get(run.seed)))
        if run.trial is None:
            bases[run.seed] = result
        write_csv(rows, out / "trials.csv")
        expected = {trial.name: trial.expected for trial in trials.trial}
        (out / "table.md").write_text(table(rows, expected) + "\n", encoding="utf-8")
    return rows


def _of_no_origin_in(held_out: Sequence[Item], items: Sequence[Item]) -> list[Item]:
    there = {plain(item.origin) for item in held_out}
    return [item for item in items if plain(item.origin) not in there]


def _measured(
    run: Run,
    training: Sequence[Item],
    held_out: Sequence[Item],
    folder: Path,
    device: str,
    workers: int,
) -> dict[str, Any]:
    """What `result.json` of a run holds, after training it where that is missing."""
    folder.mkdir(exist_ok=True)
    told = tomli_w.dumps(recipe_table(run.recipe))
    path = folder / "recipe.toml"
    if path.exists() and path.read_text(encoding="utf-8") != told:
        raise ConfigurationError(
            f"{folder} was run with other values than those of the list now. Remove it, or give another "
            "folder."
        )
    path.write_text(told, encoding="utf-8")
    path = folder / "result.json"
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    try:
        result = _train(run.recipe, training, held_out, folder, device, workers)
    except DivergedError as error:
        result = {"diverged": str(error)}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result) + "\n", encoding="utf-8")
    os.replace(partial, path)
    return result


def _train(
    recipe: Recipe,
    training: Sequence[Item],
    held_out: Sequence[Item],
    folder: Path,
    device: str,
    workers: int,
) -> dict[str, Any]:
    """The averaged network at its end, measured on the images `held_out` as they come."""
    before = _done(folder)
    whole = replace(recipe, data=replace(recipe.data, sampling="shuffled"))
    watch = _Watch(whole, held_out, workers, SkippedList(folder / "skipped.txt"))
    begun = _processor_seconds()
    fit(recipe, training, held_out, folder, device, workers, watch=watch)
    spent = _processor_seconds() - begun - watch.seconds
    samples = ended(recipe, training, folder)
    shown, given = watch.seen or watch.look(folder / "last.ckpt", recipe)
    trained_on = {item.generator for item in training}
    return {
        "images": len(training),
        "samples": samples,
        "loss": read_rows(folder / "metrics.csv")[-1]["loss"],
        "seconds_per_1000": 1000 * spent / (samples - before) if samples > before else None,
        "parameters": sum(parameter.numel() for parameter in network(recipe).parameters()),
        "labels": [item.label for item in shown],
        "origins": [item.origin for item in shown],
        "unseen": [bool(item.label) and item.generator not in trained_on for item in shown],
        "probabilities": [round(float(p), 5) for p in given[:, 1]],
    }


class _Watch(validation.Validation):
    """Keeps what was said at the last evaluation, and the processor's seconds that all of them took."""

    seen: tuple[list[Item], np.ndarray] | None = None
    seconds = 0.0

    def probabilities(
        self, model: nn.Module, device: torch.device, precision: Precision
    ) -> tuple[list[Item], np.ndarray]:
        begun = _processor_seconds()
        self.seen = super().probabilities(model, device, precision)
        self.seconds += _processor_seconds() - begun
        return self.seen

    def look(self, path: Path, recipe: Recipe) -> tuple[list[Item], np.ndarray]:
        """The same of the averaged network in a `last.ckpt`."""
        model = network(recipe).to(memory_format=torch.channels_last)
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["average"])
        return self.probabilities(model, torch.device("cpu"), recipe.train.precision)


def _done(folder: Path) -> int:
    """Samples that a run which goes on was trained on before."""
    if not (folder / "last.ckpt").exists():
        return 0
    state = torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True, mmap=True)
    return int(state["samples"])


def _processor_seconds() -> float:
    """Of this process and of those loader processes of its that have ended."""
    return sum(os.times()[:4])
