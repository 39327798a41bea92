"""Inputs that callers get wrong, or use twice: each has its own typed error and harms no other."""

import io
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aidetect import (
    ConfigurationError,
    Detector,
    InputError,
    InputNotFoundError,
    InvalidURLError,
    ModelIntegrityError,
    NotAnImageError,
    UnsupportedFormatError,
    Verdict,
    _reading,
)

from .image_files import noise, save
from .origin import Origin

PATIENCE = 90.0
PNG = save(noise(), "PNG")

pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(backend="onnx", views="fast", allow_private=True)


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


class Failing(io.RawIOBase):
    """A file on a disk that fails."""

    name = "photo.png"

    def read(self, size: int = -1) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_file_that_fails_fails_alone(detector: Detector) -> None:
    closed = io.BytesIO(PNG)
    closed.close()
    broken, shut, good = detector.check_many([Failing(), closed, PNG])  # type: ignore[list-item]
    assert isinstance(broken, InputError) and "photo.png: cannot be read" in str(broken)
    assert isinstance(shut, InputError) and "closed file" in str(shut)
    assert isinstance(good, Verdict)


def test_a_file_read_before_is_told_from_an_empty_one(detector: Detector) -> None:
    file = io.BytesIO(PNG)
    detector.check(file)
    with pytest.raises(NotAnImageError, match="read to its end"):
        detector.check(file)


def test_an_unbuffered_pipe_is_read_to_its_end(detector: Detector) -> None:
    data = save(noise(500, 400), "PNG")  # more than a pipe holds, so no one read gets it all
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as end:
            end.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    with open(reading, "rb", buffering=0) as file:
        verdict = detector.check(file)
    writer.join()
    assert verdict.image.bytes == len(data)


@pipes
def test_a_named_pipe_that_nobody_writes_into_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_reading, "WRITER_SECONDS", 0.2, raising=False)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_reading.read, path, 1000)
        try:
            with pytest.raises(InputError, match=r"pipe: a pipe that nobody writes into.*Start what"):
                reading.result(timeout=PATIENCE)
        finally:
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # lets go of one that waits


@pipes
@pytest.mark.parametrize("pause", [0.0, 0.5], ids=["at once", "late"])
def test_a_named_pipe_is_read_whole_however_slow_its_writer(
    pause: float, tmp_path: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data = tmp_path / "pipe", save(noise(500, 400), "PNG")  # more than a pipe holds
    os.mkfifo(path)
    opened = threading.Event()

    def write() -> None:
        with open(path, "wb", buffering=0) as end:
            opened.set()
            time.sleep(pause)
            end.write(data[:1])
            time.sleep(pause)
            end.write(data[1:])

    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # lets the writer in before the detector
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        assert opened.wait(PATIENCE)
        monkeypatch.setattr(_reading, "WRITER_SECONDS", 0.2 * pause, raising=False)
        assert detector.check(path).image.bytes == len(data)
        writing.result(timeout=PATIENCE)
    os.close(reader)


@pipes
def test_the_pipe_of_a_shell_is_read_to_its_end(detector: Detector) -> None:
    """What `<(…)` gives a program: the name of an open pipe, whose writer may have left."""
    reading, writing = os.pipe()
    with open(writing, "wb") as end:
        end.write(PNG)
    assert detector.check(f"/dev/fd/{reading}").image.bytes == len(PNG)
    with pytest.raises(NotAnImageError, match="empty"):
        detector.check(f"/dev/fd/{reading}")
    os.close(reading)


def test_a_generous_limit_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    for limit in (10**15, 10**30):
        assert Detector(backend="onnx", max_bytes=limit).check(path).image.bytes == len(PNG)


def test_one_unloaded_pil_image_many_times(detector: Detector) -> None:
    """Pillow lets no two threads load an image."""
    data = save(noise(900, 700), "PNG")
    for _ in range(3):
        answers = list(detector.check_many([Image.open(io.BytesIO(data))] * 4))
        assert [type(answer) for answer in answers] == [Verdict] * 4


@pytest.mark.parametrize("one", ["photo.jpg", PNG, Path("photo.jpg")], ids=["str", "bytes", "path"])
def test_one_image_is_not_many(detector: Detector, one: Any) -> None:
    with pytest.raises(ConfigurationError, match="several"):
        next(detector.check_many(one))


def test_an_empty_name_is_said(detector: Detector) -> None:
    with pytest.raises(InputNotFoundError, match=r"^\(no name\): no such file"):
        detector.check("")


def test_a_path_with_two_slashes_is_no_url(detector: Detector) -> None:
    for path in ("./a://b.jpg", "C://photos/b.jpg"):
        with pytest.raises(InputNotFoundError, match="no such file"):
            detector.check(path)


@pytest.mark.parametrize("times", [1, 1000], ids=["short", "long"])
@pytest.mark.parametrize("scheme", ["data:image/png", "DATA:image/x"])
def test_an_image_in_an_address_is_refused_as_that_and_not_repeated(
    scheme: str, times: int, detector: Detector
) -> None:
    with pytest.raises(InvalidURLError, match=r"\(data:\) is not supported") as caught:
        detector.check(f"{scheme};base64,{'iVBORw0K' * times}")
    assert caught.value.input == "data:…" and "iVBOR" not in caught.value.message


def test_what_a_url_brings_is_called_by_it_without_its_query(detector: Detector, origin: Origin) -> None:
    url = origin.serve("/a.png", b"%PDF-1.7\n") + "?token=secret"
    with pytest.raises(UnsupportedFormatError, match=r"/a\.png is a PDF") as caught:
        detector.check(url)
    assert "secret" not in f"{caught.value} {caught.value.input}"


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), 1e12, 0])
def test_a_timeout_that_cannot_be(timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        Detector(timeout=timeout)


class Broken:
    """What a network with weights that are not finite answers."""

    name, device = "broken", "cpu"

    def logits(self, views: np.ndarray) -> np.ndarray:
        return np.full((len(views), 2), np.nan, np.float32)


def test_a_model_that_answers_no_numbers_gives_no_verdict() -> None:
    detector = Detector(backend="onnx")
    detector._answering.engine._backend = Broken()
    with pytest.raises(ModelIntegrityError, match="no numbers"):
        detector.check(PNG)
