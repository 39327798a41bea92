"""Chromium with the extension loaded as a person loads it, and the click that grants it a tab.

Playwright cannot open a native context menu. The browser's own protocol presses the toolbar button on a
tab, which grants `activeTab` as a real click does; then the menu's event is dispatched in the service
worker, which alone grants nothing.
"""

import itertools
from pathlib import Path
from typing import Any

from ..end_to_end.conftest import FLAGS
from .window import wait

EXTENSION = Path(__file__).resolve().parents[2] / "extension"

GRANTED = """async (url) => {
    for (const end = Date.now() + 3000; Date.now() < end; await new Promise((go) => setTimeout(go, 20))) {
        const [tab] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
        const script = { target: { tabId: tab?.id ?? -1 }, func: () => location.href };
        const [run] = tab ? await chrome.scripting.executeScript(script).catch(() => []) : [];
        if (run?.result === url) return true;
    }
    return false;
}"""
"""Whether the tab in front shows this address and lets the extension run a script."""


class Chromium:
    """One profile with the extension: `with Chromium(playwright, program, folder) as chromium:`"""

    def __init__(self, playwright: Any, program: str, profile: Path, **options: Any) -> None:
        """`options` are those of playwright's launch_persistent_context."""
        flags = [flag for flag in FLAGS if options.get("headless", True) or "headless" not in flag]
        loads = [f"--disable-extensions-except={EXTENSION}", f"--load-extension={EXTENSION}"]
        self.context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=program, args=[*flags, *loads], **options
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

    def grant(self, page: Any) -> None:
        """What a click on the toolbar's button grants on this page. The browser hears of a tab's opening,
        closing and coming to the front at its own pace: pressed until the page's tab is in front and open
        to the extension."""
        page.bring_to_front()
        presses = itertools.count()

        def granted() -> bool:
            targets = self.session.send(
                "Target.getTargets", {"filter": [{"type": "tab", "exclude": False}]}
            )["targetInfos"]
            found = [one["targetId"] for one in targets if one["url"] == page.url]
            if not found:
                return False
            target = found[-1 - next(presses) % len(found)]
            self.session.send("Extensions.triggerAction", {"id": self.id, "targetId": target})
            return bool(self.worker.evaluate(GRANTED, page.url))

        wait(granted, lambda: f"{page.url} was not granted: {self.tabs()}")

    def click_image(self, page: Any, src: str, item: str = "image", framed: bool = False) -> None:
        """Right click on the image with this address, in the page or in its only frame, then on the item
        of the menu."""
        self.grant(page)
        info = {"menuItemId": item, "mediaType": "image", "srcUrl": src, "framed": framed}
        self.worker.evaluate(
            """async ({ framed, ...info }) => {
                const [tab] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
                const isThere = (id) => chrome.scripting
                    .executeScript({ target: { tabId: tab.id, frameIds: [id] }, func: () => 0 })
                    .then(() => true, (error) => !String(error).includes("No frame with id"));
                let frameId = 0;
                while (framed && frameId < 1000 && !(await isThere(++frameId)));
                chrome.contextMenus.onClicked.dispatch({ ...info, frameId }, tab);
            }""",
            {**info, "editable": False, "pageUrl": page.url},
        )

    def tabs(self) -> Any:
        """The tabs as the extension sees them, with the addresses of those that it may read."""
        query = "async () => (await chrome.tabs.query({})).map(({ id, active, url }) => ({ id, active, url }))"
        return self.worker.evaluate(query)

    def nodes(self, page: Any) -> list[dict[str, Any]]:
        """The page's accessibility tree, with what is in closed shadow roots."""
        session = page.context.new_cdp_session(page)
        nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
        session.detach()
        return [node for node in nodes if not node.get("ignored") and node.get("name", {}).get("value")]

    def words(self, page: Any) -> list[str]:
        """The texts that a screen reader finds on a page."""
        return [node["name"]["value"] for node in self.nodes(page)]

    def press(self, page: Any, name: str) -> None:
        """A click on what has this name."""
        roles = ("button", "radio", "checkbox", "link", "textbox", "DisclosureTriangle")
        found: list[int] = []

        def there() -> bool:
            for node in self.nodes(page):
                if node["name"]["value"] == name and node["role"]["value"] in roles:
                    found[:] = [node["backendDOMNodeId"]]
            return bool(found)

        wait(there, lambda: f"{name}: {self.words(page)}")
        session = page.context.new_cdp_session(page)
        session.send("DOM.scrollIntoViewIfNeeded", {"backendNodeId": found[0]})
        [quad] = session.send("DOM.getContentQuads", {"backendNodeId": found[0]})["quads"]
        session.detach()
        page.mouse.click((quad[0] + quad[4]) / 2, (quad[1] + quad[5]) / 2)

    def wait_for(self, page: Any, *texts: str) -> list[str]:
        """The page's words once one of these is among their beginnings."""
        words: list[str] = []

        def there() -> bool:
            words[:] = self.words(page)
            return any(word.startswith(texts) for word in words)

        wait(there, lambda: f"{words} in {[page.url for page in self.context.pages]}")
        return words


class ChromiumWindow:
    """See `window.Window`."""

    name = "chromium"

    def __init__(self, chromium: Chromium) -> None:
        self.chromium = chromium
        self.page = chromium.context.new_page()
        self.page.set_default_timeout(60_000)

    def goto(self, address: str) -> None:
        self.page.goto(address)

    def js(self, function: str, given: Any = None) -> Any:
        return self.page.evaluate(function, given)

    def extension(self, function: str, given: Any = None) -> Any:
        return self.chromium.worker.evaluate(function, given)

    def click(self, src: str, item: str = "image", framed: bool = False) -> None:
        self.chromium.click_image(self.page, src, item, framed)

    def words(self) -> list[str]:
        return self.chromium.words(self.page)

    def press(self, name: str) -> None:
        self.chromium.press(self.page, name)

    def key(self, name: str) -> None:
        self.page.keyboard.press(name)

    def tabs(self) -> list[str]:
        return [page.url for page in self.chromium.context.pages]

    def turn_to(self, part: str) -> None:
        def there() -> bool:
            found = [page for page in self.chromium.context.pages if part in page.url]
            if found:
                self.page = found[-1]
            self.chromium.context.pages[0].wait_for_timeout(20)  # lets playwright hear of new tabs
            return bool(found)

        wait(there, lambda: str(self.tabs()))
        self.page.bring_to_front()

    def close(self) -> None:
        """All tabs but the first."""
        for page in self.chromium.context.pages[1:]:
            page.close()
