"""`Detector`: images in, verdicts out."""

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ._backends import open_backend
from ._calibration import Calibration, decide
from ._errors import (
    ConfigurationError,
    InputError,
    ModelIntegrityError,
)
from ._fusion import fuse
from ._image import MAX_PIXELS, DecodedImage, decode, from_array, from_pil
from ._provenance import Finding, find_claims
from ._reading import name_of, read
from ._reasons import explain_verdict
from ._text import is_url
from ._verdict import Evidence, ImageInfo, ModelInfo, Verdict
from ._views import CONTRACT, PROFILES, Views, extract_views, flatness
from ._weights import load_package

if TYPE_CHECKING:
    from PIL.Image import Image

    from ._fetch import Fetcher

    ImageInput = str | os.PathLike[str] | bytes | BinaryIO | Image | NDArray[np.uint8]
    """Path, http(s) URL, encoded bytes, binary file, PIL image, or uint8 array H×W×3."""

BATCH = 4
"""Images whose views share one forward in `check_many`; larger batches are no faster on a CPU."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One image ready for the network."""

    views: Views
    flatness: float
    image: ImageInfo
    claims: tuple[Finding, ...]
    source: str | None
    seconds: float


class Detector:
    """Says whether images were made by AI.

    `model`: None for the one that is shipped, a name or a path of another. `backend`: `auto`,
    `onnx`, `openvino` or `torch`; `device`: `auto`, `cpu`, `cuda` or `cuda:1`. `views`: how much of
    an image is looked at, at a cost that grows with the number of views: `fast` (2 at most),
    `default` (9) or `thorough` (25). `threads`: threads of the CPU backend, None for all cores.
    `max_bytes` and `max_pixels` bound one image, `timeout` one download in seconds. `allow_private`
    lets URLs reach hosts that are not on the public internet.

    Loading reads and hashes the weights once (tens of milliseconds) and builds the network (about
    half a second): keep a Detector. One Detector serves many threads at once.

    Raises ConfigurationError, MissingExtraError, ModelNotFoundError or ModelIntegrityError.
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
        max_pixels: int = MAX_PIXELS,
        timeout: float = 20.0,
        allow_private: bool = False,
    ) -> None:
        if views not in PROFILES:
            raise ConfigurationError(f"views is {views!r}; it can be one of {', '.join(PROFILES)}")
        if max_bytes < 1 or max_pixels < 1 or (threads is not None and threads < 1):
            raise ConfigurationError("max_bytes, max_pixels and threads have to be above zero")
        if not 0 < timeout <= threading.TIMEOUT_MAX:
            most = f"{threading.TIMEOUT_MAX:.0f}"
            raise ConfigurationError(f"timeout has to be above zero, and at most {most} seconds")
        package = load_package(model)
        manifest = package.manifest
        if manifest.contract != CONTRACT:
            raise ConfigurationError(
                f"model {manifest.name} needs preprocessing contract {manifest.contract}, this version"
                f" has {CONTRACT}; use the version of aidetect that the model was made for"
            )
        self._calibration = Calibration.from_dict(manifest.calibration)
        self._view_size = manifest.view_size
        self._backend = open_backend(package, backend, device, threads)
        self._profile = views
        self._max_bytes, self._max_pixels = max_bytes, max_pixels
        self._fetch_options: dict[str, Any] = {
            "max_bytes": max_bytes,
            "timeout": timeout,
            "allow_private": allow_private,
        }
        self.model = ModelInfo(manifest.name, manifest.version, manifest.weights_sha256)
        self.backend = self._backend.name
        self.device = self._backend.device

    def __repr__(self) -> str:
        model = f"{self.model.name} {self.model.version}"
        return f"<Detector {model}, {self._profile} views, {self.backend} on {self.device}>"

    def check(self, image: "ImageInput") -> Verdict:
        """Checks one image: a path, an http(s) URL, encoded bytes, a binary file object, a PIL image
        or a uint8 array of height×width×3 in sRGB.

        Raises InputError (see the tree in `aidetect._errors`) when it cannot be checked: missing,
        unreachable, not an image, broken, too large.
        """
        return self._answer([self._prepare(image)])[0]

    def check_many(self, images: "Iterable[ImageInput]") -> Iterator[Verdict | InputError]:
        """Checks many, yielding in their order a verdict, or in its place the error of an image that
        could not be checked. Reads `images` lazily and keeps a few in memory at a time; decoding
        and fetching run in threads beside the network.
        """
        if isinstance(images, str | bytes | os.PathLike):
            raise ConfigurationError("check_many takes several images, such as a list; check takes one")
        source = iter(images)
        ahead: deque[Future[_Prepared | InputError]] = deque()
        with ThreadPoolExecutor(4, thread_name_prefix="aidetect-decode") as pool:
            try:
                ahead.extend(
                    pool.submit(self._try_prepare, image) for image in islice(source, 3 * BATCH)
                )
                while ahead:
                    prepared = [ahead.popleft().result() for _ in range(min(BATCH, len(ahead)))]
                    ahead.extend(
                        pool.submit(self._try_prepare, image) for image in islice(source, BATCH)
                    )
                    yield from self._in_place(prepared)
            finally:
                for future in ahead:
                    future.cancel()

    def _in_place(self, prepared: list[_Prepared | InputError]) -> Iterator[Verdict | InputError]:
        good = [one for one in prepared if isinstance(one, _Prepared)]
        verdicts = iter(self._answer(good) if good else ())
        for one in prepared:
            yield next(verdicts) if isinstance(one, _Prepared) else one

    def _try_prepare(self, image: "ImageInput") -> "_Prepared | InputError":
        try:
            return self._prepare(image)
        except InputError as error:
            return error

    def _prepare(self, image: "ImageInput") -> _Prepared:
        started = time.perf_counter()
        source = name = name_of(image)
        if isinstance(image, str) and is_url(image):
            from ._fetch import shown

            name = shown(image)  # queries hold tokens, and messages end up in logs
        try:
            decoded, sha256, size, claims = self._decode(image, name)
            views = extract_views(decoded.pixels, self._profile, self._view_size)
        except InputError as error:
            error.input = name or error.input
            raise
        info = ImageInfo(sha256, decoded.width, decoded.height, decoded.format, size, decoded.frames)
        seconds = time.perf_counter() - started
        return _Prepared(views, flatness(views.pixels[0]), info, claims, source, seconds)

    def _decode(
        self, image: "ImageInput", name: str | None
    ) -> tuple[DecodedImage, str, int, tuple[Finding, ...]]:
        """The decoded image, the SHA-256 and length of its file, and what the file claims.

        Of arrays and PIL images, which are no files, those of the pixels, and no claims.
        """
        if isinstance(image, np.ndarray):
            decoded = from_array(image)
        elif isinstance(image, str | os.PathLike | bytes) or hasattr(image, "read"):
            if isinstance(image, str) and is_url(image):
                data = self._fetcher.fetch(image).data
            else:
                data = read(image, self._max_bytes)
            decoded = decode(data, max_pixels=self._max_pixels, name=name)
            claims = find_claims(data, decoded.format, decoded.notes)
            return decoded, hashlib.sha256(data).hexdigest(), len(data), claims
        elif hasattr(image, "getbands"):
            decoded = from_pil(image, max_pixels=self._max_pixels, name=name)
        else:
            raise ConfigurationError(
                f"cannot check a {type(image).__name__}: give a path, a URL, bytes, a binary file, a PIL"
                " image or a uint8 array of height×width×3"
            )
        digest = hashlib.sha256(np.ascontiguousarray(decoded.pixels).data)
        return decoded, digest.hexdigest(), decoded.pixels.nbytes, ()

    @cached_property
    def _fetcher(self) -> "Fetcher":
        # requests takes a while to import, and most checks are of files.
        from ._fetch import Fetcher

        return Fetcher(**self._fetch_options)

    def _answer(self, prepared: list[_Prepared]) -> list[Verdict]:
        started = time.perf_counter()
        logits = self._backend.logits(np.concatenate([one.views.pixels for one in prepared]))
        if not np.isfinite(logits).all():
            raise ModelIntegrityError(f"model {self.model.name} answers no numbers: export it again")
        each = (time.perf_counter() - started) / len(prepared)
        margins = np.split(
            logits[:, 1] - logits[:, 0], np.cumsum([len(p.views.kinds) for p in prepared])[:-1]
        )
        return [self._verdict(one, m, each) for one, m in zip(prepared, margins, strict=True)]

    def _verdict(self, prepared: _Prepared, margins: NDArray[np.float32], forward: float) -> Verdict:
        probability = self._calibration.probability(margins)
        views = self._calibration.view_probabilities(margins)
        image = prepared.image
        shorter_side = min(image.width, image.height)
        label, because = decide(self._calibration, probability, views, shorter_side, prepared.flatness)
        evidence = Evidence(
            kind="model",
            finding="unclear" if label == "uncertain" else label,
            strength=round(abs(2 * probability - 1), 4),
            details={
                "probability": round(probability, 4),
                "views": [
                    {"kind": kind, "box": list(box), "probability": round(view, 4)}
                    for kind, box, view in zip(
                        prepared.views.kinds, prepared.views.boxes, views, strict=True
                    )
                ],
            },
        )
        fused = fuse(label, because, prepared.claims)
        reasons = explain_verdict(self._calibration, label, because, probability, views, image)
        return Verdict(
            label=fused.label,
            probability=round(probability, 4),
            decided_by=fused.decided_by,
            uncertain_because=fused.because,
            reasons=fused.reasons + reasons,
            evidence=(evidence, *(claim.to_evidence() for claim in prepared.claims)),
            image=image,
            model=self.model,
            checked_at=datetime.now(UTC),
            elapsed_ms=round(1000 * (prepared.seconds + forward), 1),
            source=prepared.source,
        )
