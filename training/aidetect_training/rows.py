"""`metrics.csv` of a training folder: a row an evaluation, the samples trained on so far first."""

import csv
from pathlib import Path


def append_row(path: Path, row: dict[str, float]) -> None:
    """Adds a row; a table that an earlier version began keeps its columns."""
    columns, begun = list(row), path.exists()
    if begun:
        with open(path, newline="", encoding="utf-8") as table:
            columns = next(csv.reader(table))
    with open(path, "a", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, columns, extrasaction="ignore")
        if not begun:
            writer.writeheader()
        writer.writerow(row)


def forget_rows_after(path: Path, samples: int) -> None:
    """Takes out evaluations later than the checkpoint that a run goes on from: they come again."""
    if not path.exists():
        return
    with open(path, newline="", encoding="utf-8") as table:
        head, *rows = list(csv.reader(table))
    with open(path, "w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([head, *(row for row in rows if float(row[0]) <= samples)])


def read_rows(path: Path) -> list[dict[str, float]]:
    """The rows, or none where there is no table yet."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as table:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(table)]
