"""README and TRAINING.md are true: their Python runs; commands, options, extras and figures exist."""

import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from aidetect._weights import load_package
from aidetect_training.evaluate import head_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "TRAINING.md").read_text(encoding="utf-8")
RESULTS = ROOT / "training" / "results" / "devtest"
QUICK_EXAMPLE = 'from aidetect import Detector; print(Detector().check("photo.jpg"))\n'


def blocks(*languages: str, page: str = README) -> list[str]:
    return [
        text
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        if language in languages
    ]


def commands(page: str = README) -> list[str]:
    """Every command line: all of a ```bash block, what follows `$ ` in a ```console block."""
    lines = "".join(blocks("bash", page=page)).replace("\\\n", " ").splitlines()
    shown = "".join(blocks("console", page=page)).replace("\\\n", " ")
    lines += re.findall(r"^\$ (.*)", shown, re.MULTILINE)
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def run_script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = shutil.which(name, path=sysconfig.get_path("scripts"))
    assert script, f"the console script {name} is not installed"
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        [script, *arguments], capture_output=True, text=True, timeout=120, env=environment
    )


def script_problem(name: str, arguments: list[str]) -> str | None:
    """What is wrong with the subcommand or the options, by the script's own --help."""
    subcommand = [a for a in arguments[:1] if not a.startswith("-")]
    done = run_script(name, *subcommand, "--help")
    if done.returncode != 0:
        return f"`{name} {' '.join(subcommand)} --help` says: {done.stderr.strip()}"
    options = [a.split("=")[0] for a in arguments if a.startswith("-") and a != "-"]
    unknown = [o for o in options if not re.search(rf"(?<![\w-]){re.escape(o)}(?![\w-])", done.stdout)]
    return f"no option {unknown}" if unknown else None


def pip_problem(arguments: list[str]) -> str | None:
    """Only installs of this folder or of a wheel built from it, with extras that are declared."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    what = [a for a in arguments[1:] if not a.startswith("-")]
    if arguments[:1] != ["install"] or not what:
        return "not a `pip install` of something"
    for target in what:
        match = re.fullmatch(r"(\.|dist/aidetect_images-\S+\.whl)(?:\[([\w,]+)\])?", target)
        if not match:
            return f"{target} is not this project"
        unknown = set(filter(None, (match[2] or "").split(","))) - set(project["optional-dependencies"])
        if unknown:
            return f"no extra {unknown}"
    return None


def worker_class(arguments: list[str]) -> bool:
    """Whether `rq worker -w MODULE.CLASS` would find its class."""
    if arguments[:2] != ["worker", "-w"] or len(arguments) < 3:
        return False
    module, _, name = arguments[2].rpartition(".")
    return hasattr(importlib.import_module(module), name)


def problem(line: str) -> str | None:
    """Why this command line would not work in a clone; None where it would."""
    name, *arguments = shlex.split(line, comments=True)
    name = Path(name).name
    if name in ("aidetect", "aidetect-train"):
        return script_problem(name, arguments)
    if name == "pip":
        return pip_problem(arguments)
    if name == "make":
        targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        unknown = [a for a in arguments if "=" not in a and a not in targets]
        return f"no target {unknown}" if unknown else None
    if name in ("python", "python3") and arguments:
        if arguments[0] == "-m":
            return None if importlib.util.find_spec(arguments[1]) else f"no module {arguments[1]}"
        return None if (ROOT / arguments[0]).is_file() else f"no file {arguments[0]}"
    if name == "rq":
        return None if worker_class(arguments) else f"`rq {' '.join(arguments)}` names no worker class"
    if name in ("cd", "git"):
        return None
    return f"{name} is not a command that this test can check"


def test_the_first_python_block_is_the_quick_example() -> None:
    assert blocks("python")[0] == QUICK_EXAMPLE


@pytest.fixture(scope="session")
def photo(photograph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's photograph where the package registry answers, else the tests' own."""
    path = tmp_path_factory.mktemp("demo") / "photo.jpg"
    environment = {**os.environ, "PIP_RETRIES": "0", "PIP_DEFAULT_TIMEOUT": "15"}
    command = [sys.executable, str(ROOT / "tests" / "demo_photo.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    return path if done.returncode == 0 else photograph


@pytest.mark.parametrize("code", blocks("python"), ids=lambda code: code.splitlines()[0][:40])
def test_python_runs(code: str, photo: Path, tmp_path: Path) -> None:
    shutil.copy(photo, tmp_path / "photo.jpg")
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\b(ai|real|uncertain)\b", done.stdout, re.IGNORECASE)


@pytest.mark.parametrize("line", dict.fromkeys(commands() + commands(TRAINING)))
def test_command_exists(line: str) -> None:
    assert problem(line) is None


def test_the_table_is_that_of_the_last_evaluation() -> None:
    result = json.loads((RESULTS / "metrics.json").read_text(encoding="utf-8"))
    assert head_table(result) in README
    shipped, told = load_package().manifest.to_dict(), result["model"]
    assert {"name", "version", "weights_sha256", "calibration"} <= told.keys()
    assert told == {key: shipped[key] for key in told}


def test_the_two_first_commands_are_shown() -> None:
    assert {"make demo", "make test", "make bench"} <= set(commands())


@pytest.mark.parametrize(
    "line",
    [
        "make demonstration",
        "pip install '.[nothing]'",
        "pip install numpy",
        "python tests/nothing.py",
        "python -m aidetect_nothing",
        "curl example.org",
        "rq worker -w aidetect_worker.Worker checks",
        "aidetect chekc photo.jpg",
        "aidetect check --jsn photo.jpg",
    ],
)
def test_a_wrong_command_is_found(line: str) -> None:
    assert problem(line)


def test_without_a_registry_the_demo_photograph_fails_with_one_clear_line(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    target = tmp_path / "photo.jpg"
    command = [sys.executable, str(ROOT / "tests" / "demo_photo.py"), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 1
    assert not target.exists()
    assert len(done.stderr.splitlines()) == 1
    assert "scikit-learn" in done.stderr
