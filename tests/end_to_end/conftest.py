"""A real Chromium, and everything that `aidetect up` runs, for the tests of pages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .stack import PATIENCE, Stack

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser(chromium_program: tuple[Any, str]) -> Iterator[Any]:
    """Chromium, driven by playwright."""
    playwright, program = chromium_program
    browser = playwright.chromium.launch(executable_path=program, args=FLAGS, timeout=1000 * PATIENCE)
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Any, stack: Stack) -> Iterator[Any]:
    """The page, connected, in a browser profile of its own. A test fails for what the page says to the
    console of errors, or of what its policy forbade, and for every request to another host."""
    with open_page(browser, stack.page) as page:
        yield page


class open_page:
    """`with open_page(browser, address, **options) as page:`; `options` are those of playwright's
    new_context."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.browser, self.address, self.options = browser, address, options
        self.errors: list[str] = []

    def __enter__(self) -> Any:
        self.options.setdefault("viewport", {"width": 1100, "height": 900})
        self.context = self.browser.new_context(locale="en-GB", **self.options)
        self.context.set_default_timeout(1000 * PATIENCE)
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("filechooser", lambda _: None)  # from now on no dialogue opens
        page.goto(self.address)
        page.wait_for_selector("#page:not([hidden])")
        return page

    def _console(self, message: Any) -> None:
        # That a request failed is told by the browser itself, whatever a page does about it.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def _request(self, request: Any) -> None:
        own = self.address.split("#")[0]
        if not request.url.startswith((own, "blob:", "data:")):
            self.errors.append(f"a request to {request.url}")

    def __exit__(self, *exc: object) -> None:
        self.context.close()
        assert not self.errors


@pytest.fixture
def pictures(photograph: Path, tmp_path: Path) -> dict[str, Path]:
    """Images that the project makes itself: what is named is what is shown for it."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    claim = PngInfo()
    claim.add_text(
        "parameters", "a lake\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 640x480"
    )
    paths = {name: tmp_path / f"{name}.png" for name in ("claimed", "claimed_flat", "small")}
    with Image.open(photograph) as photo:
        photo.save(paths["claimed"], pnginfo=claim)
        photo.resize((24, 18)).save(paths["small"])
    Image.new("RGB", (640, 480), (90, 120, 150)).save(paths["claimed_flat"], pnginfo=claim)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photograph.read_bytes()[:5000])
    text = tmp_path / "text.jpg"
    text.write_text("not an image at all")
    return {**paths, "photo": photograph, "broken": broken, "text": text}
