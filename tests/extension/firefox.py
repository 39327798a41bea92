"""Firefox with the extension, driven through Marionette: real clicks, in the menu and in prompts too."""

import gc
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..sdk.origin import closed_port
from .chromium import EXTENSION
from .window import PATIENCE, wait

_RUN = """
const [source, done] = arguments;
const sandbox = Components.utils.Sandbox(window, {sandboxPrototype: window, wantXrays: false});
const answer = Components.utils.evalInSandbox(source, sandbox);
answer.then((text) => done([text]), (error) => done([null, String(error)]));
"""
"""As the page's own script would run, whatever the page's policy says."""

_INSIDE = """
function* inside(root) {
    for (const element of root.querySelectorAll("*")) {
        if (["SCRIPT", "STYLE"].includes(element.tagName) || !element.checkVisibility()) continue;
        yield element;
        if (element.openOrClosedShadowRoot) yield* inside(element.openOrClosedShadowRoot);
    }
}
const named = (element) => element.getAttribute("aria-label") ?? element.textContent.trim();
"""
_WORDS = (
    _INSIDE
    + """
const found = [];
for (const element of inside(document)) {
    if (element.hasAttribute("aria-label")) found.push(element.getAttribute("aria-label"));
    for (const node of element.childNodes) if (node.nodeType === 3) found.push(node.data.trim());
}
return found.filter(Boolean);
"""
)
_PLACE = (
    _INSIDE
    + """
const wanted = "button, summary, label, a, input";
for (const element of inside(document)) {
    if (!element.matches(wanted) || named(element) !== arguments[0]) continue;
    element.scrollIntoView({block: "nearest", behavior: "instant"});
    globalThis.wasClicked = false;
    const note = () => { globalThis.wasClicked = true; };
    element.addEventListener("click", note, {capture: true, once: true});
    const {left, top, width, height} = element.getBoundingClientRect();
    return [Math.round(left + width / 2), Math.round(top + height / 2)];
}
return null;
"""
)
_MENU = "document.getElementById('contentAreaContextMenu')"
_KEYS = {
    "Alt": "\ue00a",
    "Enter": "\ue006",
    "Escape": "\ue00c",
    "Shift": "\ue008",
    "Tab": "\ue004",
}


class Firefox:
    """One profile with the extension: `with Firefox(program) as firefox:`"""

    def __init__(self, program: str, folder: Path) -> None:
        from marionette_driver.addons import Addons
        from marionette_driver.marionette import Marionette

        with warnings.catch_warnings():  # it leaves the socket open with which it waited for the browser
            warnings.simplefilter("ignore", ResourceWarning)
            self.marionette = Marionette(
                bin=program,
                headless=True,
                port=closed_port(),
                gecko_log=str(folder / "log"),
                workspace=str(folder),
            )
            self.marionette.start_session()
            gc.collect()
        self.marionette.timeout.script = 2 * PATIENCE
        self.marionette.timeout.page_load = 2 * PATIENCE
        self.id = Addons(self.marionette).install(str(EXTENSION), temp=True)
        self.root = self.chrome("return WebExtensionPolicy.getByID(arguments[0]).getURL('')", self.id)
        wait(lambda: self.turn_to("pages/welcome.html"))
        self.home: str = self.marionette.current_window_handle

    def turn_to(self, part: str, *others: str) -> bool:
        """Whether there is a tab, none of `others`, whose address has this in it."""
        from marionette_driver.errors import NoSuchWindowException

        for handle in self.marionette.window_handles:
            with suppress(NoSuchWindowException):  # one that closed itself meanwhile
                self.marionette.switch_to_window(handle, focus=False)
                if handle not in others and part in self.marionette.get_url():
                    return True
        return False

    def __enter__(self) -> "Firefox":
        return self

    def __exit__(self, *exc: object) -> None:
        self.marionette.quit()
        self.marionette.cleanup()
        del self.marionette
        gc.collect()  # while what it cleans up with can still be imported

    def chrome(self, script: str, *given: Any) -> Any:
        """What a script of the browser itself returns."""
        with self.marionette.using_context("chrome"):
            return self.marionette.execute_script(script, given)


