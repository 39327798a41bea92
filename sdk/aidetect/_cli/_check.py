"""`aidetect check`: images in, a card or line each out."""

import os
import sys
from argparse import Namespace
from collections.abc import Collection, Generator, Iterable
from contextlib import closing
from io import BytesIO
from typing import TYPE_CHECKING

from .._errors import ConfigurationError, InputError
from .._verdict import Verdict
from ._inputs import STANDARD_INPUT, expand
from ._parsing import Commands, positive_int, seconds
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
  2    wrong usage or configuration, or the model could not be loaded
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
    add(
        "--fail-on",
        action="append",
        choices=["ai", "uncertain"],
        default=[],
        help="exit with 3 if an image gets this label; may be given twice",
    )
    add(
        "--views",
        choices=["fast", "default", "thorough"],
        default="default",
        help="how much is looked at",
    )
    add("--model", metavar="NAME|PATH", help="another model than the one that comes with aidetect")
    add("--backend", default="auto", metavar="NAME", help="auto (the default), onnx, openvino or torch")
    add("--device", default="auto", metavar="NAME", help="auto (the default), cpu, cuda or cuda:1")
    add(
        "--threads", type=positive_int, metavar="N", help="CPU threads of the model (default: all cores)"
    )
    limits = parser.add_argument_group("limits")
    add = limits.add_argument
    add(
        "--max-bytes",
        type=positive_int,
        metavar="N",
        default=20_000_000,
        help="largest file or download (default: %(default)s)",
    )
    add(
        "--max-pixels",
        type=positive_int,
        metavar="N",
        default=50_000_000,
        help="largest image (default: %(default)s)",
    )
    add(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        default=20.0,
        help="for one download as a whole (default: %(default)s)",
    )
    add("--allow-private", action="store_true", help="also fetch from this machine and local networks")


def run(options: Namespace) -> int:
    """Checks what the options name and returns the exit status.

    Raises ConfigurationError or ModelError.
    """
    if options.inputs.count(STANDARD_INPUT) > 1:
        raise ConfigurationError("`-` is given twice, but standard input can be read once only.")
    if STANDARD_INPUT in options.inputs and (sys.stdin is None or sys.stdin.isatty()):
        raise ConfigurationError(
            "`-` reads an image from standard input, which has none here. "
            "Give it one: aidetect check - < photo.jpg"
        )
    from .._detector import Detector  # not at the top: this loads numpy, Pillow and more

    inputs = expand(options.inputs, recursive=options.recursive)
    detector = Detector(
        options.model,
        backend=options.backend,
        device=options.device,
        views=options.views,
        threads=options.threads,
        max_bytes=options.max_bytes,
        max_pixels=options.max_pixels,
        timeout=options.timeout,
        allow_private=options.allow_private,
    )
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
        _standard_input(max_bytes) if one == STANDARD_INPUT else one for one in good
    )
    for one in inputs:
        yield next(checked) if isinstance(one, str) else one


def _standard_input(max_bytes: int) -> BytesIO:
    """What is on standard input, to where it is known to be too large. Read here and not by a thread
    of the detector, so that an endless wait can be interrupted."""
    from .._reading import read_up_to

    file = BytesIO(read_up_to(sys.stdin.buffer, max_bytes))
    file.name = "<stdin>"  # as Python calls it; verdict and messages will
    return file
