"""`Detector`: images in, verdicts out."""

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from ._errors import ConfigurationError, InputError, MissingExtraError, UnsupportedFormatError
from ._reading import name_of
from ._verdict import ModelInfo, Verdict
from ._video import check_video, video_format

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from ._explain import Explanation
    from ._local import Local as _Local
    from ._remote import Remote as _Remote

    ImageInput = str | os.PathLike[str] | bytes | BinaryIO | Image | NDArray[np.uint8]
    """Path, http(s) URL, encoded bytes, binary file, PIL image, or uint8 array H×W×3."""

_MAX_PIXELS = 50_000_000
_OWN = {"model": None, "backend": "auto", "device": "auto", "views": "default", "threads": None}
"""Options of a model of one's own, and their defaults."""


class Detector:
    """Says whether images were made by AI.

    `model`: None for the one that is shipped, a name or a path of another. `backend`: `auto`,
    `onnx`, `openvino` or `torch`; `device`: `auto`, `cpu`, `cuda` or `cuda:1`. `views`: how much of
    an image is looked at, at a cost that grows with the number of views: `fast` (2 at most),
    `default` (9) or `thorough` (25); no difference with the shipped model, which gives crops no weight.
    `threads`: threads of the CPU backend, None for all cores.
    `max_bytes` and `max_pixels` bound one image, `timeout` one download in seconds. `allow_private`
    lets URLs reach hosts that are not on the public internet.

    With `url`, an aidetect server is asked instead, with `api_key`: files are sent as bytes, once; URLs
    are for the server to fetch; `model` to `threads` and `allow_private` are the server's own. `timeout`
    is then for one answer, `patience` for a check that does not move, `retries` for a server that is
    busy or gone (one that never answered and cannot be connected to is told at once), `concurrency`
    for the images that `check_many` has under way. `trust` verifies the signature of each verdict: a
    file with the server's public keys, or "first-use" for those that it has when it is first asked.
    AIDETECT_URL and AIDETECT_API_KEY stand in for `url` and `api_key`; the first only where no option
    of a model of one's own is given.

    Loading reads and hashes the weights once (tens of milliseconds) and builds the network (about
    half a second): keep a Detector. One Detector serves many threads at once.

    Raises ConfigurationError, MissingExtraError, ModelNotFoundError or ModelIntegrityError. A server is
    not asked before the first check, which raises ServiceError where it fails.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        backend: str = "auto",
        device: str = "auto",
        views: str = "default",
        threads: int | None = None,
        max_bytes: int = 20_000_000,
        max_pixels: int = _MAX_PIXELS,
        timeout: float = 20.0,
        allow_private: bool = False,
        url: str | None = None,
        api_key: str | None = None,
        patience: float = 300.0,
        retries: int = 5,
        concurrency: int = 8,
        trust: str | os.PathLike[str] | None = None,
    ) -> None:
        if max_bytes < 1 or max_pixels < 1 or (threads is not None and threads < 1):
            raise ConfigurationError("max_bytes, max_pixels and threads have to be above zero")
        if retries < 0 or concurrency < 1:
            raise ConfigurationError("retries has to be zero or more, concurrency above zero")
        if not (0 < timeout <= threading.TIMEOUT_MAX and 0 < patience <= threading.TIMEOUT_MAX):
            most = f"{threading.TIMEOUT_MAX:.0f}"
            raise ConfigurationError(
                f"timeout and patience have to be above zero, and at most {most} seconds"
            )
        own: dict[str, Any] = {"model": model, "backend": backend, "device": device, "views": views}
        own["threads"] = threads
        given = [name for name, value in own.items() if value != _OWN[name]]
        given += ["allow_private"] if allow_private else []
        self._max_pixels = max_pixels
        limits: dict[str, Any] = {"max_bytes": max_bytes, "timeout": timeout}
        if url := url or (None if given else os.environ.get("AIDETECT_URL")):
            if given:
                raise ConfigurationError(
                    f"{', '.join(given)}: with url, that is the server's own matter"
                )
            from ._remote import Remote

            limits |= {"max_pixels": max_pixels, "patience": patience, "retries": retries}
            key = api_key or os.environ.get("AIDETECT_API_KEY")
            self._answering: _Local | _Remote = Remote(
                url, key, concurrency=concurrency, trust=trust, **limits
            )
            return
        if trust is not None:
            raise ConfigurationError("trust is for the verdicts of a server: give its url too")
        from ._engine import Engine  # not at the top: a server's client needs no runtime
        from ._local import Local

        engine = Engine(**own, max_pixels=max_pixels)
        self._answering = Local(engine, allow_private=allow_private, **limits)

    def __repr__(self) -> str:
        return repr(self._answering)

    @property
    def model(self) -> ModelInfo:
        """The model that answers. With `url`, raises ServiceError where the server does not tell."""
        return self._answering.model

    @property
    def backend(self) -> str:
        """`onnx`, `openvino` or `torch`; `server` with `url`."""
        return self._answering.backend

    @property
    def device(self) -> str:
        """`cpu` or `cuda:0`, say; the server's address with `url`."""
        return self._answering.device

    @property
    def identity(self) -> str:
        """Names all that an answer depends on besides the image, so that answers can be kept."""
        return self._answering.identity

    def check(self, image: "ImageInput") -> Verdict:
        """Checks one image: a path, an http(s) URL, encoded bytes, a binary file object, a PIL image
        or a uint8 array of height×width×3 in sRGB. Of a video in a file, frames spread over its time.

        Raises InputError (see the tree in `aidetect._errors`) when it cannot be checked: missing,
        unreachable, not an image, broken, too large.
        """
        if (container := video_format(image)) is None:
            return self._answering.check(image)
        many = self._answering.check_many
        return check_video(many, image, container, max_pixels=self._max_pixels)

    def explain(self, image: "ImageInput") -> "Explanation":
        """Checks one image, and tells where in it the model saw what decided: a map, and pictures of it.
        Takes what `check` takes and raises what it raises; with `url`, no URLs."""
        return self._answering.explain(image)

    def check_many(self, images: "Iterable[ImageInput]") -> Iterator[Verdict | InputError]:
        """Checks many, yielding in their order a verdict, or in its place the error of an image that
        could not be checked. Reads `images` lazily and keeps a few in memory at a time; decoding
        and fetching run in threads beside the network.
        """
        if isinstance(images, str | bytes | os.PathLike):
            raise ConfigurationError("check_many takes several images, such as a list; check takes one")
        videos: deque[tuple[ImageInput, str] | None] = deque()

        def stills() -> "Iterator[ImageInput]":
            for image in images:
                container = video_format(image)
                videos.append((image, container) if container else None)
                if container is None:
                    yield image

        for answer in self._answering.check_many(stills()):
            while (video := videos.popleft()) is not None:
                yield self._try_video(*video)
            yield answer
        while videos and (video := videos.popleft()) is not None:
            yield self._try_video(*video)

    def _try_video(self, image: "ImageInput", container: str) -> Verdict | InputError:
        try:
            many = self._answering.check_many
            return check_video(many, image, container, max_pixels=self._max_pixels)
        except InputError as error:
            return error
        except MissingExtraError as error:
            return UnsupportedFormatError(error.message, input=name_of(image))
