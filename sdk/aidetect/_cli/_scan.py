"""`aidetect scan`: folders in, a table out, however many files there are."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from .._errors import ConfigurationError, InputError
from .._text import is_url, printable
from .._verdict import Verdict
from ._check import FAIL_ON_MET, NOT_CHECKED
from ._inputs import images_in
from ._options import add_detector_options, add_fail_on, open_detector
from ._parsing import Commands
from ._show import line, problem
from ._terminal import Progress, painter, say, use_colour

if TYPE_CHECKING:
    from .._detector import Detector
    from .._scan import Journal, Row
    from .._scan._report import Picture

_LISTED = 100
"""Files that could not be checked are listed up to here; the table has all of them."""

_DESCRIPTION = """\
Checks the images of whole folders, into a table (--out) or a report. What is
answered is kept beside it in FILE.scan: the same command goes on from there
after an interruption, and checks only what is new or changed later on. Without
--out or a report, it prints a line for each image."""

_EXIT_STATUS = """\
exit status:
  0    all files were checked
  1    some file could not be checked (they are listed in the end); the others were
  2    wrong usage or configuration, no model could be loaded, or the server failed
  3    a label that --fail-on names was found (goes before 1)
  130  interrupted"""


def add_parser(commands: Commands) -> None:
    """Adds `scan` to the commands."""
    parser = commands.add_parser(
        "scan",
        help="check folders of images",
        description=_DESCRIPTION,
        epilog=_EXIT_STATUS,
        many="inputs",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("inputs", nargs="*", metavar="DIR", help="a folder of images; single files may be named too")
    add("-r", "--recursive", action="store_true", help="look into the subfolders too")
    add("--out", metavar="FILE", help="table to write: .jsonl, .csv or .parquet")
    add("--report", metavar="FILE", help="report to look at in a browser: one .html file")
    add("--report-dir", metavar="DIR", help="the same as a folder, its pictures as files")
    add_fail_on(parser)
    add_detector_options(parser)


def run(options: Namespace) -> int:
    """Checks what the options name and returns the exit status.

    Raises ConfigurationError or ModelError.
    """
    from .._scan import Journal, check_report, check_table, scan, write_table

    if urls := [one for one in options.inputs if is_url(one)]:
        raise ConfigurationError(
            f"{printable(urls[0])} is no folder. URLs are checked by `aidetect check`."
        )
    if options.out:
        check_table(options.out)
    if options.report:
        check_report(options.report, folder=False)
    if options.report_dir:
        check_report(options.report_dir, folder=True)
        os.makedirs(options.report_dir, exist_ok=True)
    total = sum(1 for _ in _paths(options))
    detector = open_detector(options)
    with Journal(_kept_in(options), detector.identity) as journal:
        with closing(scan(detector, _paths(options), journal, options.max_bytes)) as rows:
            _follow(rows, total, show=_kept_in(options) is None)
        if options.out:
            write_table(journal.rows(), options.out)
        _report(journal, detector, options)
        return _conclude(journal, options)


def _paths(options: Namespace) -> Iterator[str | InputError]:
    """One after the other, as they are found: a list of them would grow with the archive."""
    for argument in options.inputs:
        if os.path.isdir(argument):
            yield from images_in(argument, options.recursive)
        else:
            yield argument


def _kept_in(options: Namespace) -> str | None:
    """The file that lets a scan go on after an interruption: beside the first of its outputs."""
    folder = os.path.join(options.report_dir, "results") if options.report_dir else None
    beside = options.out or options.report or folder
    return f"{beside}.scan" if beside else None


def _report(journal: "Journal", detector: "Detector", options: Namespace) -> None:
    """Writes the reports that are asked for; their pictures take a while."""
    from .._scan import pictured, write_report, write_report_folder

    for path, write in ((options.report, write_report), (options.report_dir, write_report_folder)):
        if not path:
            continue
        from .._scan._pictures import draw

        progress = Progress(sum(1 for _ in pictured(journal)), sys.stderr, what="report:")

        def picture(row: "Row", progress: Progress = progress) -> "Picture | None":
            progress.step()
            return draw(detector, row, options.max_bytes)

        write(journal, path, picture)
        progress.clear()


def _follow(rows: Iterable["Row | None"], total: int, *, show: bool) -> None:
    """Draws how far it is, and prints the verdicts as they come where they are to be shown."""
    paint = painter(use_colour(sys.stdout, os.environ))
    progress = Progress(total, sys.stderr)
    for row in rows:
        if row is None:
            progress.skip()
            continue
        if show and isinstance(answer := row.answer, Verdict):
            progress.clear()
            print(line(answer, paint), flush=True)
        progress.step()
    progress.clear()


def _conclude(journal: "Journal", options: Namespace) -> int:
    """Lists what could not be checked, sums up, and chooses the exit status."""
    counts = journal.counts()
    failed = counts["error"]
    for row in islice(journal.rows(where="label IS NULL"), _LISTED):
        if isinstance(answer := row.answer, InputError):
            say(problem(answer))
    if failed > _LISTED:
        more = f"; all are in {printable(options.out)}" if options.out else ""
        say(f"… and {failed - _LISTED:,} more that could not be checked{more}")
    parts = [f"{counts['ai']:,} AI", f"{counts['real']:,} not AI", f"{counts['uncertain']:,} uncertain"]
    parts += [f"{failed:,} not checked"] if failed else []
    same = f" ({_counted(counts['duplicates'], 'duplicate')})" if counts["duplicates"] else ""
    files = counts["ai"] + counts["real"] + counts["uncertain"] + failed
    say(f"{_counted(files, 'file')}{same}: {', '.join(parts)}")
    if any(counts[label] for label in options.fail_on):
        return FAIL_ON_MET
    return NOT_CHECKED if failed else 0


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
