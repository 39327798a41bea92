"""What several tests of the SDK share."""

import socket
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where models are looked up by name."""
    path = tmp_path / "models"
    path.mkdir()
    monkeypatch.setenv("AIDETECT_MODELS", str(path))
    return path


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """A host that is not found, and that no resolver is asked for."""
    resolve = socket.getaddrinfo

    def unknown(host: str, *args: Any, **options: Any) -> Any:
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return "nowhere.invalid"
