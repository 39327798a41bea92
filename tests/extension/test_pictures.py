"""The pictures in docs/extension.md, drawn anew; `UPDATE_DOCS=1` before the command keeps them there."""

import base64
import io
import os
import re
from pathlib import Path
from typing import Any

from PIL import Image

from ..end_to_end.stack import until
from ..sdk.origin import Origin
from .chromium import Chromium
from .pages import OwnPage, Popup, clear
from .scene import landscape
from .window import ANSWERS

PAGE = """<!doctype html><html lang="en"><title>A lake</title>
<style>body { font: 18px/1.6 "DejaVu Serif", serif; margin: 32px; max-width: 860px }
img { max-width: 100% }</style>
<h1>The lake in the morning</h1><img src="/lake.jpg" alt="The lake">
<p>Before the wind comes up, the hills stand in the water as they stand above it.</p></html>"""
LARGEST = 60_000


def test_the_pictures_of_the_documentation(
    connected: Chromium, tab: Any, root: Path, tmp_path: Path
) -> None:
    folder = root / "docs" / "images" if os.environ.get("UPDATE_DOCS") else tmp_path
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str, png: bytes) -> None:
        file = folder / f"extension-{name}.webp"
        Image.open(io.BytesIO(png)).save(file, quality=80, method=6)
        assert 2_000 < file.stat().st_size <= LARGEST

    with Origin() as site:
        site.serve("/lake.jpg", landscape())
        site.answers["/"] = lambda handler: handler.reply(
            PAGE.encode(), headers={"Content-Type": "text/html"}
        )
        tab.set_viewport_size({"width": 1180, "height": 800})
        tab.goto(site.url("/"))
        connected.click_image(tab, site.url("/lake.jpg"))
        connected.wait_for(tab, *ANSWERS)
        connected.wait_for(tab, "Strength of the heat map")
        keep("card", tab.screenshot())
        popup = Popup(connected, tab)
        until(lambda: popup.js("document.querySelectorAll('#images li').length") == 1)
        shot = popup.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        keep("popup", base64.b64decode(shot["data"]))
        [job] = connected.worker.evaluate("async () => Object.keys(await chrome.storage.session.get())")
        report = f"report.html?{job.replace(':', '=')}"
        for name, address in (("options", "options.html"), ("report", report)):
            with OwnPage(connected, address) as page:
                if name == "report":
                    page.get_by_label("Strength of the heat map").wait_for()
                keep(name, page.screenshot(full_page=True))
        clear(connected)
        with OwnPage(connected, "welcome.html") as page:
            keep("welcome", page.screenshot(full_page=True))

    text = (root / "docs" / "extension.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\(images/(extension-\w+\.webp)\)", text))
    assert shown == {path.name for path in folder.glob("extension-*.webp")}
    for name in shown:
        assert (root / "docs" / "images" / name).stat().st_size <= LARGEST
