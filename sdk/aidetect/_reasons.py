"""Puts a verdict's reasons into codes with parameters, and into English."""

from collections.abc import Sequence

from ._calibration import FLAT_SHARE, Calibration
from ._verdict import ImageInfo, Label, Reason, UncertainBecause
from ._views import MIN_SIDE


def explain_verdict(
    calibration: Calibration,
    label: Label,
    because: UncertainBecause | None,
    probability: float,
    views: Sequence[float],
    image: ImageInfo,
) -> tuple[Reason, ...]:
    """The reasons, the weightiest first. `views` are the views' own probabilities."""
    reasons = []
    if because == "too_small":
        side = min(image.width, image.height)
        size = f"{image.width}×{image.height} pixels"
        text = f"Too small to judge: {size}; the shorter side needs {MIN_SIDE}."
        reasons.append(Reason("too_small", text, {"side": side, "needed": MIN_SIDE}))
    elif because == "flat":
        text = f"Nothing to judge: at least {FLAT_SHARE:.0%} of the image is one flat tone."
        reasons.append(Reason("flat", text, {"share": FLAT_SHARE}))
    elif because == "between_thresholds":
        low, high = calibration.real_to, calibration.ai_from
        text = f"The model is not sure enough: it answers below {low:.0%} or above {high:.0%} only."
        reasons.append(Reason("between_thresholds", text, {"real_to": low, "ai_from": high}))
    elif because == "views_disagree":
        reasons.append(
            Reason("views_disagree", "The parts of the image that were looked at disagree.", {})
        )
    elif label == "ai":
        text = f"At this level, {calibration.ai_error:.1%} of real images are called AI by mistake."
        reasons.append(Reason("ai_error_rate", text, {"rate": calibration.ai_error}))
    else:
        text = f"At this level, {calibration.real_error:.1%} of AI images are called real by mistake."
        reasons.append(Reason("real_error_rate", text, {"rate": calibration.real_error}))
    if because not in ("too_small", "flat") and len(views) > 1:
        towards = sum(view >= 0.5 for view in views)
        text = f"Views of the image that look more like AI than not: {towards} of {len(views)}."
        reasons.append(Reason("views", text, {"ai": towards, "all": len(views)}))
    if image.frames > 1:
        text = f"Only the first of {image.frames} frames was checked."
        reasons.append(Reason("first_of_frames", text, {"frames": image.frames}))
    return tuple(reasons)
