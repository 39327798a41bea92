"""Videos that the tests encode, answered by frames; broken ones, odd ones, none at all."""

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aidetect import (
    CorruptImageError,
    Detector,
    InputError,
    NotAnImageError,
    TooLargeError,
    TooManyPixelsError,
    UnsupportedFormatError,
    Verdict,
)
from aidetect._cli import main
from aidetect._video import FRAMES, check_video, video_format

from .image_files import noise, save
from .verdicts import verdict

av = pytest.importorskip("av", reason="the video extra is not installed")

CODECS = {"mp4": "mpeg4", "webm": "libvpx", "avi": "mjpeg", "mov": "mjpeg", "mkv": "mpeg4"}


def clip(
    suffix: str = "mp4",
    count: int = 48,
    size: tuple[int, int] = (96, 80),
    times: Callable[[int], int] = lambda number: number,
    **options: str,
) -> bytes:
    """A video at 24 ticks a second whose frame n is of the one grey 4 + 5 n, shown at `times(n)`."""
    file = io.BytesIO()
    form = {"mkv": "matroska"}.get(suffix, suffix)
    with av.open(file, "w", format=form, options=options) as container:
        stream = container.add_stream(CODECS[suffix], rate=24)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if CODECS[suffix] == "mjpeg" else "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 24)
        for number in range(count):
            pixels = np.full((size[1], size[0], 3), min(250, 4 + 5 * number), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = times(number), Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.fixture(scope="module")
def mp4() -> bytes:
    return clip()


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(backend="onnx", views="fast", threads=1)


class Seen:
    """In place of the model: notes the grey of each frame, answers by `label_of`."""

    def __init__(self, label_of: Callable[[int], str] = lambda number: "ai") -> None:
        self.greys: list[int] = []
        self.shapes: list[tuple[int, ...]] = []
        self.label_of = label_of

    def __call__(self, frames: Any) -> Any:
        for number, frame in enumerate(frames):
            self.greys.append(round(float(frame.mean())))
            self.shapes.append(frame.shape)
            yield verdict(self.label_of(number))


def judged(data: Any, seen: Any, **options: Any) -> Verdict:
    container = video_format(data)
    assert container
    return check_video(seen, data, container, **{"max_pixels": 50_000_000, **options})


def test_a_clip_is_answered_as_a_whole_and_by_frames(
    detector: Detector, mp4: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4)
    found = detector.check(path)
    assert found.source == str(path) and found.image.sha256 == sha256(mp4).hexdigest()
    assert (found.image.width, found.image.height, found.image.format) == (96, 80, "MP4")
    (evidence,) = found.evidence
    assert evidence.kind == "frames" and len(evidence.details["frames"]) == FRAMES
    times = [frame["time"] for frame in evidence.details["frames"]]
    assert times == sorted(times) and evidence.details["seconds"] == pytest.approx(2, abs=0.1)
    assert found.label == "uncertain" and found.uncertain_because == "flat"
    assert Verdict.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    for other in (str(path), mp4, io.BytesIO(mp4)):
        assert detector.check(other).evidence == found.evidence


@pytest.mark.parametrize("suffix", sorted(CODECS))
def test_frames_are_those_of_their_times(suffix: str) -> None:
    seen = Seen()
    found = judged(clip(suffix), seen)
    wanted = [4 + 5 * 48 * (number + 0.5) / FRAMES for number in range(FRAMES)]
    assert len(seen.greys) == FRAMES
    assert np.abs(np.array(seen.greys) - wanted).max() <= 12
    assert found.label == "ai" and found.evidence[0].details["share"] == 1


def test_variable_rate_is_sampled_by_time_and_not_by_number() -> None:
    seen = Seen()
    judged(
        clip("mkv", 40, times=lambda number: number if number < 32 else 32 + 24 * (number - 32)), seen
    )
    late = [grey for grey in seen.greys if grey > 4 + 5 * 31]
    assert len(late) >= FRAMES / 2  # most of the time, and a fifth of the frames


def test_short_clips_have_each_frame_once() -> None:
    for count in (1, 3):
        seen = Seen()
        assert judged(clip(count=count), seen).reasons[0].params["all"] == count
        assert len(set(seen.greys)) == count


def test_a_stream_that_names_no_length() -> None:
    seen = Seen()
    judged(clip("webm", live="1"), seen)
    assert len(seen.greys) >= FRAMES - 2 and max(seen.greys) > 200


@pytest.mark.parametrize(
    ("ai", "real", "label"),
    [
        *((16, 0, "ai"), (8, 0, "ai"), (8, 2, "ai"), (8, 3, "uncertain"), (7, 0, "uncertain")),
        *((0, 16, "real"), (2, 8, "real"), (3, 8, "uncertain"), (0, 7, "uncertain")),
        (8, 8, "uncertain"),
    ],
)
def test_the_whole_follows_from_the_frames(ai: int, real: int, label: str, mp4: bytes) -> None:
    def label_of(number: int) -> str:
        return "ai" if number < ai else "real" if number < ai + real else "uncertain"

    found = judged(mp4, Seen(label_of))
    assert found.label == label
    assert found.reasons[0].params == {"ai": ai, "real": real, "all": 16, "share": ai / 16}


def test_one_frame_is_not_counted_as_many() -> None:
    found = judged(clip(count=1), Seen())
    assert found.reasons[0].text == "Frames that look made by AI: 1 of 1; that do not: 0; unclear: 0."


def test_broken_videos_end_with_an_error_or_what_is_left(mp4: bytes) -> None:
    random = np.random.default_rng(3)
    for turn in range(60):
        data = bytearray(mp4)
        if turn % 2:
            data = data[: int(random.integers(40, len(data)))]
        for at in random.integers(32, len(data), 20):
            data[at] = random.integers(256)
        started = time.process_time()
        try:
            assert judged(bytes(data), Seen()).label == "ai"
        except InputError as error:
            assert "video" in str(error) or "frames" in str(error)
        assert time.process_time() - started < 30


@pytest.mark.parametrize("data", [b"\0\0\0\x18ftypisom" + bytes(50), b"\x1a\x45\xdf\xa3" + bytes(50)])
def test_no_frames_at_all(data: bytes, detector: Detector) -> None:
    with pytest.raises(CorruptImageError, match="video is broken"):
        detector.check(data)


def test_sound_alone_is_no_video() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UnsupportedFormatError, match="no video"):
        judged(file.getvalue(), Seen())


