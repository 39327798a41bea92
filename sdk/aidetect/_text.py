"""Strings from strangers (file names, URLs, metadata, server messages): harmless to show, told apart."""

import re
import unicodedata

_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|(?i:data:image/)")


def is_url(text: str) -> bool:
    """Whether an input is to be fetched. Also with a scheme that will be refused, such as file: or
    data:, which then is said of it, instead of that there is no such file. `C://` is a drive."""
    return _URL.match(text) is not None


def is_data_url(url: str) -> bool:
    """Whether an address is itself the content."""
    return url[:5].lower() == "data:"


def printable(text: str, limit: int = 300) -> str:
    """`text` with every character that steers a terminal or reorders a line written as an escape.

    Control and format characters (ANSI escapes, right-to-left overrides, zero-width joins, line
    breaks, lone surrogates of undecodable file names) become `\\x1b`-style escapes; what is
    longer than `limit` characters is cut and ends with an ellipsis.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNSAFE else c for c in cut
    )
