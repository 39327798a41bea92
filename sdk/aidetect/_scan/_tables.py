"""The rows of a scan as JSON lines, CSV or Parquet, written whole or not at all."""

import csv
import importlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TextIO

from .._errors import ConfigurationError, MissingExtraError
from .._text import printable
from ._journal import Row

_COLUMNS: dict[str, str] = {
    "path": "string",
    "label": "string",
    "probability": "float64",
    "decided_by": "string",
    "uncertain_because": "string",
    "reasons": "string",
    "width": "int64",
    "height": "int64",
    "format": "string",
    "bytes": "int64",
    "sha256": "string",
    "same_as": "string",
    "model": "string",
    "checked_at": "string",
    "error": "string",
    "message": "string",
}
"""Column → Arrow type. `error` is a code, empty where there is a verdict."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet runs a cell that begins so (OWASP, "CSV Injection"; the last four are full-width)."""

_TEXT_LIMIT = 8000
_ROWS_AT_ONCE = 2000


def check_table(path: str) -> None:
    """Raises ConfigurationError, before hours of work, where the table could not be written."""
    suffix = _suffix(path)
    if suffix not in _WRITERS:
        raise ConfigurationError(
            f"{printable(path)}: tables end with {', '.join(_WRITERS)}. Choose one of these."
        )
    if suffix == ".parquet":
        _arrow()
    if os.path.isdir(path):
        raise ConfigurationError(f"{printable(path)}: is a folder. Name a file.")
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise ConfigurationError(f"{printable(path)}: there is no such folder. Make it first.")


def write_table(rows: Iterable[Row], path: str) -> None:
    """Writes `rows` to `path`, whose ending chooses the format; an older file stays until then."""
    with whole(path) as part:
        _WRITERS[_suffix(path)](rows, part)


@contextmanager
def whole(path: str) -> Iterator[str]:
    """A name to write to; what is there becomes `path` when the block ends without an error. What a
    run leaves that is interrupted, the next one writes over: the name is the same, and the journal
    lets one run at a time."""
    part = f"{path}.part"
    try:
        yield part
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _write_json_lines(rows: Iterable[Row], path: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        for row in rows:
            more = {} if row.same_as is None else {"same_as": row.same_as}
            file.write(json.dumps({**row.wire, **more}) + "\n")


def _write_csv(rows: Iterable[Row], path: str) -> None:
    with open(path, "w", encoding="utf-8-sig", newline="") as file:  # the mark tells Excel it is UTF-8
        _csv(rows, file)


def _csv(rows: Iterable[Row], file: TextIO) -> None:
    table = csv.writer(file)
    table.writerow(_COLUMNS)
    for row in rows:
        table.writerow([_harmless(value) for value in _values(row)])


def _harmless(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def _write_parquet(rows: Iterable[Row], path: str) -> None:
    arrow, parquet = _arrow()
    schema = arrow.schema([(name, getattr(arrow, kind)()) for name, kind in _COLUMNS.items()])
    left = iter(rows)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while part := [_values(row) for row in islice(left, _ROWS_AT_ONCE)]:
            columns = [list(column) for column in zip(*part, strict=True)]
            writer.write_table(arrow.table(columns, schema=schema))


def _arrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError(
            "Parquet needs pyarrow, which is not installed. From a clone of aidetect:"
            " pip install '.[parquet]'. Or name a .csv or .jsonl file."
        ) from None


def _values(row: Row) -> tuple[str | float | None, ...]:
    """In the order of the columns, text harmless to show."""
    wire = row.wire
    image, model, error = wire.get("image", {}), wire.get("model", {}), wire.get("error", {})
    reasons = " ".join(reason["text"] for reason in wire.get("reasons", ()))
    values = (
        *(row.path, wire.get("label"), wire.get("probability"), wire.get("decided_by")),
        *(wire.get("uncertain_because"), reasons or None),
        *(image.get("width"), image.get("height"), image.get("format"), image.get("bytes")),
        *(image.get("sha256"), row.same_as),
        f"{model['name']} {model['version']}" if model else None,
        *(wire.get("checked_at"), error.get("code"), error.get("message")),
    )
    return tuple(printable(value, _TEXT_LIMIT) if isinstance(value, str) else value for value in values)


_WRITERS: dict[str, Callable[[Iterable[Row], str], None]] = {
    ".jsonl": _write_json_lines,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