def test_limits(mp4: bytes) -> None:
    with pytest.raises(TooManyPixelsError):
        judged(mp4, Seen(), max_pixels=1000)
    with pytest.raises(TooLargeError):
        judged(mp4, Seen(), max_bytes=1000)


def test_images_are_no_videos(tmp_path: Path) -> None:
    for form in ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"):
        assert video_format(save(noise(40, 40), form)) is None
    for brand in (b"heic", b"mif1", b"avif", b"crx "):
        assert video_format(b"\0\0\0\x18ftyp" + brand + bytes(12)) is None
    assert video_format(b"\0\0\0\x18ftypisom\0\0\0\0avif" + bytes(12)) is None
    for other in (tmp_path, tmp_path / "none.mp4", "https://a.example/a.mp4", 3, b"", io.StringIO("a")):
        assert video_format(other) is None


def test_among_images_it_is_answered_in_its_place(detector: Detector, mp4: bytes) -> None:
    image = save(noise(80, 80), "PNG")
    found = list(detector.check_many([mp4, image, b"text", mp4, mp4[:50], image, mp4]))
    kinds = [one.evidence[0].kind if isinstance(one, Verdict) else type(one) for one in found]
    assert kinds == [
        *("frames", "model", NotAnImageError, "frames", CorruptImageError, "model", "frames")
    ]


def test_from_the_command_line(mp4: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(mp4)
    assert main(["check", str(path), "--views", "fast"]) == 0
    shown = capsys.readouterr().out
    assert "of 16; that do not: " in shown and "96×80 MP4" in shown


def test_without_pyav_it_says_what_to_install(mp4: bytes, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(mp4)
    program = """
import sys
sys.modules["av"] = None
from aidetect import Detector, MissingExtraError
detector = Detector(backend="onnx", views="fast")
try:
    detector.check(sys.argv[1])
except MissingExtraError as error:
    print(error)
print([one.code for one in detector.check_many([sys.argv[1]])])
"""
    command = [sys.executable, "-c", program, str(tmp_path / "clip.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    message, codes = done.stdout.splitlines()
    assert "'.[video]'" in message and codes == "['unsupported_format']"
