"""What several tests of the SDK share."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where models are looked up by name."""
    path = tmp_path / "models"
    path.mkdir()
    monkeypatch.setenv("AIDETECT_MODELS", str(path))
    return path
