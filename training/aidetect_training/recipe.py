"""A recipe: everything that makes a model, in one readable TOML file that checks itself."""

import dataclasses
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from aidetect import ConfigurationError

BUILT_IN = Path(__file__).parent / "recipes"


def _need(met: bool, key: str, value: object, wanted: str) -> None:
    if not met:
        raise ConfigurationError(f"{key} is {value!r}; it has to be {wanted}")


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """Options of `SEResNet50` (see its docstring), and what it is shown: squares of `view_size`
    pixels, which are crops, or whole images squashed to that square whatever their shape."""

    front_end: Literal["rgb", "residual", "rgb+residual"] = "rgb"
    stem_stride: Literal[1, 2] = 2
    stem_pool: bool = True
    stages: Literal[2, 3, 4] = 4
    pooling: Literal["mean", "mean+deviation"] = "mean"
    dropout: float = 0.3
    view: Literal["crop", "squash"] = "crop"
    view_size: int = 224

    def __post_init__(self) -> None:
        _need(0 <= self.dropout < 1, "dropout", self.dropout, "from 0 to below 1")
        _need(self.view_size >= 32, "view_size", self.view_size, "32 or more")

    def architecture(self) -> dict[str, Any]:
        """Keyword arguments of `SEResNet50`."""
        options = dataclasses.asdict(self)
        del options["view"], options["view_size"]
        return options


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """The validation part never trains: it chooses the checkpoint and fits the calibration. It is
    the `validation_origins`, or else a random `validation_share` of all images, drawn with `split_seed`.

    `sampling`: `balanced` draws both classes alike and a group of n tiles with weight n**`balance`
    (1: as it comes, 0: equally); `shuffled` takes each image once, in random order."""

    validation_origins: tuple[str, ...] = ()
    validation_share: float = 0.0
    split_seed: int = 42
    sampling: Literal["balanced", "shuffled"] = "balanced"
    balance: float = 0.5

    def __post_init__(self) -> None:
        share = self.validation_share
        _need(0 <= share < 1, "validation_share", share, "a share of the images, below 1")
        _need(
            not (share and self.validation_origins), "validation_share", share,
            "left out where validation_origins are given",
        )  # fmt: skip
        _need(0 <= self.split_seed < 2**32, "split_seed", self.split_seed, "from 0 to below 2**32")
        _need(0 <= self.balance <= 1, "balance", self.balance, "from 0 to 1")


@dataclass(frozen=True, slots=True)
class AugmentRecipe:
    """Chances of each change, alike for both classes; see `augment.py`. `rescale` is for crops."""

    rescale: float = 0.7
    rescale_range: tuple[float, float] = (0.4, 1.4)
    codec: float = 0.7
    second_codec: float = 0.3
    quality_range: tuple[int, int] = (30, 95)
    rotate: float = 0.5
    jitter: float = 0.5
    gray: float = 0.1
    blur: float = 0.1
    noise: float = 0.1
    cutout: float = 0.15
    colour_jitter: float = 0.0
    brightness_contrast: float = 0.0

    def __post_init__(self) -> None:
        for key, value in dataclasses.asdict(self).items():
            if isinstance(value, float):
                _need(0 <= value <= 1, key, value, "a chance from 0 to 1")
        low, high = self.rescale_range
        _need(
            0.01 <= low <= high <= 100, "rescale_range", [low, high], "two factors, rising, 0.01 to 100"
        )
        low, high = self.quality_range
        _need(1 <= low <= high <= 100, "quality_range", [low, high], "two qualities, rising, 1 to 100")


@dataclass(frozen=True, slots=True)
class Phase:
    """`samples` crops of side `size` pixels, `batch` at a time; or, instead of a number of samples,
    `epochs`: so many times as many as there are training images."""

    size: int
    samples: int = 0
    batch: int = 128
    epochs: int = 0

    def __post_init__(self) -> None:
        _need(self.size >= 32, "size", self.size, "32 or more")
        _need(self.batch >= 2, "batch", self.batch, "2 or more")
        _need(self.epochs >= 0, "epochs", self.epochs, "1 or more, or left out for samples")
        if self.epochs:
            _need(self.samples == 0, "samples", self.samples, "left out where epochs are given")
        else:
            _need(self.samples >= self.batch, "samples", self.samples, "one batch or more, or epochs")


