"""TOML files, and the dataclasses that are made of their tables and check themselves."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from aidetect import ConfigurationError


def need(met: bool, key: str, value: object, wanted: str) -> None:
    if not met:
        raise ConfigurationError(f"{key} is {value!r}; it has to be {wanted}")


def read_table(name_or_path: str, folder: Path, kind: str) -> tuple[Path, dict[str, Any]]:
    """The TOML file of a built-in name, which lies in `folder`, or of a path; and what it holds.

    Raises ConfigurationError, with `kind` for what it should be, where it is missing or broken.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = folder / f"{name_or_path}.toml"
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise ConfigurationError(
            f"There is no {kind} {name_or_path!r}. Give a .toml file or one of {known}."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Correct the file.") from None


def change(table: dict[str, Any], key: str, value: Any, file: str) -> None:
    """Sets what stands under a dotted key; a number counts the entries of a list from 0.

    Raises ConfigurationError, naming file and key, where nothing above the key is a table."""
    *sections, last = key.split(".")
    section: Any = table
    above = "it"
    for depth, part in enumerate([*sections, last]):
        if isinstance(section, list) and part.isdecimal() and int(part) < len(section):
            place: Any = int(part)
        elif isinstance(section, dict):
            place = part
        else:
            raise ConfigurationError(f"{file}: there is no {key} to change: {above} is no table")
        if depth == len(sections):
            section[place] = value
        else:
            section = section.setdefault(place, {}) if isinstance(section, dict) else section[place]
            above = part


def build(kind: type[Any], table: Any, file: str, key: str) -> Any:
    """A dataclass from a TOML table that stands under `key`.

    Raises ConfigurationError, naming file and key, for an unknown or missing key and a wrong value.
    """
    if not isinstance(table, dict):
        raise ConfigurationError(f"{file}: {key} is {table!r}; it has to be a table")
    prefix = f"{key}." if key else ""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := sorted(set(table) - set(fields)):
        raise ConfigurationError(f"{file}: unknown {prefix}{unknown[0]}; known are {', '.join(fields)}")
    for name, f in fields.items():
        optional = f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING
        if name not in table and not optional:
            raise ConfigurationError(f"{file}: {prefix}{name} is missing")
    values = {name: _typed(fields[name].type, v, file, prefix + name) for name, v in table.items()}
    try:
        return kind(**values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {prefix}{error}") from None


def _typed(kind: Any, value: Any, file: str, key: str) -> Any:
    """`value` as `kind`: a dataclass, a tuple of kinds, a Literal, or a plain type."""
    if dataclasses.is_dataclass(kind):
        return build(kind, value, file, key)  # type: ignore[arg-type]
    parts = get_args(kind)
    if get_origin(kind) is tuple and isinstance(value, list):
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) == len(value):
            pairs = enumerate(zip(kinds, value, strict=True))
            return tuple(_typed(k, v, file, f"{key}[{i}]") for i, (k, v) in pairs)
    elif get_origin(kind) is Literal:
        if value in parts and type(value) is type(parts[0]):
            return value
        kind = " or ".join(map(repr, parts))
    elif kind is float and type(value) is int:
        return float(value)
    elif type(value) is (get_origin(kind) or kind):
        return value
    if get_origin(kind) is tuple:
        wanted = "a list" if parts[-1] is Ellipsis else f"a list of {len(parts)}"
    else:
        wanted = kind if isinstance(kind, str) else kind.__name__
    raise ConfigurationError(f"{file}: {key} is {value!r}; it has to be {wanted}")
