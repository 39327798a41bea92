"""The command `aidetect`.

Nothing heavy is imported before a command runs: `--help` and `--version` answer at once.

Further commands come from the entry-point group `aidetect.commands`. An entry point's name is the
command's name; what it loads is called with argparse's subparsers action (`Commands`), adds a parser
of that name and sets its default `run`, a function of the parsed options that returns the exit
status: what `aidetect._cli._check.add_parser` does. Its module must import quickly, since
`aidetect --help` loads all of them; other calls load the one that they need, built-in commands none.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from .. import __version__
from .._errors import AidetectError, MissingExtraError
from . import _check, _claims, _explain, _models, _scan, _verify, _watch
from ._parsing import Commands, Parser
from ._show import problem
from ._terminal import discard_output, interruptible, say, streams

BROKEN_PIPE = 141
"""What a shell reports for a program that wrote to a reader that had left (128 + SIGPIPE)."""

_DESCRIPTION = "Tells whether images were made by AI, how sure it is, and why."
_BUILT_IN: dict[str, Callable[[Commands], None]] = {
    "check": _check.add_parser,
    "claims": _claims.add_parser,
    "explain": _explain.add_parser,
    "models": _models.add_parser,
    "scan": _scan.add_parser,
    "verify": _verify.add_parser,
    "watch": _watch.add_parser,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (default: the process's own) and returns the exit status.

    0 done, 2 wrong usage or configuration, 130 interrupted; what else there is, each command's
    `--help` says. Results go to stdout, everything else to stderr.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with streams(), interruptible():
        try:
            status = _run(arguments)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            discard_output()
            return BROKEN_PIPE
        except AidetectError as error:
            say(problem(error))
        except OSError as error:
            say(f"the output could not be written: {error.strerror or error}")
            discard_output()
        return 2


def _run(arguments: list[str]) -> int:
    parser = Parser(prog="aidetect", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"aidetect {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_parser in _BUILT_IN.values():
        add_parser(commands)
    command = next((word for word in arguments if not word.startswith("-")), None)
    if command not in _BUILT_IN and "--version" not in arguments[:1]:
        _add_installed(commands, command)
    try:
        options = parser.parse_args(arguments)
    except SystemExit as ended:  # --help, --version or wrong usage: argparse has said all
        return ended.code if isinstance(ended.code, int) else 2
    status: int = options.run(options)
    return status


def _add_installed(commands: Commands, wanted: str | None) -> None:
    """Adds the entry points' commands: `wanted` alone, or all of them where that is None.

    A command whose package lacks an optional part is listed as such; asked for, it raises
    MissingExtraError.
    """
    metadata: Any = import_module("importlib.metadata")  # costs more than all of the rest
    for entry in sorted(metadata.entry_points(group="aidetect.commands"), key=lambda e: str(e.name)):
        if wanted not in (None, entry.name) or entry.name in commands.choices:
            continue
        try:
            entry.load()(commands)
        except ImportError as error:
            if wanted is not None:
                raise MissingExtraError(
                    f"`aidetect {entry.name}` needs a part that is not installed ({error}). "
                    "Install aidetect with the extra of that part."
                ) from None
            commands.add_parser(entry.name, help="(needs a part that is not installed)")
