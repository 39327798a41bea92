"""`aidetect check`: images in, a card or line each out."""

import os
import sys
from argparse import Namespace
from collections.abc import Collection, Generator, Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from .._errors import InputError
from .._verdict import Verdict
from ._inputs import STANDARD_INPUT, expand, standard_input
from ._options import add_detector_options, add_fail_on, open_detector
from ._parsing import Commands
from ._show import card, json_line, line, problem
from ._terminal import Progress, painter, say, use_colour

if TYPE_CHECKING:
    from .._detector import Detector

NOT_CHECKED = 1
FAIL_ON_MET = 3

_DESCRIPTION = """\
Says of each image whether it was made by AI, how sure that is, and why: a card
for one image, a line each for several. P(AI) is the probability that an image
was made by AI."""

_EXIT_STATUS = """\
exit status:
  0    all inputs were checked
  1    some input could not be checked; the others were
  2    wrong usage or configuration, no model could be loaded, or the server failed
  3    a label that --fail-on names was found (goes before 1)
  130  interrupted"""


def add_parser(commands: Commands) -> None:
    """Adds `check` to the commands."""
    parser = commands.add_parser(
        "check", help="check images", description=_DESCRIPTION, epilog=_EXIT_STATUS, many="inputs"
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="an image file, a folder of them, an http(s) URL, or - for the bytes of one on stdin",
    )
    add("-r", "--recursive", action="store_true", help="look into the subfolders of folders too")
    add("--json", action="store_true", help='one JSON object a line: a verdict, or {"error": …}')
    add_fail_on(parser)
    add_detector_options(parser)


def run(options: Namespace) -> int:
    """Checks what the options name and returns the exit status.

    Raises ConfigurationError or ModelError.
    """
    inputs = expand(options.inputs, recursive=options.recursive)
    detector = open_detector(options)
    with closing(_answers(detector, inputs, options.max_bytes)) as answers:
        return report(answers, len(inputs), as_json=options.json, fail_on=options.fail_on)


def report(
    answers: Iterable[Verdict | InputError], total: int, *, as_json: bool, fail_on: Collection[str]
) -> int:
    """Prints each of the `total` answers as it comes and returns the exit status.

    Verdicts go to stdout. So do errors as JSON, in their place; otherwise they go to stderr.
    """
    paint = painter(use_colour(sys.stdout, os.environ))
    show = card if total == 1 else line
    progress = Progress(total, sys.stderr)
    failed = met = False
    for answer in answers:
        progress.clear()
        if as_json:
            print(json_line(answer), flush=True)
        elif isinstance(answer, Verdict):
            print(show(answer, paint), flush=True)
        else:
            say(problem(answer))
        failed = failed or not isinstance(answer, Verdict)
        met = met or (isinstance(answer, Verdict) and answer.label in fail_on)
        progress.step()
    progress.clear()
    if met:
        return FAIL_ON_MET
    return NOT_CHECKED if failed else 0


def _answers(
    detector: "Detector", inputs: list[str | InputError], max_bytes: int
) -> Generator[Verdict | InputError, None, None]:
    """One answer for each input, in order; what is an error already is its own."""
    good = (one for one in inputs if isinstance(one, str))
    checked = detector.check_many(
        standard_input(max_bytes) if one == STANDARD_INPUT else one for one in good
    )
    for one in inputs:
        yield next(checked) if isinstance(one, str) else one
