"""argparse with the manners of this command line."""

import argparse
import os
import threading
from typing import Any, NoReturn, TypeAlias

from .._text import printable
from ._terminal import say

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where a command adds its parser."""


class Parser(argparse.ArgumentParser):
    """No abbreviated options, which would break scripts when an option is added; epilogs as written;
    an error is one harmless sentence and where help is, not a screen of usage.

    With `many`, a destination's name, the parser has one positional argument, that list, whose
    words may stand anywhere (`check a.jpg --json b.jpg`; argparse takes one run of them) and are
    all that follows `--`. It has to end up with a word at least. Where a file was taken for options,
    the error says how to name it.
    """

    def __init__(self, *, many: str | None = None, **arguments: Any) -> None:
        arguments.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **arguments)
        self._many = many
        self._words: list[str] = []

    def error(self, message: str) -> NoReturn:
        advice = f"`{self.prog} --help` lists what can be given"
        for word in self._words:
            if word.startswith("-") and word not in self._option_string_actions and os.path.exists(word):
                advice = f"the file of that name is given as ./{printable(word)}, or after --"
        say(f"{printable(message, 1000)}; {advice}")
        self.exit(2)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._many is None:
            return super().parse_known_args(args, namespace)
        words = list(args or ())
        end = words.index("--") if "--" in words else len(words)
        self._words = words[:end]
        options, rest = super().parse_known_args(words[:end], namespace)
        unknown = [word for word in rest if word.startswith("-") and word != "-"]
        many = getattr(options, self._many) + [word for word in rest if word not in unknown]
        setattr(options, self._many, many + words[end + 1 :])
        if unknown:
            self.error(f"there is no option {' '.join(unknown)}")
        if not getattr(options, self._many):
            self.error(f"no {self._many} given")
        return options, []


def positive_int(text: str) -> int:
    """A whole number above zero; separators as in 50_000_000 are fine."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return value


def seconds(text: str) -> float:
    """A time above zero that can be waited for."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above zero")
    if value > threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {threading.TIMEOUT_MAX:.0f} seconds")
    return value
