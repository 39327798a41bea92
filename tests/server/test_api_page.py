"""The examples of docs/api.md, run as they stand, against all real parts."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from ..sdk.origin import Origin
from ..worker.workers import PATIENCE
from .gunicorn_server import GunicornServer

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_examples_do_what_the_page_says(
    root: Path,
    serve: Callable[..., GunicornServer],
    run_worker: Callable[[str], None],
    key: str,
    photograph: Path,
    tmp_path: Path,
) -> None:
    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("needs curl and bash")
    blocks = BLOCK.findall((root / "docs" / "api.md").read_text(encoding="utf-8"))[1:]
    run_worker("fleet.FleetWorker")
    server = serve()
    shutil.copy(photograph, tmp_path / "photo.jpg")
    with Origin() as origin:
        url = origin.serve("/photo.jpg", b"an image", headers={"Content-Type": "image/jpeg"})
        names = {"SERVER": server.url, "KEY": key, "IMAGE_URL": url}
        outputs: list[str] = []
        shell = Shell(tmp_path, names)
        for block in blocks:
            if "$REPORTED" in block:
                shell.names["REPORTED"] = json.loads(outputs[0])["id"]
            outputs.append(shell.run(block))
    raw, form, by_url, by_hash, followed, events, picture, deleted, batch, report, itself = outputs
    for text in (raw, form, by_url, by_hash, followed):
        assert json.loads(text)["state"] == "done", text
    assert json.loads(raw)["verdict"]["image"] == json.loads(by_hash)["verdict"]["image"]
    assert "event: state" in events and '"done"' in events
    assert (tmp_path / "heatmap.png").read_bytes().startswith(b"\x89PNG") and not picture
    assert deleted == ""
    assert len(json.loads(batch)["checks"]) == 2
    assert json.loads(report)["id"]
    assert '"status": "ok"' in itself and '"ready": true' in itself and '"max_bytes"' in itself


class Shell:
    """Runs blocks one after the other; what one sets, the next one knows."""

    def __init__(self, folder: Path, names: dict[str, str]) -> None:
        self.folder, self.names = folder, names

    def run(self, block: str) -> str:
        ending = '\nprintf "%s" "$CHECK" > check.txt\n'
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "CHECK=${CHECK:-}\n" + block + ending],
            cwd=self.folder,
            env={**os.environ, **self.names},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        self.names["CHECK"] = (self.folder / "check.txt").read_text()
        return done.stdout


def test_the_page_names_every_route(root: Path, app: Flask) -> None:
    page = (root / "docs" / "api.md").read_text(encoding="utf-8")
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]*>", "$CHECK", rule.rule)
        if not path.startswith("/static"):
            assert path in page or path.replace("$CHECK", "{id}") in page, rule.rule


def test_the_page_knows_every_code_that_the_server_has_beside_its_status(root: Path) -> None:
    page = (root / "docs" / "api.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\d{3}) \| (.*?) \|", page, re.MULTILINE))
    source = "".join(
        path.read_text("utf-8") for path in (root / "server" / "aidetect_server").glob("_*.py")
    )
    raised = set(re.findall(r'\bstatus=(\d{3}),\s+code="([a-z_]+)"', source))
    assert {code for _, code in raised} == set(re.findall(r'\bcode="([a-z_]+)"', source))
    assert ("400", "truncated") in raised
    assert {(status, code) for status, code in raised if f"`{code}`" not in rows[status]} == set()
