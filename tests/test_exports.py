"""The public surface: what `aidetect.__all__` names, nothing more, and an import that costs nothing."""

import importlib.metadata
import inspect
import json
import subprocess
import sys
from typing import Any

import pytest

import aidetect
from aidetect import _errors

ERRORS = {
    name for name, value in vars(_errors).items() if inspect.isclass(value) and name.endswith("Error")
}
PUBLIC = ERRORS | {
    "Detector",
    "Evidence",
    "Explanation",
    "ImageInfo",
    "ModelInfo",
    "Reason",
    "Verdict",
    "__version__",
}
HEAVY = ["torch", "torchvision", "onnxruntime", "openvino", "PIL", "numpy", "requests", "cryptography"]


def in_fresh_process(program: str) -> Any:
    """What `program` prints as JSON, run by a new interpreter in which warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_all_names_the_public_surface() -> None:
    assert set(aidetect.__all__) == PUBLIC
    assert len(aidetect.__all__) == len(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_says_where_it_lives(name: str) -> None:
    value = getattr(aidetect, name)
    if inspect.isclass(value):
        assert value.__name__ == name
        assert value.__module__.split(".")[0] == "aidetect"


@pytest.mark.parametrize("name", sorted(PUBLIC - ERRORS - {"__version__"}))
def test_every_public_class_has_a_docstring_of_its_own(name: str) -> None:
    documented = vars(getattr(aidetect, name)).get("__doc__")
    assert documented and not documented.startswith(f"{name}(")  # what dataclasses write themselves


def test_every_error_has_one_root_and_a_code_of_its_own() -> None:
    errors = [getattr(aidetect, name) for name in sorted(ERRORS)]
    assert all(issubclass(error, aidetect.AidetectError) for error in errors)
    assert len({error.code for error in errors}) == len(errors)
    assert all(f"{name}  " in _errors.__doc__ or f"{name}\n" in _errors.__doc__ for name in ERRORS)


@pytest.mark.parametrize("program", ["", "[getattr(aidetect, name) for name in aidetect.__all__]"])
def test_no_private_name_leaks(program: str) -> None:
    listed = in_fresh_process(f"import json, aidetect\n{program}\nprint(json.dumps(dir(aidetect)))")
    assert {name for name in listed if not name.startswith("_")} == PUBLIC - {"__version__"}


def test_a_star_import_brings_what_all_names() -> None:
    names = in_fresh_process("from aidetect import *\nimport json\nprint(json.dumps(list(globals())))")
    assert set(names) >= PUBLIC


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="Detectr"):
        aidetect.Detectr  # noqa: B018  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_distribution() -> None:
    assert aidetect.__version__ == importlib.metadata.version("aidetect-images")


@pytest.mark.parametrize("module", ["aidetect", "aidetect._cli"])
def test_an_import_loads_nothing_heavy(module: str) -> None:
    program = f"import json, sys, {module}\nprint(json.dumps(list(sys.modules)))"
    assert not set(HEAVY) & set(in_fresh_process(program))


def test_an_import_takes_at_most_a_tenth_of_a_second() -> None:
    """Of processor time, whatever else the machine does; `tests/bench/sdk.py` has its wall time."""
    program = "import time\nt = time.process_time()\nimport aidetect\nprint(time.process_time() - t)"
    assert min(in_fresh_process(program) for _ in range(5)) <= 0.1
