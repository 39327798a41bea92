"""docs/security.md and docs/flagged.md say what is so: variables, commands, times, routes."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from flask import Flask

from aidetect._cli._parsing import Parser
from aidetect._cli._verify import add_parser as add_verify
from aidetect_server import _pairing, _reports
from aidetect_server._commands import add_keys, add_pair
from aidetect_server._report_commands import add_parser as add_reports
from aidetect_server._settings import ServerSettings
from aidetect_worker._flights import FAILURE_TTL
from aidetect_worker._job import MAX_PAYLOAD
from aidetect_worker._settings import FetchSettings, QueueSettings

OTHERS = {"AIDETECT_API_KEY"}


@pytest.fixture
def security(root: Path) -> str:
    return (root / "docs" / "security.md").read_text()


@pytest.fixture
def flagged(root: Path) -> str:
    return (root / "docs" / "flagged.md").read_text()


def test_every_variable_is_a_setting(security: str, flagged: str) -> None:
    known = {each.metadata["env"] for group in (ServerSettings, FetchSettings) for each in fields(group)}
    named = set(re.findall(r"AIDETECT_\w+", security + flagged))
    assert len(named) > 8 and named <= known | OTHERS


def test_every_command_is_one(security: str, flagged: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="aidetect")
    commands = parser.add_subparsers(required=True)
    for add in (add_keys, add_pair, add_reports, add_verify):
        add(commands)
    lines = re.findall(
        r"`aidetect ((?:keys|pair|reports) [^`]+)`|^(?:aidetect )(verify .*)$", security + flagged
    )
    assert len(lines) >= 6
    for line, other in lines:
        parser.parse_args((line or other).split())


def test_times_and_bounds_are_those_of_the_code(security: str) -> None:
    assert (_pairing.SECONDS, _pairing.TRIES) == (120, 5)
    assert "two minutes; a wrong guess costs each waiting code one of five tries" in security
    assert _reports.SECONDS == 90 * 86400 and "| 90 days, or" in security
    assert ServerSettings().check_ttl == QueueSettings().upload_ttl == QueueSettings().url_ttl == 3600
    assert QueueSettings().result_ttl == 30 * 86400 and "30 days (`AIDETECT_RESULT_TTL`)" in security
    assert FAILURE_TTL == 86400 and MAX_PAYLOAD == 65_536 and "of 64 kB at most" in security


def test_what_is_called_public_answers_without_a_key(security: str, app: Flask) -> None:
    (row,) = re.findall(r"\| ask without a key \|(.*)", security)
    routes = re.findall(r"`(/[\w./-]+)`", row)
    assert len(routes) == 5
    for route in routes:
        with app.test_client().get(route) as answer:
            assert answer.status_code in (200, 503) and answer.status_code != 401, route


@pytest.mark.parametrize("page", ["security.md", "flagged.md"])
def test_links_lead_somewhere(root: Path, page: str) -> None:
    folder = root / "docs"
    for target in re.findall(r"\]\(([^)#]+)", (folder / page).read_text()):
        assert (folder / target).exists(), target
