"""What a file was found to say, and the table of all that is looked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .._text import printable
from .._verdict import Evidence

Says = Literal["ai", "edited", "real", "unclear"]
"""`ai`: AI made the image; `edited`: AI made a part of it; `real`: a camera or a person made it;
`unclear`: something that has not been checked."""

TEXT_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Signal:
    """One line of the table: what is looked for, where, what it tells and how strongly.

    `strength` is 0…1 and says how hard the sign is to come by without what it tells being so. All
    but signed statements can be written by anybody, and signers err: so none reaches 1.
    """

    key: str
    who: str
    where: str
    says: Says
    strength: float
    source: str
    kind: Literal["metadata", "credentials"] = "metadata"
    signed: bool = False
    """Whether a trusted signer vouches for it, cryptographically and for these very pixels."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A signal that was found in a file. `generator` names a program or a maker, where it is told;
    `details` are strings of the file, cut and harmless to show; a `prompt` is among them only where it
    was asked for."""

    signal: Signal
    generator: str | None = None
    details: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def says(self) -> Says:
        return self.signal.says

    def to_evidence(self) -> Evidence:
        details: dict[str, str | bool] = {"signal": self.signal.key, "signed": self.signal.signed}
        if self.generator:
            details["generator"] = self.generator
        details |= self.details
        return Evidence(self.signal.kind, self.says, self.signal.strength, details)

    def without_prompt(self) -> "Finding":
        if "prompt" not in self.details:
            return self
        details = {name: text for name, text in self.details.items() if name != "prompt"}
        return Finding(self.signal, self.generator, details)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the signal by its key."""
        return {"signal": self.signal.key, "generator": self.generator, "details": dict(self.details)}


def shown(**details: object) -> dict[str, str]:
    """Details for people: what is empty left out, the rest made harmless and cut."""
    texts = {name: "" if value is None else str(value).strip() for name, value in details.items()}
    return {name: printable(text, TEXT_LIMIT) for name, text in texts.items() if text}
