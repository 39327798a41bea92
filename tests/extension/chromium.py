"""Chromium with the extension loaded as a person loads it, and the click that grants it a tab.

Playwright cannot open a native context menu. The browser's own protocol presses the toolbar button on a
tab, which grants `activeTab` as a real click does; then the menu's event is dispatched in the service
worker, which alone grants nothing.
"""

import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..end_to_end.conftest import FLAGS
from .window import PATIENCE, wait

EXTENSION = Path(__file__).resolve().parents[2] / "extension"

BEGUN = "() => Boolean(globalThis.chrome?.contextMenus?.onClicked?.hasListeners())"

GRANTED = """async (url) => {
    const pause = () => new Promise((over) => setTimeout(over, 20));
    for (const end = Date.now() + 3000; Date.now() < end; await pause()) {
        const [tab] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
        const script = { target: { tabId: tab?.id ?? -1 }, func: () => location.href };
        const [run] = tab ? await chrome.scripting.executeScript(script).catch(() => []) : [];
        if (run?.result === url) return tab.id;
    }
    return null;
}"""
"""The id of the tab in front, where it shows this address and lets the extension run a script."""

CLICKED = """async ({ tab: id, framed, ...info }) => {
    const tab = await chrome.tabs.get(id);
    const isThere = (id) => chrome.scripting
        .executeScript({ target: { tabId: tab.id, frameIds: [id] }, func: () => 0 })
        .then(() => true, (error) => !String(error).includes("No frame with id"));
    let frameId = 0;
    while (framed && frameId < 1000 && !(await isThere(++frameId)));
    chrome.contextMenus.onClicked.dispatch({ ...info, frameId }, tab);
}"""

MARK = """function () {
    this.wasClicked = false;
    this.addEventListener("click", () => { this.wasClicked = true; }, { capture: true, once: true });
}"""
ROLES = ("button", "radio", "checkbox", "link", "textbox", "DisclosureTriangle")


class Chromium:
    """One profile with the extension: `with Chromium(playwright, program, folder) as chromium:`"""

    def __init__(self, playwright: Any, program: str, profile: Path, **options: Any) -> None:
        """`options` are those of playwright's launch_persistent_context."""
        flags = [flag for flag in FLAGS if options.get("headless", True) or "headless" not in flag]
        loads = [f"--disable-extensions-except={EXTENSION}", f"--load-extension={EXTENSION}"]
        self.context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=program, args=[*flags, *loads], timeout=120_000, **options
        )
        self.context.set_default_timeout(1000 * PATIENCE)
        workers = self.context.service_workers
        self.worker = (
            workers[0] if workers else self.context.wait_for_event("serviceworker", timeout=120_000)
        )
        self.id = self.worker.url.split("/")[2]
        self.session = self.context.browser.new_browser_cdp_session()
        wait(lambda: self.worker.evaluate(BEGUN))
        # Opened at its own time, the first page would take the front from a test's.
        wait(lambda: self.with_address("pages/welcome.html"), lambda: str(self.tabs()))
        self.with_address("pages/welcome.html")[0].close()

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *exc: object) -> None:
        self.context.close()

    def keep(self, **settings: object) -> None:
        """Settings, as the options page keeps them."""
        self.worker.evaluate("values => chrome.storage.local.set(values)", settings)

    def with_address(self, part: str) -> list[Any]:
        """The pages with this in their address, the oldest first."""
        self.context.pages[0].wait_for_timeout(20)  # lets playwright hear of new ones
        return [page for page in self.context.pages if part in page.url]

    def grant(self, page: Any) -> int:
        """What a click on the toolbar's button grants on this page; what the browser calls its tab. It
        hears of a tab's opening, closing and coming to the front at its own pace: pressed until the
        page's tab is in front and open to the extension."""
        presses, tab = itertools.count(), list[int]()

        def granted() -> bool:
            page.bring_to_front()
            targets = self.session.send(
                "Target.getTargets", {"filter": [{"type": "tab", "exclude": False}]}
            )["targetInfos"]
            found = [one["targetId"] for one in targets if one["url"] == page.url]
            if not found:
                return False
            target = found[-1 - next(presses) % len(found)]
            self.session.send("Extensions.triggerAction", {"id": self.id, "targetId": target})
            tab[:] = filter(None, [self.worker.evaluate(GRANTED, page.url)])
            return bool(tab)

        wait(granted, lambda: f"{page.url} was not granted: {self.tabs()}")
        return tab[0]

    def click_image(self, page: Any, src: str, item: str = "image", framed: bool = False) -> None:
        """Right click on the image with this address, in the page or in its only frame, then on the item
        of the menu."""
        info = {"menuItemId": item, "mediaType": "image", "srcUrl": src, "pageUrl": page.url}
        given = {"tab": self.grant(page), "framed": framed, "editable": False, **info}
        self.worker.evaluate(CLICKED, given)

    def tabs(self) -> Any:
        """The tabs as the extension sees them, with the addresses of those that it may read."""
        parts = "({ id, active, url }) => ({ id, active, url })"
        query = f"async () => (await chrome.tabs.query({{}})).map({parts})"
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
        """A click on what has this name. Cards move while they are filled: where the click went by, it
        is made again."""
        wait(lambda: self._pressed(page, name), lambda: f"{name}: {self.words(page)}")

    def _pressed(self, page: Any, name: str) -> bool:
        from playwright.sync_api import Error

        named = [node for node in self.nodes(page) if node["name"]["value"] == name]
        found = [node["backendDOMNodeId"] for node in named if node["role"]["value"] in ROLES]
        if not found:
            return False
        node = {"backendNodeId": found[-1]}
        session = page.context.new_cdp_session(page)
        try:
            session.send("DOM.scrollIntoViewIfNeeded", node)
            before = session.send("DOM.getContentQuads", node)["quads"]
            object = {"objectId": session.send("DOM.resolveNode", node)["object"]["objectId"]}
            session.send("Runtime.callFunctionOn", {**object, "functionDeclaration": MARK})
            page.wait_for_timeout(50)
            quads = session.send("DOM.getContentQuads", node)["quads"]
        except Error:  # it was drawn anew meanwhile
            return False
        if not quads or quads != before:
            return False
        [quad, *_] = quads
        try:
            page.mouse.click((quad[0] + quad[4]) / 2, (quad[1] + quad[5]) / 2)
            look = {"functionDeclaration": "function () { return this.wasClicked; }", **object}
            answer = session.send("Runtime.callFunctionOn", {**look, "returnByValue": True})
            session.detach()
        except Error:
            return True  # the click took the page away
        return bool(answer["result"].get("value"))

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
        found: list[Any] = []

        def there() -> bool:
            found[:] = self.chromium.with_address(part)
            return bool(found)

        wait(there, lambda: str(self.tabs()))
        self.page = found[-1]
        self.page.bring_to_front()

    def close(self) -> None:
        """All tabs but the first."""
        from playwright.sync_api import Error

        for page in self.chromium.context.pages[1:]:
            with suppress(Error):  # one that closed itself meanwhile
                page.close()
