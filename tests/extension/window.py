"""A browser's window as the person before it has it, whichever browser it is."""

import time
from collections.abc import Callable
from typing import Any, Protocol

ANSWERS = ("Probably AI-generated", "Probably not AI-generated", "Uncertain")
PATIENCE = 90.0


class Window(Protocol):
    """One tab of a browser that has the extension. Functions of `js` and `extension` are written as
    `(given) => …`, may be async, and return what JSON can hold."""

    name: str

    def goto(self, address: str) -> None: ...

    def js(self, function: str, given: Any = None) -> Any:
        """What a script of the page finds."""

    def extension(self, function: str, given: Any = None) -> Any:
        """What a script of the extension finds."""

    def click(self, src: str, item: str = "image", framed: bool = False) -> None:
        """Right click on the image with this address, in the page or in its only frame, or else on the
        page itself; then on the extension's item of the menu."""

    def words(self) -> list[str]:
        """The texts of the page and of the cards on it."""

    def press(self, name: str) -> None:
        """Click on what has this name on a card or on the page."""

    def key(self, name: str) -> None:
        """A key, by the name that the DOM gives it."""

    def tabs(self) -> list[str]:
        """Addresses of all tabs."""

    def turn_to(self, part: str) -> None:
        """Goes on in the tab whose address has this in it, once there is one."""

    def close(self) -> None: ...


CLEAR = """async () => {
    // Pages can tell the background what to do; within itself its own event is given the message.
    const own = { id: chrome.runtime.id, url: chrome.runtime.getURL("") };
    const tell = (message) => globalThis.document ? chrome.runtime.sendMessage(message)
        : new Promise((done) => chrome.runtime.onMessage.dispatch(message, own, done));
    for (const key of Object.keys(await chrome.storage.session.get())) {
        if (key.startsWith("job:")) await tell({ type: "action", job: key.slice(4), action: "cancel" });
    }
    await chrome.storage.local.clear();
    await chrome.storage.session.clear();
}"""
"""Ends the checks that are under way, which would keep themselves again, and forgets everything."""


def keep(window: Window, **settings: object) -> None:
    """Settings, as the options page keeps them."""
    window.extension("values => chrome.storage.local.set(values)", settings)


def wait_for(window: Window, *texts: str) -> list[str]:
    """The words once one of these is among their beginnings."""
    found: list[str] = []

    def there() -> bool:
        found[:] = window.words()
        return any(word.startswith(texts) for word in found)

    wait(there, lambda: str(found))
    return found


def check(window: Window, address: str, src: str) -> list[str]:
    """Opens the page, asks for the image with this address on it; the words with the verdict."""
    window.goto(address)
    window.click(src)
    return wait_for(window, *ANSWERS)


def details(window: Window) -> list[str]:
    """The words once the card's details are open."""
    window.press("Details")
    return wait_for(window, "How it was read")


def jobs(window: Window) -> list[dict[str, Any]]:
    """What the extension keeps of its checks."""
    found: dict[str, Any] = window.extension("() => chrome.storage.session.get(null)")
    return [value for name, value in found.items() if name.startswith("job:")]


def wait(true: Callable[[], object], why: Callable[[], str] = str, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, why()
        time.sleep(0.1)


def within(true: Callable[[], object], seconds: float) -> bool:
    """Whether it comes about in time: what a browser may have passed over is done again if not."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
