"""All that a right click goes through: Chromium with the extension, a site, a server, a worker."""

from collections.abc import Iterator
from typing import Any

import pytest

from ..end_to_end.stack import Stack
from .chromium import Chromium
from .site import Site


@pytest.fixture(scope="session")
def chromium(
    chromium_program: tuple[Any, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chromium]:
    playwright, program = chromium_program
    with Chromium(playwright, program, tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def connected(chromium: Chromium, stack: Stack) -> Chromium:
    """The browser, its extension connected to the server, with nothing remembered."""
    chromium.worker.evaluate("() => chrome.storage.local.clear()")
    chromium.keep(server=stack.address.rstrip("/"), key=stack.key)
    return chromium


@pytest.fixture
def tab(chromium: Chromium) -> Iterator[Any]:
    page = chromium.context.new_page()
    yield page
    page.close()


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
