"""`aidetect explain`: one image in, its card and a picture of where the model saw it out."""

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from .._errors import ConfigurationError, InputError
from .._text import is_url, printable
from ._check import NOT_CHECKED
from ._options import add_detector_options, open_detector
from ._parsing import Commands
from ._show import card, problem
from ._terminal import painter, say, use_colour

if TYPE_CHECKING:
    from .._explain import Explanation

_DESCRIPTION = """\
Says whether an image was made by AI, and draws where the model saw what decided:
overlay, the map over the image, + where it leans to AI and - where to real;
side-by-side, the image next to that; raw, the map alone as 8-bit grey, 128 + 32 ×
log-odds, 0 where the decision did not look; spectrum, the image's frequencies,
which decide nothing."""

_EXIT_STATUS = """\
exit status:
  0    the picture was written
  1    the image could not be checked
  2    wrong usage or configuration, or the picture could not be written
  130  interrupted"""


def add_parser(commands: Commands) -> None:
    """Adds `explain` to the commands."""
    parser = commands.add_parser(
        "explain",
        help="draw where the model saw what decided",
        description=_DESCRIPTION,
        epilog=_EXIT_STATUS,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("input", metavar="INPUT", help="an image file or an http(s) URL")
    add("-o", "--output", metavar="FILE", required=True, help="where the picture goes, as PNG")
    add(
        "--kind",
        choices=["overlay", "side-by-side", "raw", "spectrum"],
        default="overlay",
        help="which picture (default: %(default)s)",
    )
    add_detector_options(parser)


def run(options: Namespace) -> int:
    """Explains what the options name and returns the exit status.

    Raises ConfigurationError or ModelError.
    """
    if not is_url(options.input) and _same_file(options.input, options.output):
        raise ConfigurationError(
            f"{printable(options.output)} is the image itself and would be lost; name another file"
        )
    try:
        explained: Explanation = open_detector(options).explain(options.input)
    except InputError as error:
        say(problem(error))
        return NOT_CHECKED
    explained.save(options.output, options.kind)
    print(card(explained.verdict, painter(use_colour(sys.stdout, os.environ))))
    say(f"wrote the {options.kind} picture to {printable(options.output)}")
    return 0


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False
