"""Looks at a data set before anything is trained on it: what would give its labels away.

`aidetect-train inspect DIR --out OUT` writes `inspect.json` and `duplicates.csv`, and pictures: how
many images there are of what, their sizes, their mean colours, a sheet of samples. Everything is told
by class, since a difference between the classes that has nothing to do with their making is what a
network will learn first (formats and sizes above all: arXiv 2403.17608).
"""

import csv
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from tqdm import tqdm

from aidetect import ConfigurationError, ImageError
from aidetect._image import decode

from .data import Item
from .prepare import MAX_ORIGINAL_PIXELS

THUMBNAIL = 96
"""Side of a picture on the sample sheet, in pixels."""

NEAR = 3
"""Bits of 64 in which the hashes of two near-duplicates may differ."""

_STANDARD_LUMINANCE = 57.625
"""Mean of the luminance table in annex K of the JPEG standard, which quality 50 uses as it is."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one image is, as a file and to the eye. `quality` is 0 where it is not a JPEG; `colour`
    is its mean R, G, B in 0…255; `hash` its 64-bit difference hash."""

    item: Item
    width: int
    height: int
    format: str
    bytes: int
    quality: int
    colour: tuple[float, float, float]
    hash: int
    thumbnail: bytes


def inspect(items: Sequence[Item], out: Path, workers: int = 2, seed: int = 0) -> dict[str, Any]:
    """Reads every image once and writes all of it into `out`; returns what `inspect.json` holds."""
    out.mkdir(parents=True, exist_ok=True)
    looks, unreadable = [], []
    with ProcessPoolExecutor(workers, get_context("spawn")) if workers > 1 else nullcontext() as pool:
        seen = pool.map(look, items, chunksize=32) if pool else map(look, items)
        for found in tqdm(seen, total=len(items), unit="img", unit_scale=True, mininterval=1):
            (unreadable if isinstance(found, str) else looks).append(found)
    if not looks:
        raise ConfigurationError(f"none of the {len(items):,} images can be read: {unreadable[0]}")
    pairs = near_duplicates([one.hash for one in looks])
    summary = summarise(looks, pairs)
    summary["unreadable"] = unreadable
    (out / "inspect.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    _write_duplicates(out / "duplicates.csv", looks, pairs)
    from . import inspect_figures  # matplotlib takes a second to import

    inspect_figures.draw(looks, out, random.Random(seed))
    return summary


def look(item: Item) -> Look | str:
    """What an image is; or a line that says why it cannot be read."""
    try:
        data = item.path.read_bytes()
        decoded = decode(data, max_pixels=MAX_ORIGINAL_PIXELS, name=str(item.path))
    except (ImageError, OSError) as error:
        return f"{item.path}\t{' '.join(str(error).split())}"
    image = Image.fromarray(decoded.pixels)
    red, green, blue = decoded.pixels[:: max(1, decoded.height // 256)].mean((0, 1))
    thumbnail = BytesIO()
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    small.save(thumbnail, "JPEG", quality=85)
    quality = jpeg_quality(data) if decoded.format == "JPEG" else 0
    return Look(
        item,
        decoded.width,
        decoded.height,
        decoded.format,
        len(data),
        quality,
        (float(red), float(green), float(blue)),
        difference_hash(image),
        thumbnail.getvalue(),
    )


def jpeg_quality(data: bytes) -> int:
    """The quality setting whose luminance table, by the scaling of the IJG library, comes closest;
    1…100. Encoders with tables of their own get the quality of like strength."""
    with Image.open(BytesIO(data), formats=("JPEG", "MPO")) as image:
        tables = image.quantization if isinstance(image, JpegImageFile) else {}
    if not tables:
        return 0
    scale = 100 * float(np.mean(tables[min(tables)])) / _STANDARD_LUMINANCE
    quality = 50 * 100 / scale if scale > 100 else (200 - scale) / 2
    return int(np.clip(round(quality), 1, 100))


def difference_hash(image: Image.Image) -> int:
    """64 bits: whether each of 8×8 places is brighter than its neighbour on the right (dHash). It
    outlives scaling, compression and small changes of colour."""
    small = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes(), "big")


def near_duplicates(hashes: Sequence[int]) -> list[tuple[int, int]]:
    """Index pairs of images whose hashes differ in at most `NEAR` bits.

    Cut into `NEAR` + 1 bands, two such hashes have at least one band in common, so that only those
    are compared. Flat images, whose hash is all 0 or all 1, are left out: they are alike to any hash.
    """
    width = 64 // (NEAR + 1)
    pairs = set()
    for band in range(NEAR + 1):
        buckets: defaultdict[int, list[int]] = defaultdict(list)
        for index, value in enumerate(hashes):
            if 4 <= value.bit_count() <= 60:
                buckets[value >> (band * width) & (1 << width) - 1].append(index)
        for members in buckets.values():
            pairs |= {
                (one, other)
                for one, other in combinations(members, 2)
                if (hashes[one] ^ hashes[other]).bit_count() <= NEAR
            }
    return sorted(pairs)


def summarise(looks: Sequence[Look], pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Counts and quantiles of each class, and how many near-duplicates cross a border."""
    classes = {"real": 0, "ai": 1}
    return {
        "images": len(looks),
        "classes": {
            name: _of_class([one for one in looks if one.item.label == label])
            for name, label in classes.items()
        },
        "near_duplicates": {
            "pairs": len(pairs),
            "across_origins": sum(looks[a].item.origin != looks[b].item.origin for a, b in pairs),
            "across_classes": sum(looks[a].item.label != looks[b].item.label for a, b in pairs),
        },
    }


def _of_class(looks: Sequence[Look]) -> dict[str, Any]:
    return {
        "images": len(looks),
        "groups": _counts(one.item.group for one in looks),
        "origins": _counts(one.item.origin for one in looks),
        "formats": _counts(one.format for one in looks),
        "width": _quantiles([one.width for one in looks]),
        "height": _quantiles([one.height for one in looks]),
        "square": sum(one.width == one.height for one in looks) / max(1, len(looks)),
        "bytes_per_pixel": _quantiles([one.bytes / (one.width * one.height) for one in looks]),
        "jpeg_quality": _quantiles([one.quality for one in looks if one.quality]),
        "mean_rgb": [float(np.mean([one.colour[c] for one in looks] or [0])) for c in range(3)],
    }


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    """Least, quartiles and most; nothing of nothing."""
    names = ("least", "quarter", "median", "three_quarters", "most")
    return (
        dict(zip(names, np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist(), strict=True))
        if values
        else {}
    )


def _write_duplicates(path: Path, looks: Sequence[Look], pairs: Sequence[tuple[int, int]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(("path", "other", "label", "other_label", "origin", "other_origin"))
        for a, b in pairs:
            one, other = looks[a].item, looks[b].item
            writer.writerow((one.path, other.path, one.label, other.label, one.origin, other.origin))
