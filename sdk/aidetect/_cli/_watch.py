"""`aidetect watch`: answers new images of folders as they appear."""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .._errors import ConfigurationError, InputError, RateLimitedError, ServiceError
from .._text import printable
from .._verdict import Verdict
from ._inputs import images_in
from ._options import add_detector_options, open_detector
from ._parsing import Commands, seconds
from ._show import json_line, line, problem
from ._terminal import painter, say, use_colour

if TYPE_CHECKING:
    from .._detector import Detector

_DESCRIPTION = """\
Checks each image that appears in a folder, or changes there, until Ctrl-C. A file
is waited for until it has not changed for a while (--settle), a server (--server)
until it is back."""

_AGAIN_AFTER = 5.0
"""Seconds from a server's failure to the next try, where it does not ask for more."""


def add_parser(commands: Commands) -> None:
    """Adds `watch` to the commands."""
    parser = commands.add_parser(
        "watch", help="check images as they appear in folders", description=_DESCRIPTION, many="folders"
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("folders", nargs="*", metavar="DIR", help="a folder")
    add("-r", "--recursive", action="store_true", help="look into the subfolders too")
    add("--existing", action="store_true", help="also check what is there already")
    add("--json", action="store_true", help='one JSON object a line: a verdict, or {"error": …}')
    add(
        "--settle",
        type=seconds,
        metavar="SECONDS",
        default=2.0,
        help="how long a file has to stay the same (default: %(default)s)",
    )
    add(
        "--interval",
        type=seconds,
        metavar="SECONDS",
        default=0.5,
        help="how often to look (default: %(default)s)",
    )
    add_detector_options(parser)


def run(options: Namespace) -> int:
    """Watches until it is interrupted. Raises ConfigurationError, ModelError or ServiceError."""
    from .._watching import Watcher

    for folder in options.folders:
        if not os.path.isdir(folder):
            raise ConfigurationError(f"{printable(folder)}: no such folder. Check the path.")
    detector = open_detector(options)
    _ = detector.model  # a server that is not there, or refuses the key, is told now
    watcher = Watcher(lambda: _images(options), settle=options.settle, existing=options.existing)
    paint = painter(use_colour(sys.stdout, os.environ))
    say(f"watching {', '.join(map(printable, options.folders))}; Ctrl-C ends it")
    for path in watcher.forever(options.interval):
        answer = _answer(detector, path)
        if options.json:
            print(json_line(answer), flush=True)
        elif isinstance(answer, Verdict):
            print(line(answer, paint), flush=True)
        else:
            say(problem(answer))
    return 0


def _answer(detector: "Detector", path: str) -> Verdict | InputError:
    """Raises ServiceError where the server's refusal will stay; else waits until it answers."""
    said = ""
    while True:
        try:
            return detector.check(path)
        except InputError as error:
            return error
        except ServiceError as error:
            if not error.retryable:
                raise
            if said != (said := problem(error)):
                say(f"{said} It is tried again until it answers.")
            asked = error.retry_after if isinstance(error, RateLimitedError) else None
            time.sleep(max(_AGAIN_AFTER, asked or 0))


def _images(options: Namespace) -> Iterator[str]:
    """What is an image by its name; folders that cannot be read now are looked at again next time."""
    for folder in options.folders:
        yield from (one for one in images_in(folder, options.recursive) if isinstance(one, str))
