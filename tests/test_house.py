"""Rules that hold for every file of the repository."""

import ast
import functools
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "sdk" / "aidetect" / "weights"

# Distributions whose module is not called as they are.
MODULES = {"c2pa_python": "c2pa", "pillow": "PIL", "scikit_learn": "sklearn"}

# Written so that they do not find themselves.
REGISTRY = re.compile(r"py(?:pi)\.org|python(?:hosted)\.org|npm(?:js)\.(?:org|com)")
HOME = re.compile(r"(?<![\w.$}~-])/(?:home/\w|Users/\w|root/|work/)")
PIP_INSTALL = re.compile(r"pip3?\s+install(?:[ \t]*\n)?([^\n`#;&|]*)")


@functools.cache
def tracked() -> dict[str, Path]:
    """Path in the repository → file, for what is committed or would be."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone: what is tracked is not known here")
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return {name: ROOT / name for name in listed.split("\0") if (ROOT / name).is_file()}


@functools.cache
def texts() -> dict[str, str]:
    """The tracked files that are text."""
    found = {}
    for name, path in tracked().items():
        content = path.read_bytes()
        if b"\0" not in content[:8192]:
            found[name] = content.decode("utf-8")
    return found


def foreign_installs(text: str) -> list[str]:
    """Commands that would install the distribution `aidetect`, which is somebody else's."""
    commands = PIP_INSTALL.findall(text.replace("\\\n", " ").replace("aidetect-images", ""))
    return [c for c in commands if re.search(r"(?<![\w./-])aidetect(?![\w-]|\.\w)", c)]


def test_no_file_is_longer_than_400_lines() -> None:
    code = {
        n: t for n, t in texts().items() if n.endswith((".py", ".js", ".css", ".html", ".toml", ".md"))
    }
    assert "pyproject.toml" in code
    assert not {name: text.count("\n") for name, text in code.items() if text.count("\n") > 400}


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_nothing_tells_anybody_to_install_somebody_elses_package() -> None:
    assert not {name: foreign_installs(text) for name, text in texts().items() if foreign_installs(text)}


@pytest.mark.parametrize(
    "argument", ["aidetect", "'aidetect[server]'", "-U aidetect==1.0", "numpy \\\n  aidetect"]
)
def test_such_an_install_is_found(argument: str) -> None:
    assert foreign_installs(f"Run `pip install {argument}` first.")


@pytest.mark.parametrize(
    "argument", [".", "'.[server]'", "aidetect-images", "dist/aidetect_images-0.1.0.whl"]
)
def test_an_install_of_this_project_is_not(argument: str) -> None:
    assert not foreign_installs(f"Run `pip install {argument}`, then `aidetect check`.\naidetect is …")


@pytest.mark.parametrize("pattern", [REGISTRY, HOME], ids=["registry host", "path of one machine"])
def test_no_text_names(pattern: re.Pattern[str]) -> None:
    found = {name: match[0] for name, text in texts().items() if (match := pattern.search(text))}
    assert not found


def test_the_patterns_find_what_they_are_for() -> None:
    assert REGISTRY.search("https://" + "py" + "pi.org/simple")
    assert HOME.search("open('" + "/home" + "/someone')") and HOME.search("cd " + "/root" + "/x")
    assert not HOME.search("https://example.org/home/page") and not HOME.search("tests/wo" + "rk/x")


def test_one_model_is_shipped_and_it_is_small() -> None:
    shipped = [path for path in tracked().values() if path.is_relative_to(WEIGHTS)]
    kinds = sorted(path.suffix for path in shipped if path.suffix != ".py")
    assert kinds == [".json", ".onnx", ".safetensors"]
    assert len({path.stem for path in shipped if path.suffix != ".py"}) == 1
    assert sum(path.stat().st_size for path in shipped) <= 60_000_000


def test_no_weights_lie_anywhere_else() -> None:
    weights = (".safetensors", ".onnx", ".pt", ".pth", ".ckpt")
    assert not [n for n, p in tracked().items() if n.endswith(weights) and not p.is_relative_to(WEIGHTS)]


def test_ci_runs_and_calls_the_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o100
    assert re.search(r"^make test\b", script.read_text(encoding="utf-8"), re.MULTILINE)


def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages() -> set[str]:
    """The import packages' folders, such as `sdk/aidetect`."""
    return {name.rsplit("/", 1)[0] for name in tracked() if re.fullmatch(r"\w+/\w+/__init__\.py", name)}


def imported(tree: ast.Module) -> set[str]:
    """Top-level modules that a file imports anywhere in it; relative imports are left out."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(node.module or "")
    return {name.split(".")[0] for name in names}


def test_every_package_is_in_the_wheel() -> None:
    assert packages() == set(settings()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert settings()["project"]["name"] == "aidetect-images"


@pytest.mark.parametrize("folder", ["sdk", "server", "worker", "training"])
def test_imports_are_declared_and_run_one_way(folder: str) -> None:
    project = settings()["project"]
    extras = project["optional-dependencies"]
    declared = project["dependencies"] + [d for name in extras if name != "dev" for d in extras[name]]
    modules = {re.split(r"[^\w-]", requirement)[0].replace("-", "_") for requirement in declared}
    modules |= {MODULES[name] for name in MODULES if name in modules}
    own = {package.split("/")[1] for package in packages() if package.startswith(f"{folder}/")}
    own |= {"aidetect_worker"} if folder == "server" else set()  # whose light half asks the queue
    allowed = modules | own | {"aidetect"} | set(sys.stdlib_module_names)
    sources = {n: t for n, t in texts().items() if n.startswith(f"{folder}/") and n.endswith(".py")}
    assert sources
    foreign = {name: imported(ast.parse(text)) - allowed for name, text in sources.items()}
    assert not {name: modules for name, modules in foreign.items() if modules}
