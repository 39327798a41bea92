"""docs/evidence.md is what the code does."""

import os
import re
import subprocess
import sys
from pathlib import Path

from aidetect import _fusion
from aidetect._provenance import _blocks, _credentials
from aidetect._provenance._signals import SIGNALS, markdown_table

from .test_fusion import MODEL, codes, fuse

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evidence.md"


def test_the_table_is_that_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(markdown_table()) == 1
    command = [sys.executable, "-W", "error", "-m", "aidetect._provenance"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, timeout=120, check=True, env=environment)
    assert done.stdout.decode().replace("\r\n", "\n") == markdown_table()


def test_every_signal_has_one_line_and_a_strength_below_certainty() -> None:
    rows = markdown_table().splitlines()[2:]
    assert len(rows) == len(SIGNALS) == len(set(rows))
    assert all(row.count("|") == 7 for row in rows)
    assert all(0 <= signal.strength < 1 for signal in SIGNALS.values())
    unsigned = [signal for signal in SIGNALS.values() if not signal.signed]
    assert all(signal.strength < 0.7 for signal in unsigned)
    assert all(signal.strength <= 0.1 for signal in unsigned if signal.says == "real")


def test_the_rules_and_their_codes_are_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = set(
        re.findall(
            r'(?:Reason\(|code, rest = \(|else \()"(\w+)"',
            Path(_fusion.__file__).read_text(encoding="utf-8"),
        )
    )
    assert len(named) == 17
    assert not {code for code in named if f"`{code}`" not in page}
    assert all(codes(fuse(label, because, ())) == [] for label, because in MODEL)


def test_the_bounds_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"{_blocks.TOTAL_LIMIT / 1e6:.0f} MB of metadata" in page
    assert f"{_blocks.BLOCK_LIMIT / 1e6:.0f} MB of one block" in page
    assert f"{_blocks.STEP_LIMIT:,}" in page
    assert f"Content Credentials of at most {_credentials.STORE_LIMIT / 1e6:.0f} MB are checked" in page


def test_the_trust_list_is_dated_as_it_is() -> None:
    first = _credentials._TRUST_LIST.read_text(encoding="utf-8").partition("\n")[0]
    dated = re.search(r"as of (\d{4}-\d\d-\d\d)", first)
    assert dated and f"C2PA Trust List of {dated[1]}" in PAGE.read_text(encoding="utf-8")
