"""Writes trained weights as a model package, and makes a package the one that is shipped.

A package is three files beside each other: `NAME.safetensors`, the weights; `NAME.onnx`, a graph
that names that file as its external data, so that there is one source of truth; `NAME.json`, the
manifest, which holds the SHA-256 of both.

Weights of convolutions and linear layers are kept in half precision. Everything with one axis
(biases, and all of batch normalisation, whose variances can leave half precision's range) stays in
float32: less than one percent of the file. Batch normalisation is not folded here: every runtime
folds it when it loads the graph, and the file goes back into `SEResNet50` as it is.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from aidetect import ConfigurationError, _pins
from aidetect._model import SEResNet50
from aidetect._views import CONTRACT
from aidetect._weights import SHIPPED_FOLDER, Manifest, ModelPackage, load_package

from .graph import onnx_graph
from .widths import loaded

MAX_BYTES = 60_000_000
"""Most bytes of weights that are written: they travel in the wheel."""

KINDS = (".json", ".onnx", ".safetensors")

UNCALIBRATED = {
    "both": [0.5, 0.5, 0.0],
    "alone": [1.0, 0.0],
    "floor": 0.01,
    "ai_from": 0.99,
    "real_to": 0.01,
    "ai_error": 1.0,
    "real_error": 1.0,
}
"""Stands in until `calibrate` has fitted one: nearly all is uncertain, no error rate is promised."""


def export_model(
    weights: Mapping[str, Tensor],
    architecture: Mapping[str, Any],
    view_size: int,
    *,
    name: str,
    version: str,
    calibration: Mapping[str, Any],
    trained_on: str,
    out: Path,
    about: str = "",
) -> Path:
    """Writes the package `name` into the folder `out`, replacing one of that name; returns its manifest.

    `weights`: state dict of `SEResNet50(**architecture)`, also of a pruned one, any float type.
    `view_size`: side of the views in pixels. Raises ConfigurationError if weights and architecture do
    not go together, if a weight has no place in half precision, or if the file would be too large to
    ship.
    """
    model = SEResNet50(**architecture)
    try:
        loaded(model, weights)
    except RuntimeError as error:
        raise ConfigurationError(f"the weights are not those of {dict(architecture)}: {error}") from None
    data, graph = written(model, name)
    if len(data) > MAX_BYTES:
        raise ConfigurationError(
            f"{name}: {len(data):,} bytes of weights; at most {MAX_BYTES:,} are shipped"
        )
    manifest = Manifest(
        name=name,
        version=version,
        contract=CONTRACT,
        view_size=view_size,
        architecture=dict(architecture),
        weights_sha256=sha256(data).hexdigest(),
        graph_sha256=sha256(graph).hexdigest(),
        calibration=dict(calibration),
        trained_on=trained_on,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        about=about,
    )
    return write_package(manifest, data, graph, out)


def written(model: SEResNet50, name: str) -> tuple[bytes, bytes]:
    """The network's safetensors file, and its graph, which names that file `NAME.safetensors`."""
    data = save({key: _kept(key, value) for key, value in model.state_dict().items() if value.ndim})
    first = 8 + int.from_bytes(data[:8], "little")
    return data, onnx_graph(model, json.loads(data[8:first]), first, f"{name}.safetensors")


def write_beside(
    package: ModelPackage, suffix: str, about: str, weights: bytes, graph: bytes, out: Path
) -> Path:
    """Writes other weights of `package`'s network as a model called `NAME-SUFFIX` into the folder `out`,
    all else being the package's own; returns the path of its manifest."""
    manifest = replace(
        package.manifest,
        name=f"{package.manifest.name}-{suffix}",
        weights_sha256=sha256(weights).hexdigest(),
        graph_sha256=sha256(graph).hexdigest(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        about=f"{package.manifest.about} {about}".strip(),
    )
    return write_package(manifest, weights, graph, out)


def write_package(manifest: Manifest, weights: bytes, graph: bytes, out: Path) -> Path:
    """Writes a model's three files to the folder `out`; returns the path of its manifest."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{manifest.name}.safetensors").write_bytes(weights)
    (out / f"{manifest.name}.onnx").write_bytes(graph)
    path = out / f"{manifest.name}.json"
    path.write_bytes(manifest.to_json())
    return path


def _kept(key: str, value: Tensor) -> Tensor:
    if value.ndim < 2:
        return value.float().contiguous()
    half = value.to(torch.float16).contiguous()
    if not torch.isfinite(half).all():
        raise ConfigurationError(f"{key} holds values that float16 cannot: {value.abs().max():.3g}")
    return half


def rewrite(model: str | os.PathLike[str], **changes: Any) -> Path:
    """Changes fields of a package's manifest; a signature, which that breaks, is removed."""
    package = load_package(Path(model), trusted_keys=[])
    manifest = replace(package.manifest, **changes)
    package.path.with_suffix(".sig").unlink(missing_ok=True)
    package.path.write_bytes(manifest.to_json())
    return package.path


def ship(
    model: str | os.PathLike[str], folder: Path = SHIPPED_FOLDER, pins: Path = Path(_pins.__file__)
) -> Path:
    """Makes a package the one that `Detector()` loads; returns its manifest there.

    It replaces what `folder` holds; its name and its manifest's SHA-256 are written into `pins`.
    """
    package = load_package(Path(model), trusted_keys=[])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.suffix in KINDS and old.stem != package.manifest.name:
            old.unlink()
    shipped = folder / package.path.name
    if not (shipped.exists() and shipped.samefile(package.path)):
        for kind in KINDS:
            shutil.copyfile(package.path.with_suffix(kind), shipped.with_suffix(kind))
    pins.write_text(
        '"""The model shipped in this package; written by `aidetect_training.export.ship`."""\n\n'
        f'MODEL = "{package.manifest.name}"\n'
        f'MANIFEST_SHA256 = "{package.manifest_sha256}"\n',
        encoding="utf-8",
    )
    return shipped
