"""Verdicts as a server sends them, one for each thing that a card has to say."""

import copy
from typing import Any

_PLAIN: dict[str, Any] = {
    "label": "real",
    "probability": 0.12,
    "decided_by": "model",
    "uncertain_because": None,
    "reasons": [
        {"code": "real_error_rate", "text": "…", "params": {"rate": 0.05}},
        {"code": "views", "text": "…", "params": {"ai": 1, "all": 9}},
    ],
    "evidence": [
        {
            "kind": "model",
            "finding": "real",
            "strength": 0.76,
            "details": {"probability": 0.12, "views": 9 * [{"kind": "native", "probability": 0.1}]},
        }
    ],
    "image": {
        "sha256": "5f" * 32,
        "width": 640,
        "height": 480,
        "format": "JPEG",
        "bytes": 61234,
        "frames": 1,
    },
    "model": {"name": "default", "version": "1", "sha256": "e5" * 32},
    "checked_at": "2026-01-02T03:04:05+00:00",
    "elapsed_ms": 42.0,
    "cached": False,
    "source": None,
}
_CLAIM = {
    "kind": "metadata",
    "finding": "ai",
    "strength": 0.6,
    "details": {"signal": "comfyui", "signed": False, "generator": "ComfyUI", "sampler": "euler"},
}


def verdict(**changes: Any) -> dict[str, Any]:
    """A verdict that says `real`, with what is changed in it."""
    made = copy.deepcopy(_PLAIN)
    made.update(copy.deepcopy(changes))
    return made


def claimed(**changes: Any) -> dict[str, Any]:
    """One whose file claims AI."""
    return verdict(evidence=[*_PLAIN["evidence"], _CLAIM], **changes)


def credentials(state: str, finding: str = "unclear") -> dict[str, Any]:
    """One whose file has Content Credentials in this state."""
    details = {"signal": "credentials", "state": state, "issuer": "Some Camera Maker"}
    entry = {"kind": "credentials", "finding": finding, "strength": 0.0, "details": details}
    return verdict(evidence=[*_PLAIN["evidence"], entry])


def reason(code: str, **params: Any) -> dict[str, Any]:
    return {"code": code, "text": f"English of {code}", "params": params}


UNCERTAIN = {
    "between_thresholds": [reason("between_thresholds", real_to=0.4, ai_from=0.6)],
    "views_disagree": [reason("views_disagree")],
    "too_small": [reason("too_small", side=18, needed=64)],
    "flat": [reason("flat", share=0.9)],
    "conflict": [reason("conflict", signals=["comfyui"], generators=["ComfyUI"])],
}


def done(name: str, of: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The card's view of a finished check."""
    view = {"state": "done", "name": name, "verdict": of, "got": {"kind": "upload"}}
    return {**view, "attachable": True, **more}
