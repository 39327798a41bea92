"""Runs of frames from videos that the tests encode; broken, odd and huge ones."""

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aidetect import (
    AidetectError,
    CorruptImageError,
    InputNotFoundError,
    NotAnImageError,
    TooLargeError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from aidetect_training import video_read
from aidetect_training.video_read import read_run

av = pytest.importorskip("av", reason="the video extra is not installed")


def video(
    path: Path, count: int = 40, times: Callable[[int], int] = lambda number: number, form: str = "mp4"
) -> Path:
    """24 ticks a second; frame n is of the one grey 4 + 6 n and shown at `times(n)`. With B-frames."""
    with av.open(path, "w", format=form) as container:
        stream = container.add_stream("libx264", rate=24, options={"qp": "1", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 24)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 + 6 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = times(number), Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video(tmp_path_factory.mktemp("videos") / "clip.mp4")


def numbers(path: Path, *options: Any) -> list[int]:
    """Which frames came, by their grey."""
    found = list(read_run(path, *options))
    assert {(frame.shape, frame.dtype) for frame in found} == {((48, 64, 3), np.dtype(np.uint8))}
    return [round((float(frame.mean()) - 4) / 6) for frame in found]


@pytest.mark.parametrize(
    ("frames", "rate", "at", "expected"),
    [
        (16, 0, 0, list(range(16))),
        (16, 0, 0.999, list(range(24, 40))),
        (40, 0, 0.5, list(range(40))),
        (8, 24, 0.5, list(range(16, 24))),
        (5, 6, 0, [2, 6, 10, 14, 18]),
        (10, 6, 0.7, [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]),
        (4, 48, 0, [0, 0, 1, 1]),
    ],
)
def test_a_run_is_of_its_times(
    mp4: Path, frames: int, rate: float, at: float, expected: list[int]
) -> None:
    assert numbers(mp4, frames, rate, at) == expected


def test_variable_rate_is_read_as_it_is_shown(tmp_path: Path) -> None:
    """Ten frames a tick each, then five that stay for four ticks."""
    path = video(tmp_path / "v.mkv", 15, lambda n: n if n < 10 else 10 + 4 * (n - 10), "matroska")
    shown = numbers(path, 24, 24, 0)
    assert shown == [*range(10), *(10 + n // 4 for n in range(14))]


def test_videos_too_short(mp4: Path) -> None:
    with pytest.raises(CorruptImageError, match="it has 40 frames at 24 a second, not 41"):
        numbers(mp4, 41, 0, 0)
    with pytest.raises(CorruptImageError, match="it has 10 frames at 6 a second, not 11"):
        numbers(mp4, 11, 6, 0)


def test_broken_videos(mp4: Path, tmp_path: Path) -> None:
    """Whatever is broken ends with an error that names the file, or with frames."""
    random, data, path = np.random.default_rng(3), mp4.read_bytes(), tmp_path / "broken.mp4"
    ends = []
    for turn in range(40):
        broken = bytearray(data[: int(random.integers(40, len(data)))] if turn % 2 else data)
        for at in random.integers(32, len(broken), 20):
            broken[at] = random.integers(256)
        path.write_bytes(broken)
        try:
            assert len(list(read_run(path, 16, 0, 0.5))) == 16
            ends.append("frames")
        except AidetectError as error:
            assert str(path) in str(error)
            ends.append(type(error).__name__)
    assert "CorruptImageError" in ends


def test_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "none.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(50))
    with pytest.raises(CorruptImageError, match="broken"):
        numbers(path, 2, 0, 0)


def test_no_videos(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"gone\.mp4"):
        numbers(tmp_path / "gone.mp4", 2, 0, 0)
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    with pytest.raises(NotAnImageError, match="no video"):
        numbers(path, 2, 0, 0)
    sound = io.BytesIO()
    with av.open(sound, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    path.write_bytes(sound.getvalue())
    with pytest.raises(UnsupportedFormatError, match="no video"):
        numbers(path, 2, 0, 0)


def test_limits(mp4: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLargeError, match="larger than the limit of 1,000 bytes"):
        list(read_run(mp4, 2, 0, 0, max_bytes=1000))
    monkeypatch.setattr(video_read, "MAX_DECODED", 20)
    with pytest.raises(CorruptImageError, match="takes more than 20"):
        numbers(mp4, 3, 2, 0)
    monkeypatch.setattr(video_read, "MAX_PIXELS", 1000)
    with pytest.raises(TooManyPixelsError, match="64×48"):
        numbers(mp4, 2, 0, 0)
