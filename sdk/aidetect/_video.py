"""Videos, by frames: what the model says of frames spread over the time, and of all of them as a whole.

Each frame is checked as an image of its own. What only movement would show is not seen, and codecs
remove much of what the model looks for, so the answer is weaker than that of an image; it says so.

A video is read as its content says, never as its name does; only the demuxers named here are opened,
from a file object, so that a playlist or a reference inside cannot reach other files or the network.
Time and memory are bounded: a few frames in memory at once, a limit for each step and for the whole.
"""

import hashlib
import importlib
import io
import os
import stat
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from ._errors import (
    CorruptImageError,
    InputError,
    MissingExtraError,
    TooLargeError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from ._reading import name_of
from ._text import is_url, printable
from ._verdict import Evidence, ImageInfo, Label, Reason, UncertainBecause, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES = 16
"""Frames that are looked at, spread evenly over the time."""

MAX_BYTES = 4_000_000_000
MAX_SECONDS = 120.0
"""Wall time for reading frames, the model's own not counted."""

_MAX_DECODED = 600
"""Frames decoded to reach one: two keyframes are seldom further apart."""

_STILLS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
"""Brands of images in the container that videos have too (ISO/IEC 14496-12, section 4.3)."""

_HEAD = 256

CheckMany = Callable[[Iterable[Any]], Iterator[Verdict | InputError]]


def video_format(image: Any) -> str | None:
    """FFmpeg's name of the container where `image` (a path, bytes or a seekable file) holds a video,
    by its first bytes; None for everything else, and where that cannot be told without consuming it."""
    if isinstance(image, bytes):
        return _container(image[:_HEAD])
    try:
        if isinstance(image, str | os.PathLike):
            if (isinstance(image, str) and is_url(image)) or not stat.S_ISREG(os.stat(image).st_mode):
                return None
            with open(image, "rb") as file:
                return _container(file.read(_HEAD))
        if hasattr(image, "read") and hasattr(image, "seekable") and image.seekable():
            at = image.tell()
            head = image.read(_HEAD)
            image.seek(at)
            return _container(head) if isinstance(head, bytes) else None
    except (OSError, ValueError):
        pass  # reading it as an image will say what is wrong
    return None


def _container(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
        return None if brands & _STILLS or head[8:12] == b"crx " else "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    return "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else None


def check_video(
    check_many: CheckMany, image: Any, container: str, *, max_pixels: int, max_bytes: int = MAX_BYTES
) -> Verdict:
    """The verdict of a video whose frames `check_many` answers.

    Raises MissingExtraError without PyAV; CorruptImageError where no frame can be read,
    TooManyPixelsError, TooLargeError, UnsupportedFormatError; the error of its frames where none of
    them could be checked.
    """
    av = import_av()
    started = time.perf_counter()
    source = name_of(image)
    name = printable(source) if source else "The video"
    with _opened(image, name) as file:
        digest, size = _hashed(file, max_bytes, name)
        try:
            with av.open(file, format=container, metadata_errors="ignore") as opened:
                video = Video(av, opened, name, max_pixels)
                answers = list(check_many(video.frames()))
        except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
            raise broken(name, str(error)) from None
    if not video.times:
        raise broken(name, "no frame of it can be read")
    verdicts = [answer for answer in answers if isinstance(answer, Verdict)]
    if not verdicts:
        failed = next(answer for answer in answers if isinstance(answer, InputError))
        failed.input = source
        raise failed
    return _whole(
        [(at, one) for at, one in zip(video.times, answers, strict=True) if isinstance(one, Verdict)],
        ImageInfo(digest, video.width, video.height, _NAMES[container], size),
        video.seconds,
        source,
        round(1000 * (time.perf_counter() - started), 1),
    )


_NAMES = {"mov": "MP4", "matroska": "WEBM", "avi": "AVI"}


@dataclass
class Video:
    """An open container. `times` has the seconds of the frames given out so far."""

    av: Any
    container: Any
    name: str
    max_pixels: int
    times: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.end = time.monotonic() + MAX_SECONDS
        if not self.container.streams.video:
            raise UnsupportedFormatError(f"{self.name} has no video in it. Give a file with pictures.")
        self.stream = self.container.streams.video[0]
        if self.stream.codec_context is None:
            raise UnsupportedFormatError(
                f"{self.name}: its video is of a codec that is not read. Export it as H.264."
            )
        self.width, self.height = self.stream.width, self.stream.height
        self._bounded(self.width, self.height)
        self.stream.thread_count = 2
        start, length = self.stream.start_time or 0, self.stream.duration
        unit = float(self.stream.time_base or 0) or 1 / 1000
        if not length and self.container.duration:
            length = self.container.duration / self.av.time_base / unit
        if not length or length < 0:
            start, length = self._measured()
        self.start, self.unit, self.seconds = start, unit, float(length * unit)

    def frames(self) -> "Iterator[NDArray[Any]]":
        """Up to `FRAMES` frames (height, width, 3), upright sRGB, each once, read when they are asked
        for; one that cannot be read is left out."""
        seen = set()
        for number in range(FRAMES):
            if time.monotonic() > self.end:
                return
            wanted = self.start + round((number + 0.5) / FRAMES * self.seconds / self.unit)
            try:
                frame = self._frame_at(wanted)
            except self.av.error.FFmpegError:
                continue
            if frame is None or frame.pts in seen:
                continue
            seen.add(frame.pts)
            self.times.append(round(max(0.0, (frame.pts - self.start) * self.unit), 3))
            yield self.pixels(frame)

    def _frame_at(self, wanted: int) -> Any:
        """The frame shown at this time of the stream; the last before it where the file ends."""
        self.container.seek(max(wanted, 0), stream=self.stream, backward=True)
        found = None
        for decoded, frame in enumerate(self.container.decode(self.stream)):
            if frame.pts is None:
                continue
            if found is not None and frame.pts > wanted:
                break
            found = frame
            if frame.pts >= wanted or decoded >= _MAX_DECODED or time.monotonic() > self.end:
                break
        return found

    def pixels(self, frame: Any) -> "NDArray[Any]":
        """(height, width, 3), upright sRGB. Raises TooManyPixelsError."""
        import numpy as np

        self._bounded(frame.width, frame.height)
        pixels = frame.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))

    def _measured(self) -> tuple[int, int]:
        """First time and length in the stream's unit, of a file that does not say: from its packets."""
        first = last = None
        for packet in self.container.demux(self.stream):
            if packet.pts is not None:
                first = packet.pts if first is None else min(first, packet.pts)
                last = packet.pts if last is None else max(last, packet.pts)
            if time.monotonic() > self.end:
                break
        if first is None or last is None:
            raise broken(self.name, "it has no frames")
        return first, last - first + 1

    def _bounded(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise TooManyPixelsError(
                f"{self.name}: its frames have {width}×{height} pixels, more than the limit of"
                f" {self.max_pixels:,}. Use a smaller copy, or raise the limit."
            )


def _whole(
    frames: list[tuple[float, Verdict]],
    image: ImageInfo,
    seconds: float,
    source: str | None,
    elapsed_ms: float,
) -> Verdict:
    """One verdict of all frames: the label that at least half of them have, and three times as many as
    the opposite one; the median of their probabilities."""
    verdicts = [verdict for _, verdict in frames]
    counts = Counter(verdict.label for verdict in verdicts)
    label: Label = "uncertain"
    if 2 * counts["ai"] >= len(verdicts) and counts["ai"] > 3 * counts["real"]:
        label = "ai"
    elif 2 * counts["real"] >= len(verdicts) and counts["real"] > 3 * counts["ai"]:
        label = "real"
    because: UncertainBecause | None = None
    if label == "uncertain":
        causes = {verdict.uncertain_because for verdict in verdicts}
        because = causes.pop() if len(causes) == 1 and None not in causes else "views_disagree"
    probability = round(statistics.median(verdict.probability for verdict in verdicts), 4)
    share = round(counts["ai"] / len(verdicts), 4)
    params = {"ai": counts["ai"], "real": counts["real"], "all": len(verdicts), "share": share}
    text = (
        f"Frames that look made by AI: {counts['ai']} of {len(verdicts)}; that do not: {counts['real']};"
        f" unclear: {counts['uncertain']}."
    )
    weak = "Frames were checked as images of their own: what only movement shows was not seen."
    timeline = [{"time": at, "label": one.label, "probability": one.probability} for at, one in frames]
    details = {"share": share, "seconds": round(seconds, 3), "frames": timeline}
    evidence = Evidence(
        "frames",
        "unclear" if label == "uncertain" else label,
        round(abs(2 * probability - 1), 4),
        details,
    )
    reasons = (Reason("frames", text, params), Reason("frames_apart", weak))
    return Verdict(
        label=label,
        probability=probability,
        decided_by="model",
        uncertain_because=because,
        reasons=reasons,
        evidence=(evidence,),
        image=image,
        model=verdicts[0].model,
        checked_at=verdicts[-1].checked_at,
        elapsed_ms=elapsed_ms,
        source=source,
    )


@contextmanager
def _opened(image: Any, name: str) -> Iterator[BinaryIO]:
    if isinstance(image, bytes):
        yield io.BytesIO(image)
    elif isinstance(image, str | os.PathLike):
        try:
            with open(image, "rb") as file:
                yield file
        except OSError as error:
            raise InputError(
                f"{name}: cannot be read ({error.strerror}). Check its permissions."
            ) from None
    else:
        yield image


def _hashed(file: BinaryIO, max_bytes: int, name: str) -> tuple[str, int]:
    """SHA-256 and size of what the file holds from where it stands; it stands there again after."""
    start, digest, size = file.tell(), hashlib.sha256(), 0
    while part := file.read(1 << 20):
        size += len(part)
        if size > max_bytes:
            raise TooLargeError(
                f"{name}: larger than the limit of {max_bytes:,} bytes. Cut out the part in question."
            )
        digest.update(part)
    file.seek(start)
    return digest.hexdigest(), size


def broken(name: str, reason: str) -> CorruptImageError:
    return CorruptImageError(f"{name}: the video is broken ({printable(reason, 120)}). Get it again.")


def import_av() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError:
        raise MissingExtraError(
            "videos need PyAV, which is not installed. From a clone of aidetect: pip install '.[video]'."
        ) from None
