"""The extension's own pages in Chromium: opened, the real popup too, and what they may never do."""

import itertools
import json
from types import TracebackType
from typing import Any

from ..end_to_end.stack import until
from .chromium import Chromium
from .window import CLEAR, PATIENCE, wait, within

_OPEN = """async (tabId) => {
    await chrome.scripting.executeScript({ target: { tabId }, func: () => {
        const attach = Element.prototype.attachShadow;
        Element.prototype.attachShadow = function (options) {
            return attach.call(this, { ...options, mode: "open" });
        };
    } });
}"""

MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>\u202egnp'
SEEN = MARKUP.replace("\u202e", "\ufffd")
"""What a stranger may call an image, and how it is shown."""

NAMES = ("popup", "options", "history", "report", "welcome", "allow")


def shown(page: Any) -> None:
    """Waits until a page of the extension's shows what it has to."""
    page.wait_for_selector("body:not([hidden])")
    page.wait_for_selector("[aria-busy=true]", state="detached")


class OwnPage:
    """`with OwnPage(chromium, "options.html") as page:` Fails for what the page tells the console of
    errors, and for requests to anywhere but the extension and `servers`."""

    def __init__(self, chromium: Chromium, name: str, *servers: str) -> None:
        self.chromium, self.name = chromium, name
        self.own = f"chrome-extension://{chromium.id}/"
        self.servers = tuple(server.rstrip("/") + "/" for server in servers)
        self.wrong: list[str] = []

    def __enter__(self) -> Any:
        self.page = self.chromium.context.new_page()
        self.page.set_viewport_size({"width": 900, "height": 800})
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._console)
        self.page.on("request", self._request)
        self.page.on("filechooser", lambda _: None)  # from now on no dialogue opens
        self.page.goto(f"{self.own}pages/{self.name}")
        shown(self.page)
        return self.page

    def _console(self, message: Any) -> None:
        # That a request failed is told by the browser itself, whatever a page does about it.
        failed = ("Failed to load resource", "Access to fetch at")
        if message.type == "error" and not message.text.startswith(failed):
            self.wrong.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.own, "blob:", "data:", *self.servers)):
            self.wrong.append(f"a request to {request.url}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.page.is_closed():
            self.page.close()
        assert kind or not self.wrong, self.wrong


class Popup:
    """The popup as the toolbar's button opens it over a page. Playwright does not know it."""

    def __init__(self, chromium: Chromium, page: Any) -> None:
        self.chromium, self.numbers, self.answers = chromium, itertools.count(1), {}
        self.session = chromium.context.browser.new_browser_cdp_session()
        for target in self._targets():  # of a click on the button that was to grant the page
            self.session.send("Target.closeTarget", {"targetId": target})
        until(self.closed)
        [target] = self._opened(page)
        self.session.on("Target.receivedMessageFromTarget", self._heard)
        attached = self.session.send("Target.attachToTarget", {"targetId": target, "flatten": False})
        self.attached = attached["sessionId"]
        until(lambda: self.js("document.body && !document.body.hidden"))

    def _opened(self, page: Any) -> list[str]:
        """The button closes a popup too: pressed again only where none is going to open."""

        def opened() -> bool:
            self.chromium.grant(page)
            return within(self._targets, PATIENCE / 6)

        wait(opened)
        return self._targets()

    def _targets(self) -> list[str]:
        found = self.session.send("Target.getTargets")["targetInfos"]
        return [one["targetId"] for one in found if one["url"].endswith("/pages/popup.html")]

    def _heard(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        self.answers[message.get("id")] = message

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        message = json.dumps({"id": number, "method": method, "params": params})
        self.session.send("Target.sendMessageToTarget", {"sessionId": self.attached, "message": message})

        def answered() -> bool:
            self.chromium.context.pages[0].wait_for_timeout(20)  # lets playwright hear of it
            return number in self.answers

        until(answered, lambda: method)
        answer = self.answers.pop(number)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def js(self, expression: str) -> Any:
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def closed(self) -> bool:
        return not self._targets()


def clear(chromium: Chromium) -> None:
    """Nothing kept, no check under way."""
    chromium.worker.evaluate(CLEAR)


def opened(chromium: Chromium, page: Any) -> int:
    """The id of a page's tab, whose cards can be looked into from now on: axe-core sees into no closed
    shadow root."""
    number = chromium.grant(page)
    chromium.worker.evaluate(_OPEN, number)
    return number


def tell(page: Any, told: str, text: str) -> None:
    """Waits until the page says this there."""
    until(lambda: text in page.inner_text(told), lambda: page.inner_text(told))


def turned_to(chromium: Chromium, part: str) -> Any:
    """The tab that was opened with this in its address."""
    found: list[Any] = []

    def there() -> bool:
        found[:] = chromium.with_address(part)
        return bool(found)

    until(there, lambda: str([page.url for page in chromium.context.pages]))
    return found[-1]
