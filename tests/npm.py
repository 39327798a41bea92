"""What the tests take from npm: kept in the environment's folder, so that it is downloaded once."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

TOOLS = {"@types/chrome": "0.3.7", "axe-core": "4.14.1", "typescript": "5.9.3", "web-ext": "10.6.0"}
"""web-ext 10.7.0 lacks a dependency of its own."""

NODE = 20
"""The oldest that web-ext runs on, and the unit tests."""


def node() -> str:
    """Node's path; skips without one that is new enough."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node.js, which is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < NODE:
        pytest.skip(f"needs Node.js {NODE} or later; this is {version.strip()}")
    return program


def modules() -> Path:
    """The folder `node_modules` with the tools; skips where npm cannot get them."""
    node()
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, which is not installed")
    inside = sys.prefix != sys.base_prefix
    parent = Path(sys.prefix if inside else tempfile.gettempdir())
    folder = parent / f"node-{'-'.join(TOOLS.values())}"
    if not folder.exists():
        _install(npm, parent, folder)
    return folder / "node_modules"


def _install(npm: str, parent: Path, folder: Path) -> None:
    """Under another name first, so that what was interrupted is never taken for whole."""
    wanted = [f"{name}@{version}" for name, version in TOOLS.items()]
    options = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]
    with tempfile.TemporaryDirectory(dir=parent) as begun:
        Path(begun, "package.json").write_text(json.dumps({"private": True}))
        command = [npm, "install", *options, begun, *wanted]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            pytest.skip(f"npm could not reach its registry: {(done.stderr or done.stdout)[-300:]}")
        Path(begun).chmod(0o755)
        try:
            Path(begun).rename(folder)
        except OSError:  # another run was faster
            assert folder.is_dir()
        else:
            Path(begun).mkdir()
