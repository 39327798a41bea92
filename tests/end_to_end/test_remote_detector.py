"""The suite of `Detector` once more, answered by a server with worker and Redis.

Every test of the modules below that takes the fixture `detector` runs here too, with one that asks
`aidetect up`; a test added there is added here, unless it reaches into the model.
"""

import inspect
import io
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from aidetect import AuthenticationError, Detector, SignatureError, Verdict
from aidetect._cli import main

from ..sdk import test_detector, test_detector_claims, test_detector_inputs
from ..sdk.image_files import noise, save
from ..sdk.test_detector import png, scene
from ..sdk.test_detector_claims import claiming, plain
from ..sdk.test_detector_inputs import origin
from .stack import Stack

LOCAL_ONLY = {
    "test_verdict_is_complete": "it expects an answer that nobody had before",
}

__all__ = ["claiming", "origin", "plain", "png", "scene"]


@pytest.fixture(scope="module")
def detector(stack: Stack) -> Detector:
    return Detector(url=stack.address, api_key=stack.key, trust=None, concurrency=4)


def shared(module: ModuleType) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(module).items()
        if name.startswith("test_")
        and inspect.isfunction(value)
        and "detector" in inspect.signature(value).parameters
        and "_answering" not in inspect.getsource(value)
        and name not in LOCAL_ONLY
    }


for _module in (test_detector, test_detector_inputs, test_detector_claims):
    globals().update(shared(_module))


def test_the_suite_is_here_and_the_exceptions_exist() -> None:
    assert len([name for name in globals() if name.startswith("test_")]) > 20
    known = {**vars(test_detector), **vars(test_detector_claims), **vars(test_detector_inputs)}
    assert LOCAL_ONLY.keys() <= known.keys()


def test_a_new_image_then_the_same_from_the_cache(
    detector: Detector, photograph: Path, tmp_path: Path
) -> None:
    with Image.open(photograph) as image:
        image.crop((8, 8, 600, 440)).save(photograph := tmp_path / "new.jpg", quality=88)
    local = Detector(backend="onnx", threads=1).check(photograph)
    first, second = detector.check(photograph), detector.check(str(photograph))
    assert abs(first.probability - local.probability) < 0.005 and first.label == local.label
    assert first.image == local.image and first.model == local.model == detector.model
    assert not first.cached and second.cached
    assert (first.reasons, first.evidence) == (second.reasons, second.evidence)
    assert first.source == second.source == str(photograph)
    assert Verdict.from_dict(first.to_dict()) == first


def test_one_more_time_by_hash_alone(detector: Detector, stack: Stack) -> None:
    data = save(noise(500, 400), "PNG")
    assert detector.check(data).image.sha256 == sha256(data).hexdigest()
    uploads = Uploads(detector)
    assert detector.check(io.BytesIO(data)).cached
    assert uploads.count == 0
    other = Detector(url=stack.address, api_key=stack.new_key())
    uploads = Uploads(other)
    assert other.check(data).cached  # known here, but not that this key may know it
    assert uploads.count == 1


class Uploads:
    """Counts the uploads of a detector."""

    def __init__(self, detector: Detector) -> None:
        self.count = 0
        client = detector._answering._client
        call = client.call

        def counted(method: str, path: str, **options: object) -> object:
            self.count += path == "/v1/uploads"
            return call(method, path, **options)

        client.call = counted


def test_signatures_hold_for_files_and_arrays(
    stack: Stack, photograph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIDETECT_KNOWN_SERVERS", str(tmp_path / "known.json"))
    detector = Detector(url=stack.address, api_key=stack.key, trust="first-use")
    pixels = np.asarray(noise(90, 70))
    assert detector.check(photograph).label and detector.check(pixels).image.format == "array"
    known = (tmp_path / "known.json").read_text()
    assert stack.address.rstrip("/") in known
    flip = known.index('"x": "') + 10
    changed = known[:flip] + ("A" if known[flip] != "A" else "B") + known[flip + 1 :]
    (tmp_path / "known.json").write_text(changed)
    with pytest.raises(SignatureError):
        Detector(url=stack.address, api_key=stack.key, trust="first-use").check(photograph)


def test_explanations_come_from_the_server_too(detector: Detector, photograph: Path) -> None:
    explained = detector.explain(photograph)
    assert explained.verdict == detector.check(photograph) or explained.verdict.cached
    assert np.isfinite(explained.array).any()


def test_no_key_no_answer(stack: Stack, photograph: Path) -> None:
    for key in (None, "id.wrong"):
        with pytest.raises(AuthenticationError, match="API key"):
            Detector(url=stack.address, api_key=key).check(photograph)


def test_a_folder_is_scanned_by_the_fleet(
    stack: Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.png").write_bytes(save(noise(70 + number % 10, 80), "PNG"))
    (folder / "bad.png").write_bytes(b"text")
    monkeypatch.setenv("AIDETECT_API_KEY", stack.key)
    out, report = tmp_path / "out.jsonl", tmp_path / "report.html"
    ask = ["scan", str(folder), "--server", stack.address, "--out", str(out), "--report", str(report)]
    assert main(ask) == 1
    assert "13 files (2 duplicates)" in capsys.readouterr().err
    assert out.read_text().count('"label"') == 12 and report.stat().st_size > 10_000
