"""`Detector` with the shipped weights on images that the tests make."""

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect import (
    ConfigurationError,
    CorruptImageError,
    Detector,
    InputError,
    InputNotFoundError,
    InvalidArrayError,
    NotAnImageError,
    TooLargeError,
    TooManyPixelsError,
    UnsupportedFormatError,
    Verdict,
)

from ..networks import SMALL, package


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A smooth scene with texture, 300×420×3."""
    noise = np.random.default_rng(1)
    y, x = np.mgrid[:300, :420]
    base = np.stack((x / 2, y * 0.7, (x + y) / 4), -1) + noise.normal(0, 9, (300, 420, 3))
    return base.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def png(scene: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(scene).save(buffer, "PNG")
    return buffer.getvalue()


def same_answer(one: Verdict, other: Verdict) -> bool:
    return (one.label, one.probability, one.reasons) == (other.label, other.probability, other.reasons)


def test_every_kind_of_input_gets_the_same_answer(
    detector: Detector, scene: np.ndarray, png: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png)
    expected = detector.check(png)
    with open(path, "rb") as file:
        others = [
            detector.check(path),
            detector.check(str(path)),
            detector.check(file),
            detector.check(io.BytesIO(png)),
            detector.check(Image.open(io.BytesIO(png))),
            detector.check(scene),
        ]
    for verdict in others:
        assert same_answer(expected, verdict)


def test_verdict_is_complete(detector: Detector, png: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png)
    verdict = detector.check(path)
    assert verdict.source == str(path)
    assert verdict.image.sha256 == sha256(png).hexdigest()
    assert (verdict.image.width, verdict.image.height, verdict.image.format) == (420, 300, "PNG")
    assert verdict.image.bytes == len(png)
    assert verdict.model == detector.model
    assert verdict.decided_by == "model" and not verdict.cached
    assert abs((datetime.now(UTC) - verdict.checked_at).total_seconds()) < 60
    assert verdict.elapsed_ms > 0
    (evidence,) = verdict.evidence
    assert evidence.kind == "model"
    assert evidence.details["probability"] == verdict.probability
    assert evidence.details["views"][0]["box"] == [60, 0, 360, 300]
    assert Verdict.from_dict(verdict.to_dict()) == verdict


def test_more_views_for_more_thorough_profiles(png: bytes, tmp_path: Path) -> None:
    model = package(tmp_path, SMALL)  # one that weighs its crops
    counts = [
        len(Detector(model, views=views).check(png).evidence[0].details["views"])
        for views in ("fast", "default", "thorough")
    ]
    assert counts[0] == 2 and counts[0] < counts[1] <= 9


def test_crops_that_weigh_nothing_are_not_looked_at(detector: Detector, png: bytes) -> None:
    """As those of the shipped model."""
    (view,) = detector.check(png).evidence[0].details["views"]
    assert view["kind"] == "global"


def test_many_threads_share_one_detector(detector: Detector, png: bytes) -> None:
    expected = detector.check(png)
    with ThreadPoolExecutor(8) as pool:
        for verdict in pool.map(detector.check, [png] * 16):
            assert same_answer(expected, verdict)


def test_check_many_keeps_order_and_puts_errors_in_their_place(detector: Detector, png: bytes) -> None:
    inputs = [png, b"not an image", "missing.jpg", png, b"", *[png] * 9, png[: len(png) // 2]]
    results = list(detector.check_many(inputs))
    kinds = [type(result) for result in results]
    assert kinds[:5] == [Verdict, NotAnImageError, InputNotFoundError, Verdict, NotAnImageError]
    assert kinds[5:] == [Verdict] * 9 + [CorruptImageError]
    assert results[2].input == "missing.jpg"  # type: ignore[union-attr]
    alone = detector.check(png)
    assert all(abs(r.probability - alone.probability) < 1e-3 for r in results if isinstance(r, Verdict))


def test_check_many_reads_ahead_only_a_little(detector: Detector, png: bytes) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield png

    verdicts = detector.check_many(endless())
    for _ in range(5):
        next(verdicts)
    verdicts.close()  # type: ignore[attr-defined]
    assert taken < 40


def test_check_many_leaves_no_threads(detector: Detector, png: bytes) -> None:
    list(detector.check_many([png] * 3))
    assert not [t for t in threading.enumerate() if t.name.startswith("aidetect-decode")]


@pytest.mark.parametrize(
    ("size", "because"), [((1, 1), "too_small"), ((63, 400), "too_small"), ((400, 300), "flat")]
)
def test_nothing_to_judge_is_uncertain(detector: Detector, size: tuple[int, int], because: str) -> None:
    verdict = detector.check(np.full((*size, 3), 200, np.uint8))
    assert verdict.label == "uncertain" and verdict.uncertain_because == because
    assert verdict.reasons[0].code == because


def test_animation_is_said(detector: Detector, scene: np.ndarray) -> None:
    buffer = io.BytesIO()
    first = Image.fromarray(scene)
    first.save(buffer, "GIF", save_all=True, append_images=[first.rotate(90), first.rotate(180)])
    verdict = detector.check(buffer.getvalue())
    assert verdict.image.frames == 3
    assert "first_of_frames" in [reason.code for reason in verdict.reasons]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotAnImageError),
        (b"hello, this is text renamed to .jpg", NotAnImageError),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", UnsupportedFormatError),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedFormatError),
        (b"%PDF-1.7\n", UnsupportedFormatError),
    ],
)
def test_bad_bytes(detector: Detector, tmp_path: Path, data: bytes, error: type[InputError]) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(data)
    with pytest.raises(error) as caught:
        detector.check(path)
    assert caught.value.input == str(path)
    assert "bad.jpg" in str(caught.value)


def test_limits(png: bytes, tmp_path: Path) -> None:
    small = Detector(max_bytes=1000, max_pixels=1000)
    path = tmp_path / "big.png"
    path.write_bytes(png)
    for image in (png, path, io.BytesIO(png)):
        with pytest.raises(TooLargeError, match="1,000 bytes"):
            small.check(image)
    with pytest.raises(TooManyPixelsError):
        Detector(max_pixels=1000).check(png)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_wrong_arrays(detector: Detector, array: np.ndarray) -> None:
    with pytest.raises(InvalidArrayError):
        detector.check(array)


def test_wrong_kind_of_input(detector: Detector) -> None:
    with pytest.raises(ConfigurationError, match="cannot check a int"):
        detector.check(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="binary"):
        detector.check(io.StringIO("text"))  # type: ignore[arg-type]


def test_folder_and_missing_file(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="folder"):
        detector.check(tmp_path)
    with pytest.raises(InputNotFoundError, match="no such file"):
        detector.check(tmp_path / "none.jpg")
    with pytest.raises(InputError):
        detector.check("bad\0name.jpg")


@pytest.mark.parametrize(
    "options",
    [{"views": "all"}, {"backend": "tensorrt"}, {"device": "tpu"}, {"threads": 0}, {"timeout": 0}],
)
def test_wrong_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Detector(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("backend", "margin"), [("torch", 0.005), ("openvino", 0.03)])
def test_backends_agree(scene: np.ndarray, backend: str, margin: float) -> None:
    pytest.importorskip(backend, reason=f"the {backend} extra is not installed")
    one, two = (Detector(backend=b, device="cpu", views="fast") for b in ("onnx", backend))
    assert (one.backend, two.backend) == ("onnx", backend)
    for image in (scene, scene[:100, :90], scene[::-1, ::2]):
        first, second = one.check(np.ascontiguousarray(image)), two.check(np.ascontiguousarray(image))
        assert abs(first.probability - second.probability) < margin
