"""Finds a model package, reads each of its files once, and hands on only bytes that were checked.

A package is three files beside each other: `NAME.json` (the manifest, which holds the SHA-256 of
the other two), `NAME.safetensors` (the weights) and `NAME.onnx` (the graph, which names the weights
as external data). What vouches for the manifest depends on where it comes from: the shipped one is
pinned in `_pins.py`; others by a signature `NAME.sig` and the keys that AIDETECT_MODEL_KEYS names
(see `_signatures.py`), or by whoever gives their path.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from . import _pins, _signatures
from ._errors import ModelError, ModelIntegrityError, ModelNotFoundError
from ._text import printable
from ._views import CONTRACT, MIN_VIEW

SHIPPED_FOLDER = Path(__file__).parent / "weights"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SUFFIXES = (".json", ".safetensors", ".onnx", ".sig")
_LARGEST_MANIFEST = 1_000_000
_LARGEST_FILE = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package says of itself. Raises ModelIntegrityError where that makes no sense.

    `contract`: version of the preprocessing the model was trained under. `view_size`: side of its
    views in pixels. `architecture`: keyword arguments of `SEResNet50`. `calibration`: what turns
    logits into a probability and a label. `created`: ISO 8601, UTC. `texture`: what `Texture.from_dict`
    takes, None for a network alone.
    """

    name: str
    version: str
    contract: int
    view_size: int
    architecture: dict[str, Any]
    weights_sha256: str
    graph_sha256: str
    calibration: dict[str, Any]
    trained_on: str
    created: str
    about: str = ""
    texture: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            wanted = {"contract": int, "view_size": int, "architecture": dict, "calibration": dict}
            kind = wanted.get(field.name, str)
            if field.name == "texture":
                kind = type(None) if self.texture is None else dict
            if type(getattr(self, field.name)) is not kind:
                raise ModelIntegrityError(f"manifest: {field.name} has to be of type {kind.__name__}")
        if not _NAME.fullmatch(self.name):
            raise ModelIntegrityError(
                f"manifest: '{printable(self.name)}' is no name; use letters, digits, '.', '_' and '-'"
            )
        for digest in (self.weights_sha256, self.graph_sha256):
            if not re.fullmatch("[0-9a-f]{64}", digest):
                raise ModelIntegrityError(
                    "manifest: weights_sha256 and graph_sha256 are 64 hexadecimal digits"
                )
        if self.contract > CONTRACT:
            raise ModelIntegrityError(
                f"model {self.name} needs preprocessing contract {self.contract}, this version of "
                f"aidetect knows {CONTRACT}: update aidetect, or use an older model"
            )
        if self.contract < 1 or not MIN_VIEW <= self.view_size <= 1024:
            raise ModelIntegrityError("manifest: contract is at least 1, view_size 32 to 1024")

    def to_dict(self) -> dict[str, Any]:
        """As in the file: without a texture where there is none."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def to_json(self) -> bytes:
        return (json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Manifest":
        """Unknown keys are left out, so that a later version may add some."""
        try:
            values = json.loads(data)
        except (ValueError, RecursionError):
            raise ModelIntegrityError("manifest: not JSON; fetch the model again") from None
        if not isinstance(values, dict):
            raise ModelIntegrityError("manifest: not a JSON object; fetch the model again")
        known = [field.name for field in fields(cls)]
        optional = ("about", "texture")
        if missing := [name for name in known if name not in values and name not in optional]:
            raise ModelIntegrityError(f"manifest: {', '.join(missing)} missing; fetch the model again")
        return cls(**{name: values[name] for name in known if name in values})


@dataclass(frozen=True, slots=True, repr=False)
class ModelPackage:
    """A checked package: `weights` is the safetensors file, `graph` the ONNX graph without weights,
    which names them as external data in a file called `weights_name`."""

    manifest: Manifest
    weights: bytes
    graph: bytes
    path: Path
    """Where the manifest was read; the other files lay beside it."""
    manifest_sha256: str
    signed: bool
    """Whether a trusted key has signed the manifest."""

    @property
    def weights_name(self) -> str:
        return f"{self.manifest.name}.safetensors"


def models_folder() -> Path:
    """Where models are looked up by name: AIDETECT_MODELS, else the user's data folder."""
    if named := os.environ.get("AIDETECT_MODELS"):
        return Path(os.path.expanduser(named))
    home = Path(os.path.expanduser("~"))  # Path.home() raises where there is none, as in containers
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "aidetect" / "models"


def list_models() -> list[Manifest]:
    """Manifests of the shipped model and of those in the models folder; broken ones are left out.

    Nothing but the manifests is read, and no signature is checked.
    """
    found = []
    paths = [SHIPPED_FOLDER / f"{_pins.MODEL}.json", *sorted(models_folder().glob("*.json"))]
    for path in paths:
        try:
            manifest = Manifest.from_json(_read(path, _LARGEST_MANIFEST))
        except ModelError:
            continue
        if manifest.name == path.stem:
            found.append(manifest)
    return found


