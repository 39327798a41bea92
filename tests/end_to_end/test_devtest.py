"""The shipped model still gives the answers that were measured and published."""

import json
from pathlib import Path

import pytest

from aidetect._calibration import Calibration
from aidetect._weights import load_package
from aidetect_training.data import read_manifest
from aidetect_training.evaluate import evaluate
from aidetect_training.scoring import score_package

TIER = "clean"


@pytest.mark.data
def test_shipped_model_reproduces_its_published_figures(root: Path, data: Path) -> None:
    items = read_manifest(data / "devtest")
    package = load_package()
    scores = score_package(package, items, [TIER], "onnx")
    measured = evaluate(scores, Calibration.from_dict(package.manifest.calibration))["tiers"][TIER]
    folder = root / "training" / "results" / "devtest"
    published = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["tiers"][TIER]
    assert measured["images"] == published["images"] == len(items)
    for figure in ("balanced_accuracy", "auc", "ece", "answered", "baseline"):
        assert measured[figure] == pytest.approx(published[figure], abs=0.01), figure
