"""What a check answers, and its one wire form: JSON that every part of aidetect speaks.

All types are frozen; `Verdict.from_dict(verdict.to_dict()) == verdict`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ._errors import AidetectError
from ._text import printable

Label = Literal["ai", "real", "uncertain"]
DecidedBy = Literal["model", "credentials", "metadata"]
UncertainBecause = Literal["between_thresholds", "views_disagree", "too_small", "flat", "conflict"]

WORDS: dict[str, str] = {
    "ai": "Probably AI-generated",
    "real": "Probably not AI-generated",
    "uncertain": "Uncertain",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason as a stable `code` with `params`, so that a client can say it in its own language;
    `text` says it in English."""

    code: str
    text: str
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One signal. `kind`: `model`, `frames` (the model on frames of a video), `metadata` (what the file
    claims, unsigned) or `credentials` (Content Credentials); `finding`: what it says (`ai`, `edited`
    where AI made a part, `real`, `unclear`); `strength`: 0…1, its own sureness; `details`: its figures,
    or untrusted strings cut at 300 characters. `docs/evidence.md` lists the signals."""

    kind: str
    finding: str
    strength: float
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The image checked. `sha256` and `bytes` are of the file; for arrays of the raw pixels."""

    sha256: str
    width: int
    height: int
    format: str
    bytes: int
    frames: int = 1


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that answered; `sha256` is that of its weights file."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one image.

    `label` is `ai`, `real` or `uncertain`; `probability` is the calibrated P(AI) of the pixels,
    whatever decided; `decided_by` names what settled the label: a signature, or else what the label
    would be another without;
    `uncertain_because` is set when and only when the label is `uncertain`.
    `source` is the input as the caller named it (untrusted text), None for bytes and arrays.
    """

    label: Label
    probability: float
    decided_by: DecidedBy
    uncertain_because: UncertainBecause | None
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]
    image: ImageInfo
    model: ModelInfo
    checked_at: datetime
    elapsed_ms: float
    cached: bool = False
    source: str | None = None

    def __post_init__(self) -> None:
        if self.label not in WORDS or not 0 <= self.probability <= 1:
            raise ValueError(f"label {self.label!r} with probability {self.probability!r}")
        if (self.label == "uncertain") != (self.uncertain_because is not None):
            raise ValueError("uncertain_because belongs to the label 'uncertain', and to it alone")

    def __str__(self) -> str:
        first = f"{WORDS[self.label]} (P(AI) = {percent(self.probability)})"
        name = printable(self.source) + ": " if self.source else ""
        lines = [name + first] + [f"  - {printable(reason.text)}" for reason in self.reasons]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """How notebooks show it."""
        from ._html import card

        return card(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready wire form; `checked_at` is ISO 8601 in UTC."""
        wire = fields_of(self)
        wire["reasons"] = tuple(fields_of(reason) for reason in self.reasons)
        wire["evidence"] = tuple(fields_of(evidence) for evidence in self.evidence)
        wire["image"], wire["model"] = fields_of(self.image), fields_of(self.model)
        wire["checked_at"] = self.checked_at.isoformat()
        return wire

    @classmethod
    def from_dict(cls, wire: Mapping[str, Any]) -> "Verdict":
        """Inverse of `to_dict`. Keys that a newer version added are ignored.

        Raises AidetectError when a required key is missing or of the wrong form.
        """
        try:
            values = _known(cls, wire)
            if not all(isinstance(wire[key], list | tuple) for key in ("reasons", "evidence")):
                raise TypeError("reasons and evidence are lists")
            values["reasons"] = tuple(Reason(**_known(Reason, r)) for r in wire["reasons"])
            values["evidence"] = tuple(Evidence(**_known(Evidence, e)) for e in wire["evidence"])
            values["image"] = ImageInfo(**_known(ImageInfo, wire["image"]))
            values["model"] = ModelInfo(**_known(ModelInfo, wire["model"]))
            values["checked_at"] = datetime.fromisoformat(wire["checked_at"])
            if values["checked_at"].tzinfo is None:
                raise ValueError("checked_at has no time zone")
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AidetectError(f"this is not a verdict of aidetect: {error!r}") from None


def fields_of(one: Any) -> dict[str, Any]:
    """A dataclass's fields by name, a mapping among them as a dict of its own. `dataclasses.asdict`
    copies to the last level, which takes longer than all the rest of answering from a cache."""
    values = {name: getattr(one, name) for name in one.__slots__}
    return {n: dict(v) if isinstance(v, Mapping) else v for n, v in values.items()}


def percent(probability: float) -> str:
    """A probability for people, never rounded to a certainty that the model does not have."""
    if probability < 0.01:
        return "<1%"
    return ">99%" if probability > 0.99 else f"{probability:.0%}"


_FORMS: dict[Any, Any] = {
    str: str,
    int: int,
    bool: bool,
    float: int | float,
    str | None: str | None,
    Mapping[str, Any]: Mapping,
    DecidedBy: str,  # a later version may know more of them
    UncertainBecause | None: str | None,
}
"""What the wire holds for fields annotated so; the other fields are built, or checked, elsewhere."""


def _known(kind: type[Any], wire: Mapping[str, Any]) -> dict[str, Any]:
    known = {f.name: f.type for f in dataclasses.fields(kind)}
    values = {key: value for key, value in wire.items() if key in known}
    for key, value in values.items():
        form = _FORMS.get(known[key], object)
        if not isinstance(value, form) or (isinstance(value, bool) and form not in (bool, object)):
            raise TypeError(f"{key} is {value!r}")
    return values
