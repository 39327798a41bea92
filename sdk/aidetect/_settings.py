"""Settings from environment variables: each named once, with its default and its meaning.

A part of aidetect declares a frozen dataclass derived from `Settings`, each field made by `setting`;
`from_environment` reads it, `table` writes the table of the documentation, which is tested against it.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ._errors import ConfigurationError
from ._text import printable

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def _switch(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("give 1 or 0")
    return text.lower() in _TRUE


def _comma_separated(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_PARSERS: dict[type, Callable[[str], Any]] = {
    bool: _switch,
    int: int,
    float: float,
    str: str,
    tuple: _comma_separated,
}


def setting(
    default: Any,
    env: str,
    help: str,
    *,
    parse: Callable[[str], Any] | None = None,
    least: float | None = None,
    most: float | None = None,
    secret: bool = False,
) -> Any:
    """A field that the environment variable `env` sets.

    How its text is read follows from the default's type (1/0 for bool, commas for tuple), or is
    `parse`, which raises ValueError for what cannot be. `least` and `most` bound numbers. No message
    tells the value of a `secret`.
    """
    metadata = {
        "env": env,
        "help": help,
        "parse": parse or _PARSERS[str if default is None else type(default)],
        "least": least,
        "most": most,
        "secret": secret,
    }
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """Base of every group of settings."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, **given: Any) -> Self:
        """The settings as `environ` has them; what is `given` by name counts instead. An
        empty variable is one that is not set.

        Raises ConfigurationError that names the variable whose text cannot be.
        """
        values = dict(given)
        for each in dataclasses.fields(cls):
            text = environ.get(each.metadata["env"], "").strip()
            if text and each.name not in given:
                values[each.name] = _read(each, text)
        return cls(**values)


def _read(each: "dataclasses.Field[Any]", text: str) -> Any:
    about = each.metadata
    try:
        value = about["parse"](text)
        if about["least"] is not None and value < about["least"]:
            raise ValueError(f"{about['least']} is the least")
        if about["most"] is not None and value > about["most"]:
            raise ValueError(f"{about['most']} is the most")
        return value
    except (ValueError, TypeError) as error:
        shown = "its value" if about["secret"] else repr(printable(text, 100))
        raise ConfigurationError(f"{about['env']}: {shown} cannot be used: {error}") from None


def table(*groups: type[Settings]) -> str:
    """The settings of `groups` as a Markdown table, each once: variable, default, meaning."""
    rows = {
        each.metadata["env"]: f"| `{each.metadata['env']}` | {_shown(each)} | {each.metadata['help']} |"
        for group in groups
        for each in dataclasses.fields(group)
    }
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows.values()])


def _shown(each: "dataclasses.Field[Any]") -> str:
    default = each.default
    if default is None or default in ("", ()):
        return "–"
    if isinstance(default, bool):
        return f"`{int(default)}`"
    return f"`{','.join(default) if isinstance(default, tuple) else default}`"
