"""A recipe: everything that makes a model, in one readable TOML file that checks itself.

What it says of the images is in `recipe_images`."""

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tomli_w

from aidetect import ConfigurationError

from .checked import build, change, need, read_table
from .recipe_images import AugmentRecipe, DataRecipe

BUILT_IN = Path(__file__).parent / "recipes"

Precision = Literal["bf16-mixed", "16-mixed", "32-true"]
"""What a network computes in; `bf16-mixed` only where the device can, see `distributed.computable`."""

SE_RESNET50_OPTIONS = ("front_end", "stem_stride", "stem_pool", "stages", "pooling", "dropout")


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """What the network is shown: squares of `view_size` pixels, which are crops, or whole images
    squashed to that square whatever their shape; and which network it is. `se-resnet50` has the
    options of `SEResNet50` (see its docstring), the other backbones `front_end` and `dropout` alone
    (see `backbones.py`); any has `frequency`, a branch that sees those of blocks (see `frequency.py`).
    `initialisation`: each library's own, or `glorot`, which is Keras's:
    uniform as in Glorot and Bengio 2010, biases 0. `high-pass` inputs, `local_from` and `joined` are
    trials for `se-resnet50`, which the SDK does not run: see `trunk.TrialSEResNet50`."""

    front_end: Literal["rgb", "residual", "rgb+residual", "high-pass", "rgb+high-pass"] = "rgb"
    stem_stride: Literal[1, 2] = 2
    stem_pool: bool = True
    stages: Literal[2, 3, 4] = 4
    pooling: Literal["mean", "mean+deviation"] = "mean"
    dropout: float = 0.3
    view: Literal["crop", "squash"] = "crop"
    view_size: int = 224
    backbone: Literal[
        "se-resnet50", "vgg16", "mobilenet-v2", "mobilenet-v3-small", "resnet50",
        "efficientnet-b0", "densenet121", "small",
    ] = "se-resnet50"  # fmt: skip
    initialisation: Literal["library", "glorot"] = "library"
    frequency: bool = False
    local_from: Literal[0, 1, 2, 3, 4] = 0
    joined: bool = False

    def __post_init__(self) -> None:
        need(0 <= self.dropout < 1, "dropout", self.dropout, "from 0 to below 1")
        need(self.view_size >= 32, "view_size", self.view_size, "32 or more")
        if self.backbone != "se-resnet50":
            need("high-pass" not in self.front_end, "front_end", self.front_end, "another for it")
            for key in ("stem_stride", "stem_pool", "stages", "pooling", "local_from", "joined"):
                value = getattr(self, key)
                default = value == type(self).__dataclass_fields__[key].default
                need(default, key, value, f"left out: {self.backbone} has no such option")

        need(self.local_from <= self.stages, "local_from", self.local_from, "a stage that is kept")
        plain = self.pooling == "mean" or not self.joined
        need(plain, "joined", self.joined, "false with another pooling than mean")

    @property
    def on_trial(self) -> bool:
        """Whether it has options that `SEResNet50` lacks."""
        return "high-pass" in self.front_end or self.local_from > 0 or self.joined

    def architecture(self) -> dict[str, Any]:
        """Keyword arguments of `SEResNet50`, without the options on trial."""
        return {key: getattr(self, key) for key in SE_RESNET50_OPTIONS}


@dataclass(frozen=True, slots=True)
class Phase:
    """`samples` crops of side `size` pixels, `batch` at a time; or, instead of a number of samples,
    `epochs`: so many times as many as there are training images."""

    size: int
    samples: int = 0
    batch: int = 128
    epochs: int = 0

    def __post_init__(self) -> None:
        need(self.size >= 32, "size", self.size, "32 or more")
        need(self.batch >= 2, "batch", self.batch, "2 or more")
        need(self.epochs >= 0, "epochs", self.epochs, "1 or more, or left out for samples")
        if self.epochs:
            need(self.samples == 0, "samples", self.samples, "left out where epochs are given")
        else:
            need(self.samples >= self.batch, "samples", self.samples, "one batch or more, or epochs")


