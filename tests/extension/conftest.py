"""All that a right click goes through: browsers with the extension, sites, a server, a worker."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from ..end_to_end.stack import Stack
from .chromium import Chromium, ChromiumWindow
from .firefox import Firefox, FirefoxWindow
from .pages import clear
from .site import Site
from .window import CLEAR, Window, keep


@pytest.fixture(scope="session")
def chromium(
    chromium_program: tuple[Any, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chromium]:
    playwright, program = chromium_program
    with Chromium(playwright, program, tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture(scope="session")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    pytest.importorskip("marionette_driver", reason="needs the package marionette_driver")
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("needs Firefox: apt-get install firefox-esr")
    with Firefox(program, tmp_path_factory.mktemp("firefox")) as firefox:
        yield firefox


@pytest.fixture
def connected(chromium: Chromium, stack: Stack) -> Chromium:
    """Chromium, its extension connected to the server, with nothing remembered."""
    clear(chromium)
    chromium.keep(server=stack.address.rstrip("/"), key=stack.key)
    return chromium


@pytest.fixture
def tab(chromium: Chromium) -> Iterator[Any]:
    page = chromium.context.new_page()
    yield page
    page.close()


@pytest.fixture(params=["chromium", "firefox"])
def window(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Window]:
    """A new tab of each browser, its extension connected, with nothing remembered."""
    browser = request.getfixturevalue(request.param)
    window: Window
    window = ChromiumWindow(browser) if request.param == "chromium" else FirefoxWindow(browser)
    window.extension(CLEAR)
    keep(window, server=stack.address.rstrip("/"), key=stack.key)
    yield window
    window.close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def elsewhere() -> Iterator[Site]:
    """Another origin, which lets no other site read its images."""
    site = Site()
    yield site
    site.close()
