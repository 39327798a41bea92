"""What the arguments of `aidetect check` and `claims` stand for."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from io import BytesIO

from .._errors import ConfigurationError, InputError, InputNotFoundError
from .._text import is_url, printable

STANDARD_INPUT = "-"

_SUFFIX = re.compile(r"\.(jpe?g|jpe|jfif|a?png|webp|avif|gif|bmp|dib|tiff?|hei[cf]|hif)", re.IGNORECASE)
"""By these, images are told from other files in a folder. A file that is named itself may have any."""


def expand(arguments: Iterable[str], *, recursive: bool) -> list[str | InputError]:
    """The inputs to check, in order: paths, URLs, `-` for standard input.

    A folder stands for the image files in it, sorted, with `recursive` also for those in its
    subfolders; names that begin with a dot are left out. In place of a folder that cannot be read
    or holds no image stands the error. Raises ConfigurationError for `-` where nothing can be read.
    """
    arguments = list(arguments)
    if arguments.count(STANDARD_INPUT) > 1:
        raise ConfigurationError("`-` is given twice, but standard input can be read once only.")
    if STANDARD_INPUT in arguments and (sys.stdin is None or sys.stdin.isatty()):
        raise ConfigurationError(
            "`-` reads an image from standard input, which has none here. "
            "Give it one: aidetect check - < photo.jpg"
        )
    inputs: list[str | InputError] = []
    for argument in arguments:
        if not is_url(argument) and argument != STANDARD_INPUT and os.path.isdir(argument):
            inputs += images_in(argument, recursive)
        else:
            inputs.append(argument)
    return inputs


def standard_input(max_bytes: int) -> BytesIO:
    """What is on standard input, to where it is known to be too large. Read here and not by a thread
    of the detector, so that an endless wait can be interrupted."""
    from .._reading import read_up_to

    file = BytesIO(read_up_to(sys.stdin.buffer, max_bytes))
    file.name = "<stdin>"  # as Python calls it; verdict and messages will
    return file


def images_in(folder: str, recursive: bool) -> Iterator[str | InputError]:
    errors: list[OSError] = []
    found = False
    subfolders = False
    for parent, folders, files in os.walk(folder, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        subfolders = subfolders or bool(folders)
        if not recursive:
            folders.clear()
        for name in sorted(files):
            path = os.path.join(parent, name)
            if _is_image_name(name) and (os.path.isfile(path) or not os.path.exists(path)):
                found = True  # a link to nothing is one, and gets its error
                yield path
    for error in errors:
        name = os.fsdecode(error.filename)
        yield InputError(
            f"{printable(name)}: this folder cannot be read ({error.strerror}). Check who may read it.",
            input=name,
        )
    if not found and not errors:
        advice = "Name the files themselves if they are called unlike images (.jpg, .png, …)."
        if subfolders and not recursive:
            advice = "Add --recursive to look into its subfolders too."
        yield InputNotFoundError(
            f"{printable(folder)}: there are no images in this folder. {advice}", input=folder
        )


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and _SUFFIX.fullmatch(os.path.splitext(name)[1]) is not None
