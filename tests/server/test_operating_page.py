"""docs/operating.md: the server's settings as the code has them."""

import ast
import re
from pathlib import Path

import pytest

from aidetect._settings import table
from aidetect_server._serve import ServeSettings
from aidetect_server._settings import ServerSettings


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "operating.md").read_text(encoding="utf-8")


def redis_names(root: Path) -> set[str]:
    """How the names of Redis keys begin, as they stand in the code of server and workers."""
    files = [path for folder in ("server", "worker") for path in (root / folder).rglob("*.py")]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"aidetect:[a-z:-]+", text)}


def test_the_page_tells_how_long_everything_in_redis_lives(page: str, root: Path) -> None:
    table = page.partition("## What is kept, and for how long")[2].partition("\n\n## ")[0]
    told = re.findall(
        r"^\| `(aidetect:[^`]*)`(?:, `…([^`]*)`)?(?:, `…([^`]*)`)? \|", table, re.MULTILINE
    )
    names = {name + more for name, *others in told for more in ("", *others)}
    known = {re.split("[<…]", name)[0].rstrip(":") for name in names}
    used = {name.rstrip(":") for name in redis_names(root)}
    assert {"aidetect:check", "aidetect:keys", "aidetect:pixels", "aidetect:reports:images"} <= used
    assert used == known - {"aidetect:reports:"}


def test_the_page_lists_every_setting_as_the_code_has_it(page: str) -> None:
    rows = table(ServerSettings, ServeSettings).splitlines()[2:]
    assert len(rows) > 20
    assert not [row for row in rows if row not in page]
