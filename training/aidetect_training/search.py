"""Searches a space of recipes: Optuna's samplers choose, the one trainer tries, a database remembers.

A space is a TOML file with a table for each recipe key that is searched:

    ["train.learning_rate"]
    low = 1e-5
    high = 1e-3
    log = true

    ["sequence.units"]
    choices = [512, 1024, 2048]

`low` and `high` of whole numbers give whole numbers. Keys are those of `load_recipe`'s `changes`; a
choice can be any value that the key takes, a list too.

Every trial has a folder of its own in OUT with all that `train` leaves. The study lies in a database,
any that SQLAlchemy opens: many machines that share it (PostgreSQL, MySQL; SQLite for processes of one
machine) search together, and a search that was stopped goes on when it is started again. A trial that
was stopped, or whose process died, is tried again in its folder, from its last checkpoint. A trial that
is worse than the median of the others at the same evaluation is ended early, as is one that diverges.
"""

import csv
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import optuna
from matplotlib.figure import Figure
from optuna.exceptions import ExperimentalWarning, TrialPruned
from optuna.samplers import RandomSampler, TPESampler
from optuna.study import MaxTrialsCallback
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from aidetect import ConfigurationError

from .checked import read_table
from .data import split
from .layouts import read_dataset
from .recipe import Recipe, load_recipe, recipe_table, write_recipe
from .rows import read_rows
from .train import DivergedError, fit

SPACES = Path(__file__).parent / "spaces"

HEARTBEAT_SECONDS = 60
"""A trial whose process has not been heard of for twice as long is taken up by another."""

STARTUP_TRIALS = 5
"""Trials that are finished before one is ended early, or TPE leaves off drawing at random."""

Space = Mapping[str, Mapping[str, Any]]


def read_space(name_or_path: str) -> Space:
    """A space by built-in name (`video-lstm`) or by path.

    Raises ConfigurationError, naming file and key, for what is no space.
    """
    path, space = read_table(name_or_path, SPACES, "space")
    for key, wanted in space.items():
        numbers = isinstance(wanted, dict) and set(wanted) - {"log"} == {"low", "high"}
        if numbers and all(type(wanted[end]) in (int, float) for end in ("low", "high")):
            logarithmic = wanted.get("log", False)
            if wanted["low"] < wanted["high"] and (not logarithmic or wanted["low"] > 0):
                continue
        elif isinstance(wanted, dict) and set(wanted) == {"choices"} and wanted["choices"]:
            continue
        raise ConfigurationError(
            f"{path}: {key} is {wanted!r}; it has to have choices, or low and high (rising, above 0 "
            'where log is true), under a quoted key such as ["train.learning_rate"]'
        )
    if not space:
        raise ConfigurationError(f"{path} names no key to search. Add a table for one.")
    return space


def suggest(space: Space, trial: Trial) -> dict[str, Any]:
    """`changes` of `load_recipe`. Choices are told to the study as JSON, since some are lists."""
    changes = {}
    for key, wanted in space.items():
        if "choices" in wanted:
            choices = [json.dumps(choice) for choice in wanted["choices"]]
            changes[key] = json.loads(trial.suggest_categorical(key, choices))
        else:
            low, high = wanted["low"], wanted["high"]
            draw = trial.suggest_int if type(low) is type(high) is int else trial.suggest_float
            changes[key] = draw(key, low, high, log=wanted.get("log", False))
    return changes


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """`trials`: how many the study ends with, those of other machines and earlier runs counted."""

    trials: int
    storage: str
    sampler: Literal["random", "tpe"] = "random"
    seed: int = 0
    prune: bool = True


