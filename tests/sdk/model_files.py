"""Model packages whose files are whole, though they make no network."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

WEIGHTS, GRAPH = b"weights" * 100, b"graph" * 50
GOOD: dict[str, Any] = {
    "name": "mine",
    "version": "1.0",
    "contract": 1,
    "view_size": 112,
    "architecture": {"front_end": "rgb"},
    "weights_sha256": sha256(WEIGHTS).hexdigest(),
    "graph_sha256": sha256(GRAPH).hexdigest(),
    "calibration": {"floor": 0.01},
    "trained_on": "a list of tests",
    "created": "2025-01-01T00:00:00+00:00",
}


def write(folder: Path, name: str = "mine", **changes: Any) -> Path:
    """A whole package in `folder`, its manifest changed; returns the manifest's path."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(WEIGHTS)
    (folder / f"{name}.onnx").write_bytes(GRAPH)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**GOOD, "name": name, **changes}), encoding="utf-8")
    return path
