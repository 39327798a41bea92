"""`aidetect claims`: what files say of their own origin, without a model. The network is asked for
nothing but the files that an address names."""

import json
from argparse import Namespace
from typing import TYPE_CHECKING

from .._errors import InputError
from .._text import is_url, printable
from ._check import NOT_CHECKED
from ._inputs import STANDARD_INPUT, expand, standard_input
from ._options import add_limits
from ._parsing import Commands
from ._show import problem
from ._terminal import say

if TYPE_CHECKING:
    from .._fetch import Fetcher
    from .._provenance import Finding

_DESCRIPTION = """\
Says what image files state of their own origin: Content Credentials, and what
generators, editors and cameras wrote into them. No model is asked, and no image
is sent. All that is not signed by somebody trusted can be forged."""

_EXIT_STATUS = """\
exit status:
  0    all files were read
  1    some file could not be read; the others were
  2    wrong usage or configuration
  130  interrupted"""

_SAYS = {
    "ai": "AI made it",
    "edited": "AI made a part of it",
    "real": "a camera or a person made it",
    "unclear": "nothing on AI",
}


def add_parser(commands: Commands) -> None:
    """Adds `claims` to the commands."""
    parser = commands.add_parser(
        "claims",
        help="show what files say of their origin",
        description=_DESCRIPTION,
        epilog=_EXIT_STATUS,
        many="inputs",
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
    add(
        "--prompts",
        action="store_true",
        help="also what was typed to make the image, where the file holds it: up to 300 characters,"
        " private more often than not",
    )
    add("--json", action="store_true", help='one JSON object a line: {"file": …, "claims": […]}')
    add_limits(parser)


def run(options: Namespace) -> int:
    """Reads what the options name and returns the exit status. Raises ConfigurationError."""
    inputs = expand(options.inputs, recursive=options.recursive)
    fetcher = _fetcher(options) if any(isinstance(one, str) and is_url(one) for one in inputs) else None
    failed = False
    for name in inputs:
        try:
            if not isinstance(name, str):
                raise name
            source, found = _claims(name, options, fetcher)
        except InputError as error:
            failed = True
            if options.json:
                print(json.dumps({"error": error.to_dict()}), flush=True)
            else:
                say(problem(error))
            continue
        if options.json:
            evidence = [{"finding": one.says, **one.to_evidence().details} for one in found]
            print(json.dumps({"file": source, "claims": evidence}), flush=True)
        else:
            print(_shown(source, found), flush=True)
    return NOT_CHECKED if failed else 0


def _fetcher(options: Namespace) -> "Fetcher":
    from .._fetch import Fetcher  # not at the top: requests

    return Fetcher(
        max_bytes=options.max_bytes, timeout=options.timeout, allow_private=options.allow_private
    )


def _claims(
    name: str, options: Namespace, fetcher: "Fetcher | None"
) -> tuple[str, tuple["Finding", ...]]:
    """What the input is called, and what it says. Raises InputError that names it."""
    from .._image import decode  # not at the top: numpy and Pillow
    from .._provenance import find_claims
    from .._reading import read

    source = called = name
    try:
        if fetcher is not None and is_url(name):
            from .._fetch import shown

            called = shown(name)  # queries hold tokens, and messages end up in logs
            data = fetcher.fetch(name).data
        elif name == STANDARD_INPUT:
            file = standard_input(options.max_bytes)
            source = called = file.name
            data = read(file, options.max_bytes)
        else:
            data = read(name, options.max_bytes)
        decoded = decode(data, max_pixels=options.max_pixels, name=called)
    except InputError as error:
        error.input = error.input or called
        raise
    return source, find_claims(data, decoded.format, decoded.notes, prompts=options.prompts)


def _shown(name: str, found: tuple["Finding", ...]) -> str:
    lines = [printable(name) + ("" if found else ": says nothing of its origin, which means nothing")]
    for one in found:
        how = "signed" if one.signal.signed else "not proven"
        who = printable(one.generator or one.signal.who)
        lines.append(f"  {who}: {_SAYS[one.says]} ({one.signal.key}, {how})")
        lines += [f"    {key}: {printable(text)}" for key, text in one.details.items()]
    return "\n".join(lines)
