"""`aidetect claims`: what files say of their own origin, without a model and without the network."""

import json
from argparse import Namespace
from typing import TYPE_CHECKING

from .._errors import InputError
from .._text import printable
from ._check import NOT_CHECKED
from ._inputs import expand
from ._parsing import Commands, positive_int
from ._show import problem
from ._terminal import say

if TYPE_CHECKING:
    from .._provenance import Finding

_DESCRIPTION = """\
Says what image files state of their own origin: Content Credentials, and what
generators, editors and cameras wrote into them. No model is asked, and nothing
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
    add("inputs", nargs="*", metavar="FILE", help="an image file, or a folder of them")
    add("-r", "--recursive", action="store_true", help="look into the subfolders of folders too")
    add(
        "--prompts",
        action="store_true",
        help="also what was typed to make the image, where the file holds it: up to 300 characters,"
        " private more often than not",
    )
    add("--json", action="store_true", help='one JSON object a line: {"file": …, "claims": […]}')
    add(
        "--max-bytes",
        type=positive_int,
        metavar="N",
        default=20_000_000,
        help="largest file (default: %(default)s)",
    )


def run(options: Namespace) -> int:
    """Reads what the options name and returns the exit status. Raises ConfigurationError."""
    failed = False
    for name in expand(options.inputs, recursive=options.recursive):
        try:
            if not isinstance(name, str):
                raise name
            found = _claims(name, options.max_bytes, options.prompts)
        except InputError as error:
            failed = True
            print(json.dumps({"error": error.to_dict()})) if options.json else say(problem(error))
            continue
        if options.json:
            evidence = [{"finding": one.says, **one.to_evidence().details} for one in found]
            print(json.dumps({"file": name, "claims": evidence}), flush=True)
        else:
            print(_shown(name, found), flush=True)
    return NOT_CHECKED if failed else 0


def _claims(name: str, limit: int, prompts: bool) -> tuple["Finding", ...]:
    from .._image import decode  # not at the top: numpy and Pillow
    from .._provenance import find_claims
    from .._reading import read

    data = read(name, limit)
    decoded = decode(data, name=name)
    return find_claims(data, decoded.format, decoded.notes, prompts=prompts)


def _shown(name: str, found: tuple["Finding", ...]) -> str:
    lines = [printable(name) + ("" if found else ": says nothing of its origin, which means nothing")]
    for one in found:
        how = "signed" if one.signal.signed else "not proven"
        who = printable(one.generator or one.signal.who)
        lines.append(f"  {who}: {_SAYS[one.says]} ({one.signal.key}, {how})")
        lines += [f"    {key}: {printable(text)}" for key, text in one.details.items()]
    return "\n".join(lines)
