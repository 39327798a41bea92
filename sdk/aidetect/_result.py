"""What the model found in an image's pixels, and how it and the file's claims become a verdict.

A `PixelResult` depends on nothing but the file and the engine, named by its fingerprint, so it can be
kept; claims are kept apart from it, since they change with their readers and not with the model.
Nothing here needs numpy or a runtime: a server assembles verdicts from what workers found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ._errors import AidetectError
from ._fusion import fuse
from ._provenance import Finding
from ._verdict import Evidence, ImageInfo, Label, ModelInfo, Reason, UncertainBecause, Verdict, fields_of


@dataclass(frozen=True, slots=True)
class PixelResult:
    """The model's own answer for one image. `views` has a dict for each view: `kind`, `box` (left,
    top, right, bottom in source pixels), `probability`. `heat_map` is a PNG of at most 4 KB, None
    where it was not asked for; it is not part of the wire form."""

    label: Label
    because: UncertainBecause | None
    probability: float
    reasons: tuple[Reason, ...]
    views: tuple[Mapping[str, Any], ...] = field(hash=False)
    image: ImageInfo
    model: ModelInfo
    heat_map: bytes | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the heat map."""
        wire = fields_of(self)
        wire["reasons"] = tuple(fields_of(reason) for reason in self.reasons)
        wire["image"], wire["model"] = fields_of(self.image), fields_of(self.model)
        wire["views"] = tuple({**view, "box": list(view["box"])} for view in self.views)
        del wire["heat_map"]
        return wire

    @classmethod
    def from_dict(cls, wire: Mapping[str, Any], heat_map: bytes | None = None) -> "PixelResult":
        """Inverse of `to_dict`; raises AidetectError for what is not of this form."""
        try:
            return cls(
                label=wire["label"],
                because=wire["because"],
                probability=float(wire["probability"]),
                reasons=tuple(Reason(**reason) for reason in wire["reasons"]),
                views=tuple({**view, "box": list(view["box"])} for view in wire["views"]),
                image=ImageInfo(**wire["image"]),
                model=ModelInfo(**wire["model"]),
                heat_map=heat_map,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AidetectError(f"this is not a pixel result of aidetect: {error!r}") from None


def assemble(
    result: PixelResult,
    claims: Sequence[Finding],
    *,
    source: str | None = None,
    cached: bool = False,
    elapsed_ms: float = 0.0,
    checked_at: datetime | None = None,
) -> Verdict:
    """The verdict of an image from what the model found and what its file claims."""
    evidence = Evidence(
        kind="model",
        finding="unclear" if result.label == "uncertain" else result.label,
        strength=round(abs(2 * result.probability - 1), 4),
        details={"probability": result.probability, "views": [dict(view) for view in result.views]},
    )
    fused = fuse(result.label, result.because, claims)
    return Verdict(
        label=fused.label,
        probability=result.probability,
        decided_by=fused.decided_by,
        uncertain_because=fused.because,
        reasons=fused.reasons + result.reasons,
        evidence=(evidence, *(claim.to_evidence() for claim in claims)),
        image=result.image,
        model=result.model,
        checked_at=checked_at or datetime.now(UTC),
        elapsed_ms=elapsed_ms,
        cached=cached,
        source=source,
    )
