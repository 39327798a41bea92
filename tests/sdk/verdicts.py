"""Verdicts for tests of what is done with them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aidetect import Evidence, ImageInfo, ModelInfo, Reason, Verdict

AI = Verdict(
    label="ai",
    probability=0.972,
    decided_by="model",
    uncertain_because=None,
    reasons=(
        Reason("probability", "The pixels look made by AI.", {"probability": 0.972}),
        Reason("views", "8 of 9 views agree."),
    ),
    evidence=(Evidence("model", "ai", 0.944, {"views": [{"kind": "global", "probability": 0.972}]}),),
    image=ImageInfo(sha256="0" * 64, width=640, height=480, format="JPEG", bytes=12345),
    model=ModelInfo("seresnet50", "1.2", "f" * 64),
    checked_at=datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
    elapsed_ms=41.6,
    source="photo.jpg",
)


def verdict(label: str = "ai", **changes: Any) -> Verdict:
    """One with the label, a probability that fits it, and these fields."""
    fitting: dict[str, dict[str, Any]] = {
        "ai": {},
        "real": {"label": "real", "probability": 0.031},
        "uncertain": {"label": "uncertain", "probability": 0.48, "uncertain_because": "views_disagree"},
    }
    return replace(AI, **{**fitting[label], **changes})