@dataclass(frozen=True, slots=True)
class TrainRecipe:
    """`optimizer`, with PyTorch's defaults but for what stands here (sgd: momentum 0.9), under one
    cosine over all phases, `smooth` or in `steps` at each evaluation, or at a `constant` rate, or under
    other schedules: see `schedule.learning_rate`. `plateau_patience` is of `plateau` alone. Early
    stopping after `patience` evaluations without a better `monitor` on the validation part; the
    weights kept are those with the best one. Evaluations come every `evaluate_every` samples, or
    after each epoch where a phase has `epochs`. An `average_decay` of 0 averages no weights.
    `micro_batches`: parts in which one device computes a batch, one after the other, where it has not
    the memory for the whole; batch normalisation then sees the parts, as it does on several devices.
    `class_weights` `balanced` weighs the loss of each class by the inverse of its images' number.
    `loss`, and `contrastive`, the weight of a supervised contrastive loss beside: see
    `optimise.new_criterion`. `mixing`: see `mixing.mix`. `positive_last`: only signs of AI count, see
    `optimise.only_signs_of_ai`."""

    phases: tuple[Phase, ...] = (Phase(size=224, samples=640_000, batch=128),)
    learning_rate: float = 1e-4
    schedule: Literal["smooth", "steps", "constant", "one-cycle", "plateau"] = "smooth"
    weight_decay: float = 1e-5
    warmup: float = 0.02
    label_smoothing: float = 0.05
    average_decay: float = 0.999
    evaluate_every: int = 40_000
    monitor: Literal["auc", "accuracy", "balanced_accuracy"] = "auc"
    patience: int = 5
    micro_batches: int = 1
    precision: Precision = "bf16-mixed"
    seed: int = 42
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "radam"] = "adamw"
    class_weights: Literal["none", "balanced"] = "none"
    loss: Literal["cross-entropy", "mse", "focal"] = "cross-entropy"
    plateau_patience: int = 2
    mixing: Literal["none", "mixup", "cutmix"] = "none"
    contrastive: float = 0.0
    positive_last: bool = False

    def __post_init__(self) -> None:
        need(bool(self.phases), "phases", [], "one phase or more")
        need(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "above 0, below 1")
        need(0 <= self.weight_decay < 1, "weight_decay", self.weight_decay, "from 0 to below 1")
        need(0 <= self.warmup < 1, "warmup", self.warmup, "a share of the samples, below 1")
        need(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "from 0 to below 1")
        need(0 <= self.average_decay < 1, "average_decay", self.average_decay, "from 0 to below 1")
        need(self.evaluate_every >= 1, "evaluate_every", self.evaluate_every, "1 or more")
        need(self.patience >= 1, "patience", self.patience, "1 or more")
        least = min((phase.batch for phase in self.phases), default=1)
        need(1 <= self.micro_batches <= least, "micro_batches", self.micro_batches, "1 to a batch")
        need(0 <= self.seed < 2**32, "seed", self.seed, "from 0 to below 2**32")
        plain = self.label_smoothing == 0 and self.class_weights == "none"
        need(
            self.loss == "cross-entropy" or plain, "loss", self.loss,
            "cross-entropy where label_smoothing or class_weights are given",
        )  # fmt: skip
        need(self.plateau_patience >= 0, "plateau_patience", self.plateau_patience, "0 or more")
        need(self.contrastive >= 0, "contrastive", self.contrastive, "a weight, 0 or more")
        mixed = self.mixing != "none"
        need(not (mixed and self.contrastive), "contrastive", self.contrastive, "0 with mixing")

    @property
    def samples(self) -> int:
        return sum(phase.samples for phase in self.phases)

    def over(self, images: int) -> "TrainRecipe":
        """The same for a training part of so many images: every epoch a phase of its own, which
        ends with a smaller batch and is followed by an evaluation."""
        if not any(phase.epochs for phase in self.phases):
            return self
        phases: list[Phase] = []
        for phase in self.phases:
            epoch = Phase(phase.size, images, min(phase.batch, images))
            phases += [epoch] * phase.epochs or [phase]
        return replace(self, phases=tuple(phases), evaluate_every=images)


