"""The command `aidetect`.

Nothing heavy is imported before a command runs: `--help` and `--version` answer at once.

Further commands come from the entry-point group `aidetect.commands`. An entry point's name is the
command's name; what it loads is called with argparse's subparsers action (`Commands`), adds a parser
of that name and sets its default `run`, a function of the parsed options that returns the exit
status: what `aidetect._cli._check.add_parser` does. Its module must import quickly, since
`aidetect --help` loads all of them; other calls load the one that they need, built-in commands none.
So what is heavy, or comes with an extra, is imported by `run`.
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
    installed: dict[str, Any] = {}
    if command not in _BUILT_IN and "--version" not in arguments[:1]:
        installed = _add_installed(commands, command)
    try:
        options = parser.parse_args(arguments)
    except SystemExit as ended:  # --help, --version or wrong usage: argparse has said all
        return ended.code if isinstance(ended.code, int) else 2
    try:
        status: int = options.run(options)
    except ModuleNotFoundError as error:
        if command not in installed or (error.name or "").startswith("aidetect"):
            raise
        raise _lacking(installed[command], error) from None
    return status


def _add_installed(commands: Commands, wanted: str | None) -> dict[str, Any]:
    """Adds the entry points' commands: `wanted` alone, or all of them where none has that name.

    A command whose package lacks an optional part is listed as such; asked for, it raises
    MissingExtraError. Returns the entry points of those that were added, by their names.
    """
    metadata: Any = import_module("importlib.metadata")  # costs more than all of the rest
    entries = sorted(metadata.entry_points(group="aidetect.commands"), key=lambda e: str(e.name))
    if wanted not in [entry.name for entry in entries]:
        wanted = None
    added = {}
    for entry in entries:
        if wanted not in (None, entry.name) or entry.name in commands.choices:
            continue
        try:
            entry.load()(commands)
        except ImportError as error:
            if wanted is not None:
                raise _lacking(entry, error) from None
            commands.add_parser(entry.name, help="(needs a part that is not installed)")
        added[entry.name] = entry
    return added


def _lacking(entry: Any, error: ImportError) -> MissingExtraError:
    """Says what an entry point's command lacks, and the extra, which is named as its package is."""
    extra = entry.module.partition(".")[0].rpartition("_")[2]
    known = entry.dist is not None and extra in (entry.dist.metadata.get_all("Provides-Extra") or ())
    return MissingExtraError(
        f"`aidetect {entry.name}` needs a part that is not installed ({error}). "
        + (
            f"From a clone of aidetect: pip install '.[{extra}]'."
            if known
            else "Install its package with the extra of that part."
        )
    )
