"""`aidetect verify`: whether a verdict is what a server signed, and of this image, without a network."""

import hashlib
import json
import os
from argparse import Namespace
from typing import Any

from .._errors import ConfigurationError, SignatureError
from .._text import printable
from ._parsing import Commands

NOT_VERIFIED = 1
MAX_JSON_BYTES = 2_000_000
KEYS_VARIABLE = "AIDETECT_VERDICT_KEYS"

_DESCRIPTION = """\
Says whether a verdict is what a server signed, and whether it is of this image.
Nothing is sent anywhere. The verdict is a server's answer as it came, or any
JSON object with `verdict` and `signature`."""

_EPILOG = f"""\
exit status:
  0    signed by one of the keys, unchanged, and of this image
  1    not so; the message says what is wrong
  2    wrong usage, or a file cannot be read

A server's public keys are at its address, under /.well-known/jwks.json: get
them once, over a connection that you trust. {KEYS_VARIABLE} names their
file for good. Not signed are `cached`, `elapsed_ms` and `source`, the name
under which the image was given."""


def add_parser(commands: Commands) -> None:
    """Adds `verify` to the commands."""
    parser = commands.add_parser(
        "verify", help="check a signed verdict, offline", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument("verdict", metavar="VERDICT", help="the file with verdict and signature")
    parser.add_argument("image", metavar="IMAGE", help="the image that it is of")
    parser.add_argument(
        "--keys",
        metavar="FILE",
        help=f"the server's public keys: its jwks.json, or PEM (default: {KEYS_VARIABLE})",
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Raises ConfigurationError for files that cannot be read or hold something else."""
    from .._jws import Keys

    path = options.keys or os.environ.get(KEYS_VARIABLE)
    if not path:
        raise ConfigurationError(
            "whose signature to trust is not known: name the server's public keys with --keys, "
            "such as a copy of its /.well-known/jwks.json"
        )
    keys = Keys.read(_read(path), path)
    verdict, signature = signed_verdict(_read(options.verdict), options.verdict)
    try:
        keys.verify(verdict, signature)
        image = verdict["image"]
        if _sha256(options.image) != image["sha256"]:
            raise SignatureError(
                f"the verdict is not of {printable(options.image)}: it is of an image with other bytes. "
                "Give the file that was checked, not a copy that was scaled or saved again."
            )
    except SignatureError as error:
        print(f"not verified: {printable(error.message, 1000)}")
        return NOT_VERIFIED
    model = verdict["model"]
    print(f"verified: signed, unchanged, and of {printable(options.image)}")
    print(
        f"  {printable(str(verdict['label']))}, P(AI) = {verdict['probability']:.3f}, by model "
        f"{printable(str(model['name']))} {printable(str(model['version']))}, "
        f"{printable(str(verdict['checked_at']))}"
    )
    return 0


def signed_verdict(data: bytes, name: str) -> tuple[dict[str, Any], str]:
    """The verdict and its signature in a JSON file.

    A name that stands twice in one object is refused: other readers may take the other value.
    Raises ConfigurationError for what is not such a file.
    """
    try:
        found = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
        verdict, signature = found["verdict"], found["signature"]
        if isinstance(verdict, dict) and isinstance(signature, str):
            return verdict, signature
        why = "its verdict has no signature"
    except (ValueError, RecursionError) as error:
        why = f"it is not JSON ({error})"
    except (KeyError, TypeError):
        why = "it lacks `verdict` or `signature`"
    raise ConfigurationError(
        f"{printable(name)}: is no signed verdict: {printable(why, 200)}. Give a server's answer as it "
        "came."
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_JSON_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if len(data) > MAX_JSON_BYTES:
        raise ConfigurationError(
            f"{printable(path)}: more than {MAX_JSON_BYTES:,} bytes, which no such file has. Check the "
            "path."
        )
    return data


def _sha256(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> ConfigurationError:
    reason = getattr(error, "strerror", None) or str(error)
    return ConfigurationError(f"{printable(path)}: {printable(reason)}. Check the path.")
