"""The extension in Chromium: how soon the card is seen after a click, and the verdict; what it weighs.

The clock starts where the browser tells the extension of the click, and stops in the first frame that
shows what was waited for. Server, worker and model are real and on this machine; images are drawn here.
The 95th percentile over the images is compared with the target. `--full` checks 60 instead of 20.
"""

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from _figures import at_most, print_figures  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from tests.end_to_end.stack import Stack, until  # noqa: E402
from tests.extension.chromium import Chromium  # noqa: E402
from tests.extension.pages import opened  # noqa: E402
from tests.extension.site import Site  # noqa: E402

WATCH = """() => {
    globalThis.seen = {};
    const look = () => {
        const host = document.querySelector("[popover] > div");
        const label = host?.offsetHeight ? host.shadowRoot.querySelector("article").dataset.label : null;
        const at = performance.timeOrigin + performance.now();
        if (label) globalThis.seen.card ??= at;
        if (label && label !== "busy") globalThis.seen[label] ??= at;
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""
"""Notes in each frame what the one before it has shown."""

CLICK = """async ([tabId, srcUrl]) => {
    const tab = await chrome.tabs.get(tabId);
    const at = performance.timeOrigin + performance.now();
    const info = { menuItemId: "image", mediaType: "image", srcUrl, frameId: 0 };
    chrome.contextMenus.onClicked.dispatch(info, tab);
    return at;
}"""


def chromium_program() -> str:
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found is None:
        raise SystemExit("needs Chromium: apt-get install chromium")
    return found


def timed(chromium: Chromium, page: Any, address: str, src: str) -> tuple[float, float]:
    """Milliseconds from the click to the card, and to the verdict, on a new page."""
    page.goto(address)
    number = opened(chromium, page)
    page.evaluate(WATCH)
    clicked = chromium.worker.evaluate(CLICK, [number, src])
    until(
        lambda: len(page.evaluate("globalThis.seen")) > 1, lambda: str(page.evaluate("globalThis.seen"))
    )
    seen = page.evaluate("globalThis.seen")
    assert "failed" not in seen, chromium.words(page)
    return seen.pop("card") - clicked, min(seen.values()) - clicked


def unasked(chromium: Chromium, page: Any, site: Site) -> int:
    """Requests, elements and scripts on a page that nobody asked about, beyond its own."""
    address = site.page("/unasked", '<img src="/image/1.jpg">')
    worlds: list[str] = []
    requests: list[str] = []
    session = page.context.new_cdp_session(page)
    session.on(
        "Runtime.executionContextCreated", lambda event: worlds.append(event["context"]["origin"])
    )
    session.send("Runtime.enable")
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_timeout(2000)
    session.detach()
    own = {address, f"{site.address}/image/1.jpg", f"{site.address}/favicon.ico"}
    foreign = [origin for origin in worlds if origin.startswith("chrome-extension:")]
    elements = page.evaluate("document.documentElement.childElementCount") - 2
    return len(set(requests) - own) + len(foreign) + elements


def packages() -> int:
    """Bytes of the larger of the two."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "extension" / "package.py"), folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return max(path.stat().st_size for path in Path(folder).glob("*.zip"))


def at_95(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="60 images")
    count = 60 if parser.parse_args().full else 20
    site = Site()
    cards: list[float] = []
    new: list[float] = []
    known: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        Stack(Path(folder, "up")) as stack,
        Chromium(playwright, chromium_program(), Path(folder, "profile")) as chromium,
    ):
        page = chromium.context.new_page()
        other = unasked(chromium, page, site)
        chromium.keep(server=stack.address.rstrip("/"), key=stack.key)
        for number in range(1, count + 1):
            src = f"{site.address}/image/{number}.jpg"
            address = site.page(f"/{number}", f'<img src="/image/{number}.jpg">')
            for verdicts in (new, known):
                card, verdict = timed(chromium, page, address, src)
                cards.append(card)
                verdicts.append(verdict)
    site.close()
    for name, values in (("card", cards), ("verdict, new", new), ("verdict, known", known)):
        print(
            f"{name:16} median {sorted(values)[len(values) // 2]:7.1f} ms, largest {max(values):7.1f} ms"
        )
    figures: dict[str, tuple[float, float]] = {
        "ms from click to card": (round(at_95(cards), 1), 100),
        "ms from click to a known image's verdict": (round(at_95(known), 1), 300),
        "bytes of the package": (packages(), 200_000),
        "requests, elements and scripts unasked": (other, 0),
    }
    print_figures({name: at_most(value, most) for name, (value, most) in figures.items()})


if __name__ == "__main__":
    main()
