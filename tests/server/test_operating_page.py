"""docs/operating.md: the server's settings as the code has them."""

from pathlib import Path

import pytest

from aidetect._settings import table
from aidetect_server._serve import ServeSettings
from aidetect_server._settings import ServerSettings


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "operating.md").read_text(encoding="utf-8")


def test_the_page_lists_every_setting_as_the_code_has_it(page: str) -> None:
    rows = table(ServerSettings, ServeSettings).splitlines()[2:]
    assert len(rows) > 20
    assert not [row for row in rows if row not in page]
