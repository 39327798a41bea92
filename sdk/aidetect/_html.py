"""A verdict as HTML for notebooks: whatever stems from a file or a server is text there, and nothing
is loaded from anywhere."""

from html import escape

from ._text import printable
from ._verdict import WORDS, Verdict, percent

_COLOURS = {"ai": "#c0392b", "real": "#2e8b57", "uncertain": "#b8860b"}
"""Of the bar at the side; on light and dark grounds the text keeps the notebook's own colour."""


def card(verdict: Verdict) -> str:
    image, model = verdict.image, verdict.model
    reasons = "".join(f"<li>{_text(reason.text)}</li>" for reason in verdict.reasons)
    facts = f"{image.width}×{image.height} {image.format}; model {model.name} {model.version}"
    name = f"<div>{_text(verdict.source)}</div>" if verdict.source else ""
    return (
        f'<div style="border-left: 0.4em solid {_COLOURS[verdict.label]}; padding-left: 0.8em">{name}'
        f"<div><b>{WORDS[verdict.label]}</b>, P(AI) = {escape(percent(verdict.probability))}</div>"
        f'<ul style="margin: 0.3em 0">{reasons}</ul>'
        f'<div style="opacity: 0.7">{_text(facts)}</div></div>'
    )


def _text(text: str) -> str:
    return escape(printable(text))
