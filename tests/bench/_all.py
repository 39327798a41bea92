"""Runs every benchmark of this folder and prints its figures as one table.

A benchmark is a script whose last line of output is one JSON object,
`{figure: {"value": …, "target": …, "met": true|false}}`. Options given here are handed to each.
A target that is not met is shown, and is no failure; a script that crashes or ends with anything
else is (exit 1), after the others have run.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Row = tuple[str, str, str, str, str]


def figures(output: str) -> dict[str, dict[str, Any]]:
    """The JSON object on the last line; ValueError where there is none of the agreed form."""
    found = json.loads((output.strip().splitlines() or [""])[-1])
    if not isinstance(found, dict):
        raise ValueError("the last line is not a JSON object")
    for name, figure in found.items():
        if not isinstance(figure, dict) or not {"value", "target", "met"} <= figure.keys():
            raise ValueError(f"figure {name} lacks value, target or met")
    return found


def shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def rows(script: Path, output: str) -> list[Row]:
    return [
        (script.stem, name, shown(f["value"]), shown(f["target"]), "yes" if f["met"] else "NO")
        for name, f in figures(output).items()
    ]


def table(lines: list[Row]) -> str:
    lines = [("benchmark", "figure", "value", "target", "met"), *lines]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def main(folder: Path, options: list[str]) -> int:
    """Runs the scripts of `folder`, their messages straight to the terminal; returns the exit status."""
    found: list[Row] = []
    crashed: list[str] = []
    for script in sorted(folder.glob("[!_]*.py")):
        print(f"{script.name} …", file=sys.stderr, flush=True)
        command = [sys.executable, str(script), *options]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            if done.returncode != 0:
                raise ValueError(f"exit status {done.returncode}")
            found += rows(script, done.stdout)
        except ValueError as error:
            print(done.stdout, end="")
            crashed.append(f"{script.name}: {error}")
    print(table(found))
    for line in crashed:
        print(f"crashed: {line}", file=sys.stderr)
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main(HERE, sys.argv[1:]))
