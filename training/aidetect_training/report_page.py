"""The page of `report`: model card, results, training, in one HTML file."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aidetect._text import printable

from .report import Counts, Evaluation, Training
from .report_card import model_card
from .report_parts import Album
from .report_results import results, training_run

_LIMIT = 2000
"""Characters of one text: a recipe's or a manifest's `about` is a paragraph."""


def write(
    evaluations: Sequence[Evaluation], trainings: Sequence[Training], data: Sequence[Counts], out: Path
) -> Path:
    """Writes `report.html` and the pictures into the folder `out`; returns the page's path. The model
    card is of the first evaluation's model."""
    out.mkdir(parents=True, exist_ok=True)
    album = Album(out)
    sections = [model_card(evaluations[0] if evaluations else None, trainings, data)]
    sections += [results(evaluation, album) for evaluation in evaluations]
    sections += [training_run(training, album) for training in trainings]
    name = evaluations[0].result["model"]["name"] if evaluations else trainings[0].name
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: printable(value, _LIMIT) if _plain(value) else value,
    )
    page = environment.get_template("report.jinja.html").render(
        title=f"Model card and report: {name}", sections=sections
    )
    path = out / "report.html"
    path.write_text(page + "\n", encoding="utf-8")
    return path


def _plain(value: object) -> bool:
    """Text to be shown; pictures are as long as they are."""
    return type(value) is str and not value.startswith("data:image/png;base64,")
