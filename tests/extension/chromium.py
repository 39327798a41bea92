"""Chromium with the extension loaded as a person loads it, and the click that grants it a tab.

Playwright cannot open a native context menu. The browser's own protocol presses the toolbar button on a
tab, which grants `activeTab` as a real click does; then the menu's event is dispatched in the service
worker, which alone grants nothing.
"""

import time
from pathlib import Path
from typing import Any

from ..end_to_end.conftest import FLAGS

EXTENSION = Path(__file__).resolve().parents[2] / "extension"
PATIENCE = 60.0
ANSWERS = ("Probably AI-generated", "Probably not AI-generated", "Uncertain")


class Chromium:
    """One profile with the extension: `with Chromium(playwright, program, folder) as chromium:`"""

    def __init__(self, playwright: Any, program: str, profile: Path) -> None:
        loads = [f"--disable-extensions-except={EXTENSION}", f"--load-extension={EXTENSION}"]
        self.context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=program, args=[*FLAGS, *loads]
        )
        workers = self.context.service_workers
        self.worker = (
            workers[0] if workers else self.context.wait_for_event("serviceworker", timeout=120_000)
        )
        self.id = self.worker.url.split("/")[2]
        self.session = self.context.browser.new_browser_cdp_session()

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *exc: object) -> None:
        self.context.close()

    def keep(self, **settings: object) -> None:
        """Settings, as the options page keeps them."""
        self.worker.evaluate("values => chrome.storage.local.set(values)", settings)

    def click_image(self, page: Any, src: str) -> None:
        """Right click on the image with this address in the page's top frame, then "Check image"."""
        page.bring_to_front()
        targets = self.session.send(
            "Target.getTargets", {"filter": [{"type": "tab", "exclude": False}]}
        )["targetInfos"]
        [target] = [one["targetId"] for one in targets if one["url"] == page.url]
        self.session.send("Extensions.triggerAction", {"id": self.id, "targetId": target})
        info = {"menuItemId": "image", "mediaType": "image", "srcUrl": src, "frameId": 0}
        self.worker.evaluate(
            """async (info) => {
                const tabs = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
                chrome.contextMenus.onClicked.dispatch(info, tabs[0]);
            }""",
            {**info, "editable": False, "pageUrl": page.url},
        )

    def words(self, page: Any) -> list[str]:
        """The texts that a screen reader finds on a page, those in closed shadow roots too."""
        session = page.context.new_cdp_session(page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        session.detach()
        found = [node.get("name", {}).get("value", "") for node in nodes if not node.get("ignored")]
        return [text for text in found if text]

    def wait_for(self, page: Any, *texts: str) -> list[str]:
        """The page's words once one of these is among their beginnings."""
        end = time.monotonic() + PATIENCE
        while True:
            words = self.words(page)
            if any(word.startswith(texts) for word in words):
                return words
            assert time.monotonic() < end, words
            time.sleep(0.2)
