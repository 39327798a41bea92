"""A loaded model: encoded images in, pixel results out.

What `Detector` and the workers share. Preparing (decoding, views, claims) is apart from judging (the
network), so that many threads can prepare while one forward takes all that is ready.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ._backends import open_backend
from ._calibration import Calibration, decide
from ._errors import ConfigurationError, ModelIntegrityError
from ._head import Head
from ._heatmap import FULL_SIDE, SMALL_SIDE, HeatMap, Mapper
from ._image import MAX_PIXELS, DecodedImage, decode
from ._provenance import Finding, find_claims
from ._reasons import explain_verdict
from ._result import PixelResult
from ._texture import Look, Texture
from ._verdict import ImageInfo, ModelInfo
from ._views import CONTRACT, PROFILES, Views, extract_views, flatness
from ._weights import ModelPackage, load_package

Floats = NDArray[np.float32]

RESULT_VERSION = 2
"""Raised when the same model would fill a `PixelResult` otherwise: rules of `decide`, reasons, views."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One image ready for the network. `texture` is None for a model without; `seconds` is the time that
    it took; `pixels` are the decoded image's, where they were to be kept."""

    views: Views
    flatness: float
    image: ImageInfo
    claims: tuple[Finding, ...]
    seconds: float
    texture: Look | None = None
    pixels: NDArray[np.uint8] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its views in memory."""
        return self.views.pixels.nbytes


class Engine:
    """A model with its calibration and a profile of views. One Engine serves many threads at once.

    The arguments are those of `Detector`, and so are the errors. `fingerprint` names all that a pixel
    result depends on besides the file: weights, network, contract, calibration and views.
    `images_at_once` is how many images share one forward best on a CPU: more are hardly faster, and
    each waits longer.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        backend: str = "auto",
        device: str = "auto",
        views: str = "default",
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        package = _package(model, views)
        manifest = package.manifest
        self._calibration = Calibration.from_dict(manifest.calibration)
        self._texture = Texture.from_dict(manifest.texture) if manifest.texture else None
        self._mapper = Mapper(Head.of(package), self._calibration)
        self._backend = open_backend(package, backend, device, threads)
        self.max_pixels = max_pixels
        self.images_at_once = 4 if self._calibration.weighs_crops else 8
        self.views, self.view_size = views, manifest.view_size
        self.model = ModelInfo(manifest.name, manifest.version, manifest.weights_sha256)
        self.fingerprint = _fingerprint(package, views)
        self.backend, self.device = self._backend.name, self._backend.device

    def prepare(
        self,
        data: bytes,
        *,
        name: str | None = None,
        keep_pixels: bool = False,
        heat_map: bool = True,
    ) -> Prepared:
        """Decodes an encoded image and takes its views. Raises ImageError; `name` is for its message.
        Without `heat_map` no map of it can be had."""
        started = time.perf_counter()
        decoded = decode(data, max_pixels=self.max_pixels, name=name)
        claims = find_claims(data, decoded.format, decoded.notes)
        digest = hashlib.sha256(data).hexdigest()
        prepared = self._prepared(decoded, digest, len(data), claims, started, heat_map)
        return replace(prepared, pixels=decoded.pixels) if keep_pixels else prepared

    def prepare_pixels(
        self, decoded: DecodedImage, *, keep_pixels: bool = False, heat_map: bool = True
    ) -> Prepared:
        """The same of pixels that come from no file: their own hash, and no claims."""
        started = time.perf_counter()
        digest = hashlib.sha256(np.ascontiguousarray(decoded.pixels).data).hexdigest()
        prepared = self._prepared(decoded, digest, decoded.pixels.nbytes, (), started, heat_map)
        return replace(prepared, pixels=decoded.pixels) if keep_pixels else prepared

    def _prepared(
        self,
        decoded: DecodedImage,
        digest: str,
        size: int,
        claims: tuple[Finding, ...],
        started: float,
        heat_map: bool,
    ) -> Prepared:
        pixels = decoded.pixels
        views = extract_views(pixels, self.views, self.view_size, self._calibration.weighs_crops)
        texture = self._texture.look(pixels, heat_map) if self._texture else None
        image = ImageInfo(digest, decoded.width, decoded.height, decoded.format, size, decoded.frames)
        seconds = time.perf_counter() - started
        return Prepared(views, flatness(views.pixels[0]), image, claims, seconds, texture)

    def judge(self, prepared: Sequence[Prepared], *, heat_maps: bool = False) -> list[PixelResult]:
        """The model's answers, from one forward of all views of all images; with `heat_maps` each
        holds its map in the form for caches.

        Raises ModelIntegrityError where the network answers no numbers, and what its runtime raises
        where it runs out of memory.
        """
        if not prepared:
            return []
        if not heat_maps:
            margins, _ = self._forward(prepared, False)
            return self._results(prepared, margins)
        margins, maps = self._forward(prepared, True)
        drawn = self._drawn(prepared, margins, maps, SMALL_SIDE)
        results = self._results(prepared, margins)
        return [
            replace(result, heat_map=own.to_png()) for result, own in zip(results, drawn, strict=True)
        ]

    def explain(self, prepared: Prepared) -> tuple[PixelResult, HeatMap]:
        """The answer for one image, and its map in full form. Raises as `judge` does."""
        margins, maps = self._forward([prepared], True)
        (result,) = self._results([prepared], margins)
        (heat_map,) = self._drawn([prepared], margins, maps, FULL_SIDE)
        return result, heat_map

    def _forward(self, prepared: Sequence[Prepared], with_maps: bool) -> tuple[Floats, Floats]:
        """All views' margins (N,) and, where asked for, their maps N×C×h×w."""
        pixels = np.concatenate([one.views.pixels for one in prepared])
        maps = np.empty((len(pixels), 0, 0, 0), np.float32)
        if with_maps:
            logits, maps = self._backend.logits_and_maps(pixels)
        else:
            logits = self._backend.logits(pixels)
        if not np.isfinite(logits).all():
            raise ModelIntegrityError(f"model {self.model.name} answers no numbers: export it again")
        return logits[:, 1] - logits[:, 0], maps

    def _drawn(
        self, prepared: Sequence[Prepared], margins: Floats, maps: Floats, side: int
    ) -> list[HeatMap]:
        views, textures = [one.views for one in prepared], [one.texture for one in prepared]
        sizes = [(one.image.width, one.image.height) for one in prepared]
        return self._mapper.draw(maps, margins, views, sizes, textures, side)

    def _results(self, prepared: Sequence[Prepared], margins: Floats) -> list[PixelResult]:
        ends = np.cumsum([len(one.views.kinds) for one in prepared])[:-1]
        parts = np.split(margins, ends)
        return [self._result(one, own) for one, own in zip(prepared, parts, strict=True)]

    def _result(self, prepared: Prepared, margins: Floats) -> PixelResult:
        texture = prepared.texture.margin if prepared.texture else 0.0
        probability = self._calibration.probability(margins, texture)
        of_views = self._calibration.view_probabilities(margins, texture)
        image, views = prepared.image, prepared.views
        side = min(image.width, image.height)
        label, because = decide(self._calibration, probability, of_views, side, prepared.flatness)
        return PixelResult(
            label=label,
            because=because,
            probability=round(probability, 4),
            reasons=explain_verdict(self._calibration, label, because, probability, of_views, image),
            views=tuple(
                {"kind": kind, "box": list(box), "probability": round(view, 4)}
                for kind, box, view in zip(views.kinds, views.boxes, of_views, strict=True)
            ),
            image=image,
            model=self.model,
        )


def fleet_fingerprint(model: str | os.PathLike[str] | None = None, views: str = "default") -> str:
    """The fingerprint of the engine that these would load, without building its network."""
    return fleet_model(model, views)[0]


def fleet_model(
    model: str | os.PathLike[str] | None = None, views: str = "default"
) -> tuple[str, ModelInfo]:
    """That, and the model of its answers: the package is read once."""
    package = _package(model, views)
    named = package.manifest
    return _fingerprint(package, views), ModelInfo(named.name, named.version, named.weights_sha256)


def _package(model: str | os.PathLike[str] | None, views: str) -> ModelPackage:
    if views not in PROFILES:
        raise ConfigurationError(f"views is {views!r}; it can be one of {', '.join(PROFILES)}")
    package = load_package(model)
    manifest = package.manifest
    if manifest.contract != CONTRACT:
        raise ConfigurationError(
            f"model {manifest.name} needs preprocessing contract {manifest.contract}, this version"
            f" has {CONTRACT}; use the version of aidetect that the model was made for"
        )
    return package


def _fingerprint(package: ModelPackage, views: str) -> str:
    """The manifest names the hashes of weights and network, the contract and the calibration."""
    named = f"{RESULT_VERSION} {package.manifest_sha256} {views}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]
