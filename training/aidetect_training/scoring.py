"""Runs a model over an evaluation set in its tiers, with the SDK's own decoding and views.

Only pixels are scored: file names, metadata and sizes never reach the model.
"""

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from tqdm import tqdm

from aidetect import ConfigurationError, ImageError
from aidetect._backends import Backend, open_backend
from aidetect._image import decode
from aidetect._views import Views, extract_views, flatness
from aidetect._weights import ModelPackage

from .data import Item

TIERS: dict[str, tuple[int, int] | None] = {"clean": None, "web": (768, 60), "hard": (512, 40)}
"""Tier → (longest side, JPEG quality); None as stored."""

BATCH = 4


@dataclass(frozen=True, slots=True)
class Score:
    """What the model said of one image in one tier. `margins` are its views' logit differences,
    the global view's first; `bytes` is the length of the file as scored."""

    item: Item
    tier: str
    margins: tuple[float, ...]
    width: int
    height: int
    bytes: int
    flatness: float


def score(
    items: Sequence[Item], backend: Backend, size: int, tiers: Iterable[str], views: str
) -> list[Score]:
    """One Score per image and tier; images that cannot be read are told and left out.

    `size` is the model's view size in pixels, `views` a profile of the SDK.
    """
    tiers = list(tiers)
    if unknown := set(tiers) - set(TIERS):
        raise ConfigurationError(f"unknown tiers {sorted(unknown)}; known are {', '.join(TIERS)}")
    jobs = [(item, tier) for item in items for tier in tiers]
    scores: list[Score] = []
    with ThreadPoolExecutor(2) as pool, tqdm(total=len(jobs), unit="img", mininterval=1) as bar:
        for first in range(0, len(jobs), BATCH):
            chunk = jobs[first : first + BATCH]
            prepared = [p for p in pool.map(lambda job: _prepare(*job, size, views), chunk) if p]
            if prepared:
                logits = backend.logits(np.concatenate([v.pixels for _, v in prepared]))
                ends = np.cumsum([len(v.kinds) for _, v in prepared])[:-1]
                for (blank, _), part in zip(prepared, np.split(logits, ends), strict=True):
                    scores.append(replace(blank, margins=tuple((part[:, 1] - part[:, 0]).tolist())))
            bar.update(len(chunk))
    return scores


def _prepare(item: Item, tier: str, size: int, profile: str) -> tuple[Score, Views] | None:
    try:
        data = item.path.read_bytes()
        image = decode(data, name=str(item.path))
        if limits := TIERS[tier]:
            data = laundered(Image.fromarray(image.pixels), *limits)
            image = decode(data)
    except (ImageError, OSError) as error:
        tqdm.write(f"left out: {error}")
        return None
    views = extract_views(image.pixels, profile, size)
    return Score(item, tier, (), image.width, image.height, len(data), flatness(views.pixels[0])), views


def laundered(image: Image.Image, long_side: int, quality: int) -> bytes:
    """The image scaled to at most `long_side` and compressed as JPEG, as web sites do."""
    if max(image.size) > long_side:
        scale = long_side / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def score_package(
    package: ModelPackage,
    items: Sequence[Item],
    tiers: Iterable[str],
    backend: str,
    views: str = "default",
) -> list[Score]:
    """`score` with a model package on the named backend."""
    return score(items, open_backend(package, backend), package.manifest.view_size, tiers, views)