@dataclass(frozen=True, slots=True)
class SequenceRecipe:
    """How videos are read; without `frames` the recipe is one of images.

    A run of `frames` frames, `rate` a second (0: as many as the video has), from a random moment in
    training, from the middle in validation. The backbone turns each into features; `reader` says what
    reads these: a recurrent network of so many `units` and `layers`, or the `mean` of the probabilities
    that each frame has by itself. `dropout` lies between the layers and before the classifier.
    `changes` gives the recurrent network, beside a frame's features, how they differ from those of the
    frame before. With `faces` the square around the largest face is cut out of the frames before they
    are squashed, see `faces.py`."""

    frames: int = 0
    rate: float = 0.0
    reader: Literal["lstm", "bilstm", "gru", "mean"] = "lstm"
    units: int = 512
    layers: int = 1
    dropout: float = 0.3
    changes: bool = False
    faces: bool = False

    def __post_init__(self) -> None:
        need(self.frames == 0 or self.frames >= 2, "frames", self.frames, "2 or more, or 0 for images")
        need(0 <= self.rate <= 1000, "rate", self.rate, "frames a second, or 0 for the video's own")
        need(self.units >= 1, "units", self.units, "1 or more")
        need(1 <= self.layers <= 8, "layers", self.layers, "from 1 to 8")
        need(0 <= self.dropout < 1, "dropout", self.dropout, "from 0 to below 1")
        need(not self.faces or self.frames > 0, "faces", True, "left out where no frames are read")


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    about: str
    model: ModelRecipe = field(default_factory=ModelRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    train: TrainRecipe = field(default_factory=TrainRecipe)
    sequence: SequenceRecipe = field(default_factory=SequenceRecipe)

    def __post_init__(self) -> None:
        branched = self.model.frequency and self.sequence.frames > 0
        need(not branched, "frequency", True, "left out where videos are read")
        squashed = self.model.view == "squash" or not self.sequence.faces
        need(squashed, "model.view", self.model.view, "squash where faces are cut out")


def load_recipe(name_or_path: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Reads a recipe by built-in name (`default`) or by path, with other values for some of its keys,
    such as `{"train.learning_rate": 1e-3, "train.phases.0.batch": 8}`, as TOML would give them.

    Raises ConfigurationError, naming the file and the key, for a missing file, broken TOML, an
    unknown key or a value of the wrong kind.
    """
    path, table = read_table(name_or_path, BUILT_IN, "recipe")
    for key, value in (changes or {}).items():
        change(table, key, deepcopy(value), str(path))
    recipe: Recipe = build(Recipe, {"name": path.stem, **table}, str(path), "")
    return recipe


def recipe_table(recipe: Recipe) -> dict[str, Any]:
    """The recipe as TOML has it, lists for tuples, without what is as by default: what `load_recipe`
    reads again."""
    table: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    defaults = json.loads(json.dumps(dataclasses.asdict(Recipe(name="", about=""))))
    for section in table:
        if isinstance(table[section], dict):
            values = table[section].items()
            table[section] = {key: v for key, v in values if v != defaults[section][key]}
    for phase in table["train"].get("phases", []):
        del phase["samples" if phase["epochs"] else "epochs"]
    return {key: value for key, value in table.items() if value != {}}


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes a TOML file, and its folder where there is none, that `load_recipe` reads again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(recipe_table(recipe)), encoding="utf-8")


def read_changes(texts: Sequence[str]) -> dict[str, Any]:
    """`changes` of `load_recipe` from texts such as `train.learning_rate=1e-3`; the value is TOML, or
    else a string. Raises ConfigurationError for a text without a key or a value."""
    changes: dict[str, Any] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not (key and value):
            raise ConfigurationError(f"--set {text!r} has to be KEY=VALUE, as in model.view_size=64")
        try:
            changes[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key] = value
    return changes
