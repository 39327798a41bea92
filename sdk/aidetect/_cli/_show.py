"""Verdicts and errors as text for people and as JSON for programs.

Names of inputs and all texts that stem from them are untrusted: everything passes `printable`, and
JSON is pure ASCII.
"""

import json
from collections.abc import Callable

from .._errors import AidetectError
from .._text import printable
from .._verdict import WORDS, Verdict, percent
from ._terminal import Colour

Paint = Callable[[str, Colour], str]

_SHORT_WORDS = {"ai": "AI", "real": "not AI", "uncertain": "uncertain"}
_COLOURS: dict[str, Colour] = {"ai": "red", "real": "green", "uncertain": "yellow"}
_DECIDED = {"metadata": "the file says so", "credentials": "signed to be so"}
_MESSAGE_LIMIT = 5000


def card(verdict: Verdict, paint: Paint) -> str:
    """All that a reader wants to know of one image, on a few lines."""
    image, model = verdict.image, verdict.model
    answer = paint(WORDS[verdict.label], _COLOURS[verdict.label])
    frames = f", first of {image.frames} frames" if image.frames > 1 else ""
    facts = (
        f"{image.width}×{image.height} {printable(image.format)}{frames}; model {printable(model.name)} "
        f"{printable(model.version)}; {verdict.elapsed_ms:.0f} ms"
    )
    return "\n".join(
        [
            paint(_name(verdict.source), "bold"),
            f"  {answer}, P(AI) = {percent(verdict.probability)}",
            *(f"  - {printable(reason.text)}" for reason in verdict.reasons),
            paint(f"  {facts}", "dim"),
        ]
    )


def line(verdict: Verdict, paint: Paint) -> str:
    """One of many images: aligned, the name last, since names are of any length."""
    word = paint(f"{_SHORT_WORDS[verdict.label]:<9}", _COLOURS[verdict.label])
    notes = [verdict.uncertain_because.replace("_", " ")] if verdict.uncertain_because else []
    if verdict.label == "ai" and verdict.decided_by in _DECIDED:
        notes.append(_DECIDED[verdict.decided_by])
    if verdict.image.frames > 1:
        notes.append(f"first of {verdict.image.frames} frames")
    more = paint(f"  ({', '.join(notes)})", "dim") if notes else ""
    return f"{word}  P(AI) {percent(verdict.probability):>4}  {_name(verdict.source)}{more}"


def problem(error: AidetectError) -> str:
    """One line that names the input, where there is one, and says what to do."""
    message = printable(error.message, _MESSAGE_LIMIT)
    if error.input is None or message.startswith(_name(error.input)):
        return message
    return f"{_name(error.input)}: {message}"


def json_line(answer: Verdict | AidetectError) -> str:
    """The wire form on one line; `{"error": …}` for an error."""
    wire = answer.to_dict() if isinstance(answer, Verdict) else {"error": answer.to_dict()}
    return json.dumps(wire, ensure_ascii=True)


def _name(source: str | None) -> str:
    return printable(source) if source else "(no name)"
