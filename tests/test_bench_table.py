"""`make bench`: one table of all figures; a missed target is shown, a crash fails."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUNNER = Path(__file__).parent / "bench" / "_all.py"
FIGURES = runpy.run_path(str(RUNNER.with_name("_figures.py")))
GOOD = """
import json, sys
print("measuring", *sys.argv[1:])
print(json.dumps({"speed": {"value": 1.23456, "target": "≥ 1.0", "met": True},
                  "memory": {"value": 900, "target": "≤ 400", "met": False}}))
"""


def bench(folder: Path, *options: str, **scripts: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(RUNNER, folder)
    for name, text in scripts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    command = [sys.executable, str(folder / RUNNER.name), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_figures_become_one_table_and_a_missed_target_is_no_failure(tmp_path: Path) -> None:
    done = bench(tmp_path, a=GOOD, _helper="raise SystemExit(9)")
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["benchmark", "figure", "value", "target", "met"],
        ["a", "speed", "1.235", "≥", "1.0", "yes"],
        ["a", "memory", "900", "≤", "400", "NO"],
    ]


def test_a_crash_fails_after_the_others_have_run(tmp_path: Path) -> None:
    done = bench(tmp_path, a="raise SystemExit(3)", b=GOOD)
    assert done.returncode == 1
    assert "speed" in done.stdout
    assert "crashed: a.py: exit status 3" in done.stderr


def test_a_script_without_figures_fails(tmp_path: Path) -> None:
    done = bench(tmp_path, a="print('done')", b="", c="print('{\"speed\": 1}')")
    assert done.returncode == 1
    assert done.stderr.count("crashed:") == 3


def test_options_reach_every_script(tmp_path: Path) -> None:
    strict = "import sys; assert sys.argv[1:] == ['--full']\n" + GOOD
    assert bench(tmp_path, a=strict).returncode == 1
    assert bench(tmp_path, "--full", a=strict).returncode == 0


@pytest.mark.parametrize(
    ("kind", "given", "shown"),
    [
        ("at_most", (2.0006, 2), (2.001, "≤ 2", False)),
        ("at_least", (2, 2), (2, "≥ 2", True)),
        ("above", (1, 1), (1, "> 1", False)),
        ("above", (0.7, 0.5, (0.5, 0.9)), (0.7, "> 0.5; has 0.50–0.90", False)),
        ("untargeted", (0.12345,), (0.123, "–", True)),
    ],
)
def test_targets_are_shown_with_their_sign(
    kind: str, given: tuple[Any, ...], shown: tuple[float, str, bool]
) -> None:
    assert FIGURES[kind](*given) == dict(zip(("value", "target", "met"), shown, strict=True))


def test_every_benchmark_leaves_the_signs_to_them() -> None:
    """Before, one table had `2`, `<= 2` and `≤ 2`."""
    scripts = {path.name: path.read_text(encoding="utf-8") for path in RUNNER.parent.glob("[!_]*.py")}
    signed = re.compile(r"\"(≤|≥|<=?|>=?)( [^\"]*)?\"|[\"']met[\"']")
    assert not {name: found[0] for name, text in scripts.items() if (found := signed.search(text))}
