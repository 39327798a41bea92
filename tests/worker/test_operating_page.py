"""`docs/operating.md` says what is."""

import subprocess
import sys
from pathlib import Path

import pytest

from aidetect import Detector
from aidetect._calibration import Calibration
from aidetect._provenance._credentials import CredentialSettings
from aidetect._settings import table
from aidetect._weights import load_package
from aidetect_worker._metrics import Metrics
from aidetect_worker._options import WorkerSettings
from aidetect_worker._settings import FetchSettings, QueueSettings


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "operating.md").read_text(encoding="utf-8")


def test_lists_every_setting_of_queue_and_workers(page: str) -> None:
    groups = (QueueSettings, FetchSettings, WorkerSettings, CredentialSettings)
    for line in table(*groups).splitlines():
        assert line in page.splitlines()


def test_lists_every_metric(page: str) -> None:
    for family in Metrics().registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert name in page or "…" + name.removeprefix("aidetect_worker") in page, name


def test_says_whether_views_make_a_difference_with_the_shipped_model(page: str, root: Path) -> None:
    weighed = Calibration.from_dict(load_package().manifest.calibration).weighs_crops
    said = "no difference with the shipped model"
    [row] = [line for line in page.splitlines() if line.startswith("| `AIDETECT_VIEWS` |")]
    options = (root / "sdk" / "aidetect" / "_cli" / "_options.py").read_text(encoding="utf-8")
    assert [said in text for text in (row, options, str(Detector.__doc__))] == [not weighed] * 3


def test_the_capacity_table_is_what_its_script_prints(page: str, root: Path) -> None:
    command = [sys.executable, str(root / "deploy" / "capacity.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed in page