def load_package(
    model: str | os.PathLike[str] | None = None, *, trusted_keys: Sequence[bytes] | None = None
) -> ModelPackage:
    """Reads and checks a package.

    `model`: None for the shipped one; a name (letters, digits, `.`, `_`, `-`), looked up in
    `models_folder()`, and else the shipped one's; or a path to one of the package's files or to a
    folder that holds only it.
    A string is a path if it holds a separator or ends in .json, .safetensors, .onnx; a
    `PathLike` always is. `trusted_keys`: PEM public keys, by default those in the file that
    AIDETECT_MODEL_KEYS names. Where there are any, a model loaded by name has to be signed by one,
    and a signature beside a model loaded by path has to be good.

    Raises ModelNotFoundError, ModelIntegrityError, and ConfigurationError for unreadable keys.
    """
    if model is None:
        path = SHIPPED_FOLDER / f"{_pins.MODEL}.json"
        if not path.is_file():
            raise ModelNotFoundError(
                "this installation holds no model: install aidetect again, or name a model"
            )
        return _load(path, pinned=_pins.MANIFEST_SHA256)
    keys = _signatures.trusted_keys(trusted_keys)
    text = os.fspath(model)
    if isinstance(model, str) and not _is_path(text):
        if not _NAME.fullmatch(text):
            raise ModelNotFoundError(
                f"'{printable(text)}' is no model name (letters, digits, '.', '_', '-'); "
                "write ./ before a path"
            )
        path = models_folder() / f"{text}.json"
        if not os.path.isfile(path):
            if text == _pins.MODEL:
                return load_package()
            known = ", ".join(m.name for m in list_models()) or "none"
            raise ModelNotFoundError(
                f"no model {text!r} in {path.parent}; known: {known}. Copy its files there, name the "
                "folder with AIDETECT_MODELS, or give a path"
            )
        return _load(path, keys=keys, must_be_signed=bool(keys))
    return _load(_manifest_of(Path(text)), keys=keys)


def _is_path(text: str) -> bool:
    return "/" in text or os.sep in text or text in (".", "..") or text.endswith(_SUFFIXES)


def _manifest_of(path: Path) -> Path:
    if not os.path.isdir(path):  # Path.is_dir() raises for names that are too long
        return (
            path.with_suffix(".json")
            if path.suffix in _SUFFIXES
            else path.with_name(f"{path.name}.json")
        )
    manifests = sorted(path.glob("*.json"))
    if len(manifests) != 1:
        names = printable(", ".join(p.name for p in manifests)) or "none"
        raise ModelNotFoundError(
            f"{printable(str(path))} should hold one model, and holds {names}: "
            "give the path of a model's .json"
        )
    return manifests[0]


def _load(
    path: Path,
    *,
    pinned: str | None = None,
    keys: Sequence[_signatures.PublicKey] = (),
    must_be_signed: bool = False,
) -> ModelPackage:
    data = _read(path, _LARGEST_MANIFEST)
    digest = sha256(data).hexdigest()
    where = printable(str(path))
    if pinned is not None and digest != pinned:
        raise ModelIntegrityError(
            f"{where} is not the manifest this version was released with: install aidetect again"
        )
    signed = False
    if keys:
        signed = _check_signature(path, data, keys, must_be_signed)
    try:
        manifest = Manifest.from_json(data)
    except ModelIntegrityError as error:
        raise ModelIntegrityError(f"{where}: {error.message}") from None
    if manifest.name != path.stem:
        raise ModelIntegrityError(
            f"{where} describes model {manifest.name}: its files have to be called {manifest.name}.*"
        )
    return ModelPackage(
        manifest=manifest,
        weights=_checked(path.with_suffix(".safetensors"), manifest.weights_sha256),
        graph=_checked(path.with_suffix(".onnx"), manifest.graph_sha256),
        path=path,
        manifest_sha256=digest,
        signed=signed,
    )


def _check_signature(
    manifest: Path, data: bytes, keys: Sequence[_signatures.PublicKey], must_be_signed: bool
) -> bool:
    path = manifest.with_suffix(".sig")
    if not path.is_file():
        if must_be_signed:
            raise ModelIntegrityError(
                f"{printable(str(manifest))} has no signature {printable(path.name)}, which a model "
                "loaded by name needs where there are trusted keys: fetch it from the model's maker, "
                "or give the model's path if you trust it"
            )
        return False
    if not _signatures.verify(data, _read(path, _signatures.LARGEST), keys):
        raise ModelIntegrityError(
            f"{printable(str(path))} is not a trusted key's signature of this manifest: do not use this "
            "model, or add its maker's public key to the file that AIDETECT_MODEL_KEYS names"
        )
    return True


def _checked(path: Path, digest: str) -> bytes:
    data = _read(path, _LARGEST_FILE)
    if sha256(data).hexdigest() != digest:
        raise ModelIntegrityError(
            f"{printable(str(path))} ({len(data):,} bytes) is not the file its manifest names, "
            "or only part of it: fetch the model again"
        )
    return data


def _read(path: Path, most: int) -> bytes:
    """The whole file in one read, so that what is checked is what is used."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ModelNotFoundError(
            f"no file {printable(str(path))}; a model is NAME.json, .safetensors and .onnx"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelNotFoundError(f"cannot read {printable(str(path))}: {reason}") from None
    if len(data) > most:
        raise ModelIntegrityError(
            f"{printable(str(path))} has more than {most:,} bytes: that is no model file"
        )
    return data
