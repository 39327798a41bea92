"""Reads a run of frames out of a video file, by time, as a player would show them."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aidetect import InputError, InputNotFoundError, NotAnImageError, TooLargeError
from aidetect._video import MAX_BYTES, Video, broken, import_av, video_format

MAX_PIXELS = 50_000_000
"""Of a frame: larger ones are refused before they are decoded."""

MAX_DECODED = 3000
"""Frames decoded for one run."""


def read_run(
    path: Path, frames: int, rate: float, at: float, *, max_bytes: int = MAX_BYTES
) -> Iterator[np.ndarray]:
    """Yields `frames` frames (height, width, 3), upright sRGB uint8, `rate` a second (0: as many as the
    video has). `at` from 0 to below 1 says how far into the video the run begins: 0 at its start,
    almost 1 so that it ends with it.

    The n-th is what is on the screen at its time: where frames last longer than others, the same one
    may come again.

    Raises an InputError that names the file: InputNotFoundError, NotAnImageError (no video),
    UnsupportedFormatError (a codec that is not read, sound alone), TooLargeError, TooManyPixelsError,
    CorruptImageError (broken, no frames, or too few of them). MissingExtraError without PyAV.
    """
    av, name = import_av(), str(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputNotFoundError(f"{name}: {error.strerror}. Give a file that is there.") from None
    if size > max_bytes:
        raise TooLargeError(f"{name}: larger than the limit of {max_bytes:,} bytes. Cut it to its part.")
    if (container := video_format(os.fspath(path))) is None:
        raise NotAnImageError(f"{name} is no video that is read: MP4, MOV, WebM, Matroska or AVI.")
    try:
        with (
            open(path, "rb") as file,
            av.open(file, format=container, metadata_errors="ignore") as opened,
        ):
            yield from _run(Video(av, opened, name, MAX_PIXELS), frames, rate, at)
    except InputError:
        raise
    except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise broken(name, str(error)) from None


def _run(video: Video, frames: int, rate: float, at: float) -> Iterator[np.ndarray]:
    own = float(video.stream.average_rate or 0)
    if not own:
        raise broken(video.name, "it does not say how fast its frames follow each other")
    step = 1 / (rate or own)
    there = round(video.seconds / step)
    if there < frames:
        raise broken(video.name, f"it has {there} frames at {rate or own:.3g} a second, not {frames}")
    first = int(at * (there - frames + 1))
    # A trifle later than the middle of each step, which may be just where a frame begins.
    wanted = [video.start + (first + n + 0.5) * step / video.unit + 1e-3 for n in range(frames)]
    video.container.seek(max(int(wanted[0]), 0), stream=video.stream, backward=True)
    given, shown = 0, None
    for decoded, frame in enumerate(video.container.decode(video.stream)):
        if frame.pts is None:
            continue
        while shown is not None and given < frames and wanted[given] < frame.pts:
            yield video.pixels(shown)
            given += 1
        shown = frame
        if given == frames:
            return
        if decoded > MAX_DECODED:
            raise broken(video.name, f"a run of {frames} frames takes more than {MAX_DECODED:,}")
    while shown is not None and given < frames and wanted[given] < _end(video, shown, step):
        yield video.pixels(shown)
        given += 1
    if given < frames:
        raise broken(video.name, f"it ends after {given} of {frames} frames")


def _end(video: Video, frame: object, step: float) -> float:
    """Until when the last frame is shown: as long as it says, else one step."""
    pts, lasts = frame.pts, getattr(frame, "duration", None)  # type: ignore[attr-defined]
    return pts + max(lasts or 0, step / video.unit)
