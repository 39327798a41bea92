"""Runs a model over an evaluation set in its tiers, with the SDK's own decoding and views.

Only pixels are scored: file names, metadata and sizes never reach the model.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from aidetect import ConfigurationError, ImageError
from aidetect._backends import Backend, open_backend
from aidetect._calibration import Calibration
from aidetect._image import decode
from aidetect._model import SEResNet50
from aidetect._texture import Texture
from aidetect._views import Views, extract_views, flatness
from aidetect._weights import ModelPackage

from .augment import squash
from .backbones import network
from .data import Item
from .recipe import Recipe
from .variants import VARIANTS
from .widths import loaded

BATCH = 4


@dataclass(frozen=True, slots=True)
class Score:
    """What the model said of one image in one tier. `margins` are its views' logit differences,
    the global view's first; `texture` is its texture's, 0 for a model without; `bytes` is the length of
    the file as scored."""

    item: Item
    tier: str
    margins: tuple[float, ...]
    width: int
    height: int
    bytes: int
    flatness: float
    texture: float = 0.0


def score(
    items: Sequence[Item],
    backend: Backend,
    size: int,
    tiers: Iterable[str],
    views: str,
    *,
    texture: Texture | None = None,
    crops: bool = True,
) -> list[Score]:
    """One Score per image and tier; images that cannot be read are told and left out.

    `size` is the model's view size in pixels; `views` is a profile of the SDK, or `squash` for the
    whole image as one square, which the recipe `paper` is shown and the SDK does not know. Without
    `crops` the profile's native views are left out.
    """

    def prepared_of(job: tuple[Item, str]) -> tuple[Score, Views] | None:
        return _prepare(*job, size, views, texture, crops)

    tiers = list(tiers)
    if unknown := set(tiers) - set(VARIANTS):
        raise ConfigurationError(f"unknown tiers {sorted(unknown)}; known are {', '.join(VARIANTS)}")
    jobs = [(item, tier) for item in items for tier in tiers]
    scores: list[Score] = []
    with ThreadPoolExecutor(2) as pool, tqdm(total=len(jobs), unit="img", mininterval=1) as bar:
        for first in range(0, len(jobs), BATCH):
            chunk = jobs[first : first + BATCH]
            prepared = [p for p in pool.map(prepared_of, chunk) if p]
            if prepared:
                logits = backend.logits(np.concatenate([v.pixels for _, v in prepared]))
                ends = np.cumsum([len(v.kinds) for _, v in prepared])[:-1]
                for (blank, _), part in zip(prepared, np.split(logits, ends), strict=True):
                    scores.append(replace(blank, margins=tuple((part[:, 1] - part[:, 0]).tolist())))
            bar.update(len(chunk))
    return scores


def _prepare(
    item: Item, tier: str, size: int, profile: str, texture: Texture | None, crops: bool
) -> tuple[Score, Views] | None:
    try:
        data = item.path.read_bytes()
        image = decode(data, name=str(item.path))
        if variant := VARIANTS[tier]:
            data = variant(Image.fromarray(image.pixels))
            image = decode(data)
    except (ImageError, OSError) as error:
        tqdm.write(f"left out: {error}")
        return None
    if profile == "squash":
        square = np.asarray(squash(Image.fromarray(image.pixels), size))
        views = Views(square[None], ("global",), ((0, 0, image.width, image.height),))
    else:
        views = extract_views(image.pixels, profile, size, crops)
    margin = texture.look(image.pixels, False).margin if texture else 0.0
    flat = flatness(views.pixels[0])
    return Score(item, tier, (), image.width, image.height, len(data), flat, margin), views


def score_package(
    package: ModelPackage,
    items: Sequence[Item],
    tiers: Iterable[str],
    backend: str,
    views: str = "default",
    crops: bool = True,
    textured: bool = True,
) -> list[Score]:
    """`score` with a model package on the named backend, without its texture unless `textured`."""
    manifest = package.manifest
    texture = Texture.from_dict(manifest.texture) if manifest.texture and textured else None
    opened = open_backend(package, backend)
    return score(items, opened, manifest.view_size, tiers, views, texture=texture, crops=crops)


AS_TRAINED = Calibration((0.5, 0.5, 0.0), (1.0, 0.0), 1e-6, 0.5, 0.5, 1.0, 1.0)
"""The network's own P(AI), and an answer at even odds: a checkpoint before anything was fitted to it."""


def load_network(package: ModelPackage) -> SEResNet50:
    """The network of a model package, also of a pruned one, for inference in float32.

    Raises RuntimeError for a package in int8.
    """
    model = SEResNet50(**package.manifest.architecture)
    loaded(model, safetensors.torch.load(package.weights))
    return model.eval()


def load_checkpoint(path: Path, recipe: Recipe) -> nn.Module:
    """The averaged network of a `best.ckpt`, for inference.

    Raises ConfigurationError for a file that is no `best.ckpt` of this recipe.
    """
    model = network(recipe)
    try:
        loaded(model, torch.load(path, map_location="cpu", weights_only=True)["weights"])
    except (RuntimeError, KeyError, EOFError, OSError, UnpicklingError) as error:
        reason = next(iter(str(error).splitlines()), "") or "it ends too early"
        raise ConfigurationError(
            f"{path} cannot be read as a best.ckpt of {recipe.name} ({reason}). Give another."
        ) from None
    return model.eval()


class Ensemble(nn.Module):
    """Several networks as one: the mean of their logits."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.stack([network(pixels) for network in self.networks]).mean(0)


class Plain:
    """A network of images as a backend of `score`: float32, on a GPU if there is."""

    name = "torch"

    def __init__(self, network: nn.Module) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._network = network.to(self.device)

    def logits(self, views: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits: np.ndarray = (
                self._network(torch.from_numpy(views).to(self.device).permute(0, 3, 1, 2)).cpu().numpy()
            )
        return logits


def score_network(
    network: nn.Module,
    recipe: Recipe,
    items: Sequence[Item],
    tiers: Iterable[str],
    views: str = "default",
) -> list[Score]:
    """`score` with a network, on what its recipe was shown: the squash, or else the views."""
    views = "squash" if recipe.model.view == "squash" else views
    return score(items, Plain(network), recipe.model.view_size, tiers, views)
