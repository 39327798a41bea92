"""`aidetect reports`: what users say of wrong verdicts, for the operator to judge.

A reporter's words are shown with every control character as an escape, and in CSV so that no
spreadsheet takes them for a formula.
"""

import csv
import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from aidetect._cli._parsing import Commands
from aidetect._cli._terminal import say
from aidetect._errors import ConfigurationError
from aidetect._text import printable

from ._commands import running_server

if TYPE_CHECKING:
    from ._reports import Report, ReportStore

_DESCRIPTION = """\
Reports that a verdict is wrong are kept for 90 days. `confirm` says that one is
right: from then on every verdict of that image says that it is disputed, also
when the report is gone. `delete` takes report, image and mark away."""

_FORMULA = "=+-@＝＋－＠\t\r"


def add_parser(commands: Commands) -> None:
    """Adds `reports` and its own commands."""
    reports = commands.add_parser(
        "reports", help="read and judge reports of wrong verdicts", description=_DESCRIPTION
    )
    actions = reports.add_subparsers(title="commands", metavar="COMMAND", required=True)
    action = actions.add_parser("list", help="list the reports and the images marked as disputed")
    action.set_defaults(run=show_list)
    action = actions.add_parser("export", help="write the reports to stdout, as CSV or JSON")
    action.add_argument("--format", choices=["csv", "json"], default="csv", help="default: %(default)s")
    action.add_argument(
        "--images", metavar="FOLDER", help="write the images that came with them into this folder"
    )
    action.set_defaults(run=export)
    action = actions.add_parser("confirm", help="mark a report's image as disputed")
    action.add_argument("id", metavar="ID")
    action.set_defaults(run=confirm)
    action = actions.add_parser("delete", help="delete a report, or the mark of an image")
    action.add_argument("id", metavar="ID", help="a report's id, or the SHA-256 of a disputed image")
    action.set_defaults(run=delete)


def show_list(options: Namespace) -> int:
    with _reports() as store:
        reports, marks = store.list(), store.marks()
    for report in reports:
        state = "confirmed" if report.confirmed_at else "open"
        image = "  with image" if report.has_image else ""
        note = f"  {printable(report.note)}" if report.note else ""
        said = f"{report.verdict} ({report.probability:.2f}), should be {report.label}"
        print(f"{report.id}  {report.created_at}  {state:<9}  {said}{image}{note}")
    known = {report.sha256 for report in reports if report.confirmed_at}
    for sha256, label in sorted(marks.items()):
        if sha256 not in known:
            print(f"{printable(sha256)}  disputed: should be {printable(label)}")
    if not reports and not marks:
        say("there are no reports")
    return 0


def export(options: Namespace) -> int:
    """Raises ConfigurationError where the folder for the images cannot be written."""
    with _reports() as store:
        reports = store.list()
        if options.images is not None:
            _write_images(store, reports, Path(options.images))
    if options.format == "json":
        for report in reports:
            print(json.dumps(asdict(report), ensure_ascii=True))
        return 0
    writer = csv.DictWriter(sys.stdout, _columns(), lineterminator="\n")
    writer.writeheader()
    for report in reports:
        writer.writerow({name: cell(value) for name, value in asdict(report).items()})
    return 0


def cell(value: object) -> str:
    """A value as a cell that a spreadsheet shows as it is, and on one line."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = printable(value, 5000)
    return f"'{text}" if text.lstrip().startswith(tuple(_FORMULA)) else text


def confirm(options: Namespace) -> int:
    with _reports() as store:
        report = store.confirm(options.id)
    say(f"verdicts of the image {report.sha256} say from now on that they are disputed")
    return 0


def delete(options: Namespace) -> int:
    with _reports() as store:
        store.delete(options.id)
    say("deleted")
    return 0


def _columns() -> list[str]:
    from ._reports import Report

    return [each.name for each in fields(Report)]


def _write_images(store: "ReportStore", reports: Iterable["Report"], folder: Path) -> None:
    """Each as ID.img: what it is, its sender alone says."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for report in reports:
            image = store.image(report)
            if image is not None:
                (folder / f"{report.id}.img").write_bytes(image)
    except OSError as error:
        raise ConfigurationError(
            f"--images {printable(str(folder))}: {error.strerror}. Name a folder that can be written."
        ) from None


@contextmanager
def _reports() -> Iterator["ReportStore"]:
    from ._reports import ReportStore

    with running_server() as (settings, redis):
        yield ReportStore(redis, settings)
