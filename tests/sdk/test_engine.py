"""The engine: one forward for many images, results that can be kept, a fingerprint."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aidetect import AidetectError, ConfigurationError, CorruptImageError, Detector
from aidetect import _engine as module
from aidetect._engine import Engine, Prepared, fleet_fingerprint
from aidetect._provenance import claims_from_dicts
from aidetect._result import PixelResult, assemble

from .image_files import save, smooth


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(backend="onnx")


@pytest.fixture(scope="module")
def prepared(engine: Engine, photograph: Path) -> Prepared:
    return engine.prepare(photograph.read_bytes())


def test_what_is_kept_gives_the_verdict_that_the_detector_gives(
    engine: Engine, prepared: Prepared, photograph: Path
) -> None:
    direct = Detector(backend="onnx").check(photograph.read_bytes())
    (result,) = engine.judge([prepared])
    kept = PixelResult.from_dict(json.loads(json.dumps(result.to_dict())))
    claims = claims_from_dicts(json.loads(json.dumps([claim.to_dict() for claim in prepared.claims])))
    again = assemble(kept, claims, cached=True, checked_at=direct.checked_at)
    assert kept == result
    assert replace(again, cached=False, elapsed_ms=direct.elapsed_ms) == direct


def test_all_views_of_all_images_go_through_one_forward(
    engine: Engine, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwards: list[int] = []
    backend = engine._backend

    class Counting:
        def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
            forwards.append(len(views))
            return backend.logits(views)

    small = engine.prepare(save(smooth(80, 90), "PNG"))
    monkeypatch.setattr(engine, "_backend", Counting())
    together = engine.judge([prepared, small, prepared])
    assert forwards == [2 * len(prepared.views.kinds) + len(small.views.kinds)]
    assert [result.image for result in together] == [prepared.image, small.image, prepared.image]
    assert together[0].probability == pytest.approx(engine.judge([prepared])[0].probability, abs=2e-4)
    assert engine.judge([]) == []


def test_a_broken_image_fails_before_the_network(engine: Engine, photograph: Path) -> None:
    with pytest.raises(CorruptImageError, match=r"photo\.jpg"):
        engine.prepare(photograph.read_bytes()[:5000], name="photo.jpg")


def test_the_fingerprint_names_what_a_result_hangs_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.fingerprint == fleet_fingerprint() == fleet_fingerprint(None, "default")
    others = {fleet_fingerprint(None, "fast"), fleet_fingerprint(None, "thorough")}
    package = module.load_package()
    monkeypatch.setattr(module, "load_package", lambda _: replace(package, manifest_sha256="0" * 64))
    others.add(fleet_fingerprint())
    monkeypatch.undo()
    monkeypatch.setattr(module, "RESULT_VERSION", module.RESULT_VERSION + 1)
    others.add(fleet_fingerprint())
    assert len(others | {engine.fingerprint}) == 5
    with pytest.raises(ConfigurationError, match="fast, default, thorough"):
        fleet_fingerprint(None, "all")


def test_results_are_read_and_assembled_without_numpy_or_pillow() -> None:
    program = "import sys, aidetect._result; print([m for m in ('numpy', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("lost", ["label", "image", "views", "reasons", "model"])
def test_what_is_no_result_is_refused(engine: Engine, prepared: Prepared, lost: str) -> None:
    wire = engine.judge([prepared])[0].to_dict()
    assert "heat_map" not in wire
    del wire[lost]
    with pytest.raises(AidetectError, match="not a pixel result"):
        PixelResult.from_dict(wire)


def test_an_unknown_signal_is_left_out_and_a_known_one_kept() -> None:
    wire = [
        {"signal": "of_a_later_version", "generator": None, "details": {}},
        {"signal": "camera", "generator": None, "details": {"make": "A", "model": "B"}},
    ]
    (claim,) = claims_from_dicts(wire)
    assert claim.to_dict() == wire[1]
