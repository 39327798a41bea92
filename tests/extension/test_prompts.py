"""What only the browsers' own windows show: the menu, the question for a permission, the shortcut.

Chromium shows no question where it has no screen, so that it gets one here, with a keyboard and a mouse.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import ImageGrab

from ..end_to_end.stack import Stack
from .chromium import Chromium, ChromiumWindow
from .firefox import Firefox, FirefoxWindow
from .site import Site
from .window import ANSWERS, CLEAR, PATIENCE, Window, keep, wait, wait_for, within

_PROMPT = "PopupNotifications.panel.firstElementChild"


class Screen:
    """An X display of its own, with what `xdotool` types and clicks on it."""

    def __init__(self) -> None:
        reads, writes = os.pipe()
        command = ["Xvfb", "-displayfd", str(writes), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
        self.process = subprocess.Popen(command, pass_fds=(writes,), stderr=subprocess.DEVNULL)
        os.close(writes)
        with os.fdopen(reads) as told:
            self.name = f":{told.readline().strip()}"
        self.environ = {**os.environ, "DISPLAY": self.name}

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        self.process.wait()

    def do(self, *what: str) -> None:
        subprocess.run(["xdotool", *what], env=self.environ, check=True, timeout=60)

    def windows(self) -> int:
        """How many are to be seen; a menu is one of its own."""
        search = ["xdotool", "search", "--onlyvisible", "--name", ".*"]
        done = subprocess.run(search, env=self.environ, capture_output=True, text=True, timeout=60)
        return len(done.stdout.split())

    def brightness(self, x: int, y: int) -> int:
        """Of one pixel, 0 to 255."""
        found: Any = ImageGrab.grab(xdisplay=self.name).convert("L").getpixel((x, y))
        return int(found)


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("needs a screen and hands for it: apt-get install xvfb xdotool")
    with Screen() as screen:
        yield screen


@pytest.fixture(scope="module")
def headed(
    screen: Screen, chromium_program: tuple[Any, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chromium]:
    playwright, program = chromium_program
    options: dict[str, Any] = {"headless": False, "env": screen.environ, "no_viewport": True}
    with Chromium(playwright, program, tmp_path_factory.mktemp("headed"), **options) as chromium:
        yield chromium


@pytest.fixture
def chromium_window(headed: Chromium, stack: Stack) -> Iterator[ChromiumWindow]:
    window = ChromiumWindow(headed)
    window.extension(CLEAR)
    keep(window, server=stack.address.rstrip("/"), key=stack.key, privacy="never")
    yield window
    window.close()


@pytest.fixture
def firefox_window(firefox: Firefox, stack: Stack) -> Iterator[FirefoxWindow]:
    window = FirefoxWindow(firefox)
    window.extension(CLEAR)
    keep(window, server=stack.address.rstrip("/"), key=stack.key, privacy="never")
    yield window
    window.extension("() => chrome.permissions.remove({ origins: ['http://127.0.0.1/*'] })")
    keep(window, privacy="bytes")
    window.close()


def ask(window: Window, host: str) -> None:
    """From the card to the page that asks, and the click there that opens the browser's question."""
    wait_for(window, "Could not be checked")
    window.press("Let aidetect read it")
    window.turn_to("pages/allow.html")
    window.press(f"Let aidetect read images of {host}")


def test_the_menu_and_the_question_of_chromium(
    chromium_window: ChromiumWindow, screen: Screen, site: Site, elsewhere: Site
) -> None:
    window = chromium_window
    page = site.page("/", f'<img src="{elsewhere.address}/image/61.jpg" alt="A lake">')
    window.goto(page)
    window.page.bring_to_front()
    x, y, right, bottom = window.js(
        """async () => {
            const [image] = document.images;
            await image.decode();
            const { left, top } = image.getBoundingClientRect();
            const [x, y] = [screenX, screenY + outerHeight - innerHeight];
            return [x + left + 9, y + top + 9, x + innerWidth - 9, y + innerHeight - 9].map(Math.round);
        }"""
    )

    alone = screen.windows()

    def chosen() -> bool:
        """The last but one of the menu, once that is there; what a try before left open is closed."""
        screen.do("key", "Escape")
        if not within(lambda: screen.windows() == alone, PATIENCE / 6):
            return False
        screen.do("mousemove", str(x), str(y), "click", "3")
        if not within(lambda: screen.windows() > alone, PATIENCE / 6):
            return False
        screen.do("sleep", "1", "key", "Up", "Up", "Return")
        return within(lambda: len(window.words()) > 3, PATIENCE / 6)

    wait(chosen, lambda: str(window.words()))
    host = elsewhere.address.removeprefix("http://")
    granted = "() => chrome.permissions.contains({ origins: ['http://127.0.0.1/*'] })"
    ask(window, host)

    def refused() -> bool:
        return "Not allowed. A screenshot still works." in window.words()

    def allowed() -> bool:
        """The question lies over a darkened page, which no key is to reach; it takes none at first."""
        if refused():
            window.press(f"Let aidetect read images of {host}")
            wait(lambda: not refused() or screen.brightness(right, bottom) < 150)
        if screen.brightness(right, bottom) < 150:
            screen.do("sleep", "1", "key", "Tab", "Return")
            within(lambda: window.extension(granted) or refused(), PATIENCE / 6)
        return bool(window.extension(granted))

    wait(allowed, seconds=3 * PATIENCE)
    window.turn_to(page)
    wait_for(window, *ANSWERS)
    window.press("Details")
    wait_for(window, "The file itself was checked.")
    assert not elsewhere.asked_by_server


def answer(browser: Firefox, button: str) -> None:
    """A click in the browser's question, which takes none at first."""
    state = "return PopupNotifications.panel.state"
    wait(lambda: browser.chrome(f"{state} === 'open' && Boolean({_PROMPT})"))
    click = f"{_PROMPT}?.{button}.click(); {state} !== 'open'"
    wait(lambda: browser.chrome(click))


def test_the_question_of_firefox(firefox_window: FirefoxWindow, site: Site, elsewhere: Site) -> None:
    window, browser = firefox_window, firefox_window.firefox
    src, host = f"{elsewhere.address}/image/62.jpg", elsewhere.address.removeprefix("http://")
    page = site.page("/", f'<img src="{src}">')
    window.goto(page)
    window.click(src)
    ask(window, host)
    answer(browser, "secondaryButton")
    wait_for(window, "Not allowed. A screenshot still works.")
    window.press(f"Let aidetect read images of {host}")
    answer(browser, "button")
    window.turn_to(page)
    wait_for(window, *ANSWERS)
    window.press("Details")
    wait_for(window, "The file itself was checked.")
    assert not elsewhere.asked_by_server


def test_the_shortcut_of_chromium(chromium_window: ChromiumWindow, screen: Screen, site: Site) -> None:
    window = chromium_window
    window.goto(site.page("/", '<img src="/image/63.jpg" alt="A lake">'))
    window.page.bring_to_front()

    def opened() -> bool:
        """The keys close a popup too: pressed again only where none is going to open."""
        screen.do("key", "alt+shift+i")
        return within(there, PATIENCE / 6)

    def there() -> bool:
        targets = window.chromium.session.send("Target.getTargets")["targetInfos"]
        return any(target["url"].endswith("pages/popup.html") for target in targets)

    wait(opened)
    screen.do("key", "Escape")
