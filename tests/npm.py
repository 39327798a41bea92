"""What the tests take from npm: kept in the environment's folder, so that it is downloaded once."""

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

TOOLS = {"@types/chrome": "0.3.7", "axe-core": "4.14.1", "typescript": "5.9.3", "web-ext": "10.6.0"}
"""web-ext 10.7.0 lacks a dependency of its own."""

NODE = (20, 19)
"""The oldest that takes modules for what they are, without a file that says so; web-ext wants 20."""


def node() -> str:
    """Node's path; skips without one that is new enough."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node.js, which is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip().lstrip("v").split(".")[:2])) < NODE:
        pytest.skip(f"needs Node.js {'.'.join(map(str, NODE))} or later; this is {version.strip()}")
    return program


def modules() -> Path:
    """The folder `node_modules` with the tools; skips where npm cannot get them."""
    found = _modules()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@functools.cache
def _modules() -> Path | str:
    """The folder, or why there is none: asked for once."""
    npm = shutil.which("npm")
    if npm is None:
        return "needs npm, which is not installed"
    inside = sys.prefix != sys.base_prefix
    parent = Path(sys.prefix if inside else tempfile.gettempdir())
    folder = parent / f"node-{'-'.join(TOOLS.values())}"
    problem = None if folder.exists() else _install(npm, parent, folder)
    return problem or folder / "node_modules"


def _install(npm: str, parent: Path, folder: Path) -> str | None:
    """Under another name first, so what was interrupted is never taken for whole; what went wrong."""
    wanted = [f"{name}@{version}" for name, version in TOOLS.items()]
    options = ["--loglevel=error", "--no-audit", "--no-fund", "--ignore-scripts"]
    options += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    with tempfile.TemporaryDirectory(dir=parent) as begun:
        Path(begun, "package.json").write_text(json.dumps({"private": True}))
        command = [npm, "install", *options, "--prefix", begun, *wanted]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            return f"npm could not reach its registry: {(done.stderr or done.stdout).strip()[:300]}"
        Path(begun).chmod(0o755)
        try:
            Path(begun).rename(folder)
        except OSError:  # another run was faster
            assert folder.is_dir()
        else:
            Path(begun).mkdir()
    return None
