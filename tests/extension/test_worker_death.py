"""The browser ends the extension's background in the middle of a check: the next one goes on."""

from pathlib import Path
from typing import Any

from ..end_to_end.stack import Stack
from .firefox import Firefox, FirefoxWindow
from .site import Site
from .test_faults import worker_at_rest
from .undebugged import Undebugged
from .window import ANSWERS, CLEAR, PATIENCE, keep, wait, wait_for, within

_DISPATCH = """(async () => {{
    // Its address is told where the click has granted the tab.
    const tab = (await chrome.tabs.query({{}})).find((one) => one.url === {page!r});
    const info = {{ menuItemId: "image", mediaType: "image", srcUrl: {src!r}, pageUrl: {page!r} }};
    chrome.contextMenus.onClicked.dispatch({{ ...info, frameId: 0, editable: false }}, tab);
}})()"""
_END = """
const [id, done] = arguments;
const options = { ignoreDevToolsAttached: true, disableResetIdleForTest: true };
const { extension } = WebExtensionPolicy.getByID(id);
extension.terminateBackground(options).then(() => done(extension.backgroundState));
"""
_GRANTED = "chrome.tabs.query({{}}).then((tabs) => tabs.some((tab) => tab.url === {page!r}))"


def test_chromium(chromium_program: tuple[Any, str], tmp_path: Path, site: Site, stack: Stack) -> None:
    page, src = site.page("/", '<img src="/image/51.jpg">'), f"{site.address}/image/51.jpg"
    with Undebugged(chromium_program[1], tmp_path / "profile") as browser:
        first = browser.worker()
        assert first
        settings = {"server": stack.address.rstrip("/"), "key": stack.key}
        browser.evaluate(first, f"chrome.storage.local.set({settings})")
        wait(lambda: any("pages/welcome.html" in one["url"] for one in browser.targets()))
        attached = browser.attach(first)  # it may be slow to be asked; from its end on it is on its own
        shown = browser.send("Target.createTarget", url=page)["targetId"]

        def tab() -> list[str]:
            return [one["targetId"] for one in browser.targets("tab") if one["url"] == page]

        wait(lambda: browser.evaluate(shown, "document.images[0]?.complete") and tab())
        extension = browser.evaluate(first, "chrome.runtime.id")

        def granted() -> bool:
            browser.send("Target.activateTarget", targetId=shown)
            browser.send("Extensions.triggerAction", id=extension, targetId=tab()[0])
            return within(lambda: browser.evaluate(first, _GRANTED.format(page=page)), PATIENCE / 6)

        wait(granted)
        with worker_at_rest(stack):
            browser.evaluate(first, _DISPATCH.format(src=src, page=page))
            wait(
                lambda: any(word.startswith("In the queue") for word in browser.words(shown)),
                lambda: str(browser.words(shown)),
            )
            browser.detach(attached)
            browser.send("Target.closeTarget", targetId=first)
            wait(lambda: browser.worker() not in (None, first))  # the page asks how its check stands
        wait(lambda: set(ANSWERS) & set(browser.words(shown)), lambda: str(browser.words(shown)))


def test_firefox(firefox: Firefox, site: Site, stack: Stack) -> None:
    window = FirefoxWindow(firefox)
    try:
        window.extension(CLEAR)
        keep(window, server=stack.address.rstrip("/"), key=stack.key)
        window.goto(site.page("/", '<img src="/image/52.jpg">'))
        with worker_at_rest(stack):
            window.click(f"{site.address}/image/52.jpg")
            wait_for(window, "In the queue")
            with firefox.marionette.using_context("chrome"):
                ended = firefox.marionette.execute_async_script(_END, [firefox.id])
            assert ended == "stopped"
        wait_for(window, *ANSWERS)
    finally:
        window.close()