class FirefoxWindow:
    """See `window.Window`."""

    name = "firefox"

    def __init__(self, firefox: Firefox) -> None:
        self.firefox, self.marionette = firefox, firefox.marionette
        self.marionette.switch_to_window(firefox.home)
        self.handle = self.marionette.open(type="tab", focus=True)["handle"]
        self.marionette.switch_to_window(self.handle)

    def goto(self, address: str) -> None:
        self.marionette.navigate(address)

    def js(self, function: str, given: Any = None) -> Any:
        source = f"(async () => JSON.stringify((await ({function})({json.dumps(given)})) ?? null))()"
        answer = self.marionette.execute_async_script(_RUN, [source], sandbox="system")
        assert len(answer) == 1, answer[1]
        return json.loads(answer[0])

    def extension(self, function: str, given: Any = None) -> Any:
        self.marionette.switch_to_window(self.firefox.home, focus=False)
        try:
            return self.js(function, given)
        finally:
            self.marionette.switch_to_window(self.handle, focus=False)

    def click(self, src: str, item: str = "image", framed: bool = False) -> None:
        if framed:
            self.marionette.switch_to_frame(0)
        script = (
            "return [...document.images].find((one) => one.currentSrc === arguments[0]) ?? document.body"
        )
        place = self.marionette.execute_script(script, [src])
        activate = f"""const item = {_MENU}.querySelector(`[id$="-menuitem-_${{arguments[0]}}"]`);
            if (item) {_MENU}.activateItem(item);
            else {_MENU}.hidePopup();
            return Boolean(item);"""

        def chosen() -> bool:
            """The menu has the extension's items once its background has made them."""
            self._pointer(0, 0, button=2, origin=place)
            wait(lambda: self.firefox.chrome(f"return {_MENU}.state") == "open")
            found = bool(self.firefox.chrome(activate, item))
            wait(lambda: self.firefox.chrome(f"return {_MENU}.state") == "closed")
            return found

        wait(chosen)
        self.marionette.switch_to_frame()

    def _pointer(self, x: int, y: int, button: int = 0, origin: Any = "viewport") -> None:
        from marionette_driver.marionette import ActionSequence

        actions = ActionSequence(self.marionette, "pointer", "mouse", {"pointerType": "mouse"})
        actions.pointer_move(x, y, origin=origin).pointer_down(button).pointer_up(button).perform()

    def words(self) -> list[str]:
        from marionette_driver.errors import MarionetteException

        found: list[str] = []
        with suppress(MarionetteException):  # while the page gives way to another
            found = self.marionette.execute_script(_WORDS, sandbox="system")
        return found

    def press(self, name: str) -> None:
        """Cards move while they are filled: where the click went by, it is made again."""
        wait(lambda: self._pressed(name), lambda: f"{name}: {self.words()}")

    def _pressed(self, name: str) -> bool:
        from marionette_driver.errors import MarionetteException

        place, before = self._place(name), self._place(name)
        if not place or place != before:
            return False
        self._pointer(*place)
        try:
            clicked = "return globalThis.wasClicked"
            return bool(self.marionette.execute_script(clicked, sandbox="system", new_sandbox=False))
        except MarionetteException:
            return True  # the click took the page away

    def _place(self, name: str) -> list[int] | None:
        """Where to click on what has this name, which notes whether that reached it."""
        script = {"sandbox": "system", "new_sandbox": False}
        found: list[int] | None = self.marionette.execute_script(_PLACE, [name], **script)
        return found

    def key(self, name: str) -> None:
        from marionette_driver.marionette import ActionSequence

        code = _KEYS.get(name, name)
        ActionSequence(self.marionette, "key", "keyboard").key_down(code).key_up(code).perform()

    def shortcut(self, *names: str) -> None:
        """Keys at once, given to the browser itself."""
        from marionette_driver.marionette import ActionSequence

        codes = [_KEYS.get(name, name) for name in names]
        with self.marionette.using_context("chrome"):
            actions = ActionSequence(self.marionette, "key", "keyboard")
            for code in codes:
                actions.key_down(code)
            for code in reversed(codes):
                actions.key_up(code)
            actions.perform()

    @contextmanager
    def offline(self) -> Iterator[None]:
        """Without a network meanwhile."""
        self.firefox.chrome("Services.io.offline = true")
        try:
            yield
        finally:
            self.firefox.chrome("Services.io.offline = false")

    def tabs(self) -> list[str]:
        urls = "return gBrowser.tabs.map((tab) => tab.linkedBrowser.currentURI.spec)"
        found: list[str] = self.firefox.chrome(urls)
        return found

    def turn_to(self, part: str) -> None:
        wait(lambda: self.firefox.turn_to(part, self.firefox.home), lambda: str(self.tabs()))
        self.handle = self.marionette.current_window_handle
        self.marionette.switch_to_window(self.handle)

    def close(self) -> None:
        """All tabs but the one that tests keep."""
        self.firefox.chrome(f"{_MENU}.hidePopup()")
        from marionette_driver.errors import NoSuchWindowException

        for handle in self.marionette.window_handles:
            with suppress(NoSuchWindowException):  # one that closed itself meanwhile
                if handle != self.firefox.home:
                    self.marionette.switch_to_window(handle, focus=False)
                    self.marionette.close()
        self.marionette.switch_to_window(self.firefox.home)