@dataclass(frozen=True, slots=True)
class TrainRecipe:
    """AdamW under one cosine over all phases, `smooth` or in `steps` at each evaluation. Early
    stopping after `patience` evaluations without a better `monitor` on the validation part; the
    weights kept are those with the best one. Evaluations come every `evaluate_every` samples, or
    after each epoch where a phase has `epochs`. An `average_decay` of 0 averages no weights.
    `micro_batches`: parts in which one device computes a batch, one after the other, where it has not
    the memory for the whole; batch normalisation then sees the parts, as it does on several devices."""

    phases: tuple[Phase, ...] = (Phase(size=224, samples=640_000, batch=128),)
    learning_rate: float = 1e-4
    schedule: Literal["smooth", "steps"] = "smooth"
    weight_decay: float = 1e-5
    warmup: float = 0.02
    label_smoothing: float = 0.05
    average_decay: float = 0.999
    evaluate_every: int = 40_000
    monitor: Literal["auc", "accuracy"] = "auc"
    patience: int = 5
    micro_batches: int = 1
    precision: Literal["bf16-mixed", "16-mixed", "32-true"] = "bf16-mixed"
    seed: int = 42

    def __post_init__(self) -> None:
        _need(bool(self.phases), "phases", [], "one phase or more")
        _need(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "above 0, below 1")
        _need(0 <= self.weight_decay < 1, "weight_decay", self.weight_decay, "from 0 to below 1")
        _need(0 <= self.warmup < 1, "warmup", self.warmup, "a share of the samples, below 1")
        _need(
            0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "from 0 to below 1"
        )
        _need(0 <= self.average_decay < 1, "average_decay", self.average_decay, "from 0 to below 1")
        _need(self.evaluate_every >= 1, "evaluate_every", self.evaluate_every, "1 or more")
        _need(self.patience >= 1, "patience", self.patience, "1 or more")
        least = min((phase.batch for phase in self.phases), default=1)
        _need(1 <= self.micro_batches <= least, "micro_batches", self.micro_batches, "1 to a batch")
        _need(0 <= self.seed < 2**32, "seed", self.seed, "from 0 to below 2**32")

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
class Recipe:
    name: str
    about: str
    model: ModelRecipe = field(default_factory=ModelRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    train: TrainRecipe = field(default_factory=TrainRecipe)


def load_recipe(name_or_path: str) -> Recipe:
    """Reads a recipe by built-in name (`default`) or by path.

    Raises ConfigurationError, naming the file and the key, for a missing file, broken TOML, an
    unknown key or a value of the wrong kind.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = BUILT_IN / f"{name_or_path}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in BUILT_IN.glob("*.toml")))
        raise ConfigurationError(
            f"There is no recipe {name_or_path!r}. Give a .toml file or one of {known}."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Correct the file.") from None
    recipe: Recipe = _build(Recipe, {"name": path.stem, **table}, str(path), "")
    return recipe


def _build(kind: type[Any], table: Any, file: str, key: str) -> Any:
    """A dataclass from a TOML table that stands under `key`, with `file` and key in every error."""
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: {key} is {table!r}; it has to be a table")
    prefix = f"{key}." if key else ""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := sorted(set(table) - set(fields)):
        raise ConfigurationError(f"{file}: unknown {prefix}{unknown[0]}; known are {', '.join(fields)}")
    for name, f in fields.items():
        optional = f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        if name not in table and not optional:
            raise ConfigurationError(f"{file}: {prefix}{name} is missing")
    values = {name: _typed(fields[name].type, v, file, prefix + name) for name, v in table.items()}
    try:
        return kind(**values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {prefix}{error}") from None


def _typed(kind: Any, value: Any, file: str, key: str) -> Any:
    """`value` as `kind`: a dataclass, a tuple of kinds, a Literal, or a plain type."""
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, file, key)  # type: ignore[arg-type]
    parts = get_args(kind)
    if get_origin(kind) is tuple and isinstance(value, list):
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) == len(value):
            pairs = enumerate(zip(kinds, value, strict=True))
            return tuple(_typed(k, v, file, f"{key}[{i}]") for i, (k, v) in pairs)
    elif get_origin(kind) is Literal:
        if value in parts and type(value) is type(parts[0]):
            return value
        kind = " or ".join(map(repr, parts))
    elif kind is float and type(value) is int:
        return float(value)
    elif type(value) is kind:
        return value
    if get_origin(kind) is tuple:
        wanted = "a list" if parts[-1] is Ellipsis else f"a list of {len(parts)}"
    else:
        wanted = kind if isinstance(kind, str) else kind.__name__
    raise ConfigurationError(f"{file}: {key} is {value!r}; it has to be {wanted}")