def search(
    recipe: str,
    fixed: Mapping[str, Any],
    space: Space,
    data: Path,
    out: Path,
    options: SearchOptions,
    device: str = "auto",
    workers: int = 2,
) -> FrozenTrial:
    """Runs trials until the study has so many; returns the best.

    `recipe`: name or path; `fixed`: changes that all trials share. Writes `OUT/trials.csv`,
    `OUT/importance.png` (where two trials or more ended with unlike figures) and `OUT/best.toml`, a
    recipe. Raises ConfigurationError for a database that does not open or holds a study of another
    recipe or space, and as `load_recipe` and `fit` do.
    """
    plain = load_recipe(recipe, fixed)
    study = _study(plain, options)
    told = {"recipe": recipe_table(plain), "space": json.loads(json.dumps(space))}
    if study.user_attrs.get("told", told) != told:
        raise ConfigurationError(
            f"{options.storage} holds a search of {plain.name} with other values or another space. Give "
            "another --storage."
        )
    study.set_user_attr("told", told)
    out.mkdir(parents=True, exist_ok=True)
    training, validation = split(read_dataset(data), plain.data)

    def objective(trial: Trial) -> float:
        changed = load_recipe(recipe, {**fixed, **suggest(space, trial)})
        folder = out / trial.user_attrs.get("folder", f"trial{trial.number:04d}")
        step, pruned = 0, False

        def unwanted(row: Mapping[str, float]) -> bool:
            nonlocal step, pruned
            step += 1
            trial.report(row[changed.train.monitor], step)
            pruned = options.prune and trial.should_prune()
            return pruned

        for row in read_rows(folder / "metrics.csv"):
            unwanted(row)
        try:
            if not pruned:
                fit(changed, training, validation, folder, device, workers, unwanted)
        except DivergedError as error:
            raise TrialPruned(str(error)) from None
        rows = read_rows(folder / "metrics.csv")
        figures = [row[changed.train.monitor] for row in rows]
        if rows and _ended(changed, len(training), rows[-1]["samples"], figures):
            return max(figures)
        if pruned:
            raise TrialPruned
        study.enqueue_trial(trial.params, user_attrs={"folder": folder.name})
        raise KeyboardInterrupt

    finished = (TrialState.COMPLETE, TrialState.PRUNED)
    try:
        if len(study.get_trials(deepcopy=False, states=finished)) < options.trials:
            study.optimize(objective, callbacks=[MaxTrialsCallback(options.trials, finished)])
    except KeyboardInterrupt:
        raise ConfigurationError("stopped; started again, the search goes on") from None
    finally:
        _tell(study, recipe, fixed, out)
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise ConfigurationError(
            f"no trial of {options.trials} came to its end: all diverged or were ended early. Lower the "
            "learning rates of the space."
        )
    return study.best_trial


def _study(recipe: Recipe, options: SearchOptions) -> optuna.Study:
    """The study of the recipe's name in the database, or a new one."""

    def again(study: optuna.Study, dead: FrozenTrial) -> None:
        folder = dead.user_attrs.get("folder", f"trial{dead.number:04d}")
        study.enqueue_trial(dead.params, user_attrs={"folder": folder})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            storage = optuna.storages.RDBStorage(
                options.storage,
                heartbeat_interval=HEARTBEAT_SECONDS,
                heartbeat_stale_trial_callback=again,
            )
            study = optuna.create_study(
                storage=storage,
                study_name=recipe.name,
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS),
            )
        except (SQLAlchemyError, ImportError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), "")
            raise ConfigurationError(
                f"{options.storage} does not open as a database: {reason}"
            ) from None
    # A search that goes on, or a second machine, must not draw what was drawn before.
    seed = options.seed + len(study.get_trials(deepcopy=False))
    if options.sampler == "tpe":
        study.sampler = TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)
    else:
        study.sampler = RandomSampler(seed)
    return study


def _ended(recipe: Recipe, images: int, samples: float, figures: Sequence[float]) -> bool:
    """Whether a run with these figures came to its end, and was not stopped."""
    stale = len(figures) - 1 - figures.index(max(figures))
    return samples >= recipe.train.over(images).samples or stale >= recipe.train.patience


def _tell(study: optuna.Study, recipe: str, fixed: Mapping[str, Any], out: Path) -> None:
    trials = study.get_trials(deepcopy=False)
    keys = sorted({key for trial in trials for key in trial.params})
    with open(out / "trials.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(["trial", "state", "value", "evaluations", *keys])
        for trial in trials:
            params = [changes_of(trial).get(key, "") for key in keys]
            value = "" if trial.value is None else trial.value
            evaluations = len(trial.intermediate_values)
            writer.writerow([trial.number, trial.state.name.lower(), value, evaluations, *params])
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if not complete:
        return
    best = load_recipe(recipe, {**fixed, **changes_of(study.best_trial)})
    name = f"{best.name}-best"
    about = f"{best.about}\nFound by a search: trial {study.best_trial.number} of {len(trials)}."
    write_recipe(replace(best, name=name, about=about), out / "best.toml")
    if len({trial.value for trial in complete}) > 1:
        _draw_importance(optuna.importance.get_param_importances(study), out / "importance.png")


def changes_of(trial: FrozenTrial) -> dict[str, Any]:
    """A trial's values as `suggest` gave them."""
    return {
        key: json.loads(value) if isinstance(value, str) else value
        for key, value in trial.params.items()
    }


def _draw_importance(shares: Mapping[str, float], path: Path) -> None:
    """A bar for each key: its share of what the figures vary by (fANOVA, Hutter et al. 2014)."""
    figure = Figure(figsize=(6, 0.6 + 0.35 * len(shares)), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(shares)[::-1], list(shares.values())[::-1])
    axes.set_xlabel("importance")
    figure.savefig(path, dpi=120)
