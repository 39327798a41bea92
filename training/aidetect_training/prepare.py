"""Turns full-size originals into files whose history says nothing about their class.

A folder of originals betrays its labels before a network has looked at a pixel: generators
deliver lossless squares, cameras large JPEGs. So before `make_tiles` cuts training tiles, every
original, whatever its class, gets the same kind of past (`equalise`). `make_images` writes
originals whole for textures and calibration, scaled as on the web, without that first step.
Either past is written into the manifest's column `history`.
"""

import csv
import hashlib
import io
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from aidetect import AidetectError, ConfigurationError
from aidetect._image import decode

from .variants import delivery, encoded

LOSSLESS = {"PNG", "BMP", "TIFF", "GIF"}
COLUMNS = ("path", "label", "generator", "source", "origin", "category", "view", "history", "scale")
MAX_ORIGINAL_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class TileOptions:
    """`size`: side of a tile in pixels. `native`: tiles cut at the original's own resolution,
    beside one of the whole image scaled down. `cap`: originals taken of one generator or category
    of one source, so that no single collection dominates."""

    size: int = 256
    native: int = 2
    cap: int = 500
    quality: int = 92


def equalise(image: Image.Image, lossless: bool, rng: random.Random) -> tuple[Image.Image, list[str]]:
    """Gives an original a past that is alike for both classes: lossless ones are compressed once at
    JPEG 78…96, large ones scaled to a long side of 640…1536, a third of the others by 0.55…1."""
    image, history = _compressed_once(image, lossless, rng)
    long_side = max(image.size)
    scale = 1.0
    if long_side > 1536:
        scale = rng.randint(640, 1536) / long_side
    elif rng.random() < 1 / 3 and min(image.size) > 256:
        scale = rng.uniform(max(0.55, 256 / min(image.size)), 1.0)
    if scale < 1.0:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BICUBIC)
        history.append(f"scale{scale:.2f}")
    return image, history


def _compressed_once(
    image: Image.Image, lossless: bool, rng: random.Random
) -> tuple[Image.Image, list[str]]:
    """A lossless original through JPEG 78…96, since the others have been compressed before."""
    if not lossless:
        return image, []
    quality = rng.randint(78, 96)
    return _through_jpeg(image, quality), [f"jpeg{quality}"]


def cut(
    image: Image.Image, options: TileOptions, rng: random.Random
) -> Iterator[tuple[str, Image.Image]]:
    """Yields (view, tile): native tiles from random places, then one of the whole image."""
    size, short = options.size, min(image.size)
    if short > 1.15 * size:
        for _ in range(options.native):
            left, top = rng.randint(0, image.width - size), rng.randint(0, image.height - size)
            yield "native", image.crop((left, top, left + size, top + size))
    left, top = rng.randint(0, image.width - short), rng.randint(0, image.height - short)
    square = (left, top, left + short, top + short)
    view = "upscaled" if short < size else "downscaled"
    yield view, image.resize((size, size), Image.Resampling.BICUBIC, box=square)


def make_tiles(
    originals: Path, out: Path, options: TileOptions, workers: int = 2, seed: int = 0
) -> Counter[str]:
    """Cuts tiles from the originals in `originals/manifest.csv` into `out`; returns counts.

    The manifest's columns: path, label, source; optional origin, generator, category, grid (k: the
    file is a sheet of k×k pictures). Files that cannot be read are counted and listed in
    `out/skipped.txt`. The same seed gives the same tiles.
    """
    rows = _choose(originals, options.cap, random.Random(seed))
    return _run(partial(_tiles_of_one, originals, out, options, seed), rows, out, workers)


def make_images(
    originals: Path,
    out: Path,
    origins: Sequence[str],
    others: bool = False,
    cap: int = 60,
    workers: int = 2,
    seed: int = 0,
) -> Counter[str]:
    """Writes originals of the given origins whole: long side 340…896, or their own where smaller, stored
    as `_stored` tells, no metadata, and into the manifest by which factor each was scaled. Those with a
    long side below 340 are left out; returns counts. At most `cap` of one generator or category of one
    source.

    `others`: of all other origins instead, to train on, and from a long side of 200 on.
    """
    named = {plain(origin) for origin in origins}
    rows = _choose(originals, 0, random.Random(seed))
    rows = [row for row in rows if (plain(origin_of(row)) in named) is not others]
    taken: Counter[tuple[str, ...]] = Counter()
    chosen = []
    for row in rows:
        key = (row["label"], row["source"], row.get("generator") or row.get("category") or "")
        taken[key] += 1
        if taken[key] <= cap:
            chosen.append(row)
    least = 200 if others else 340
    return _run(partial(_image_of_one, originals, out, seed, least), chosen, out, workers)


Maker = Callable[[dict[str, str]], "list[dict[str, str]] | str"]


def _run(job: Maker, rows: list[dict[str, str]], out: Path, workers: int) -> Counter[str]:
    """Files of each row, in the rows' order, by `workers` processes or, for 1, in this one."""
    out.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    with (
        open(out / "manifest.csv", "w", newline="", encoding="utf-8") as table,
        open(out / "skipped.txt", "w", encoding="utf-8") as skipped,
        ProcessPoolExecutor(workers, get_context("spawn")) if workers > 1 else nullcontext() as pool,
    ):
        writer = csv.DictWriter(table, COLUMNS)
        writer.writeheader()
        done = pool.map(job, rows, chunksize=16) if pool else map(job, rows)
        for row, made in zip(rows, done, strict=True):
            if isinstance(made, str):
                counts["skipped"] += 1
                skipped.write(f"{row['path']}\t{' '.join(made.split())}\n")
                continue
            writer.writerows(made)
            counts["originals"] += 1
            counts["files"] += len(made)
    return counts


def plain(origin: str) -> str:
    """One spelling of an origin: `owner/name` and `owner_name` are the same."""
    return origin.replace("/", "_")


def origin_of(row: dict[str, str]) -> str:
    return row.get("origin") or row["source"]


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Rows of `folder/manifest.csv`, each with a path, a source and a label 0 or 1.

    Raises ConfigurationError, naming file and line, where that is not so.
    """
    rows = []
    for where, row in labelled_rows(folder / "manifest.csv", ("path", "source")):
        if not (row.get("grid") or "1").strip("0").isdecimal():
            raise ConfigurationError(f"{where}: grid is {row['grid']!r}; it has to be 1, 2, …")
        if not re.fullmatch(r"(?=.*[1-9])\d*\.?\d*", row.get("scale") or "1"):
            raise ConfigurationError(f"{where}: scale is {row['scale']!r}; it has to be above 0")
        rows.append(row)
    return rows


def labelled_rows(path: Path, filled: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """(place for messages, row) of a table whose column `label` is 0 or 1 and in which the columns
    `filled` are never empty. Raises ConfigurationError, naming file and line, where that is not so."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as table:
            reader = csv.DictReader(table)
            if missing := {"label", *filled} - set(reader.fieldnames or ()):
                raise ConfigurationError(f"{path} has no column {', '.join(sorted(missing))}. Add it.")
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if row["label"] not in ("0", "1"):
                    raise ConfigurationError(f"{where}: label is {row['label']!r}; it has to be 0 or 1")
                if not all(row[column] for column in filled):
                    raise ConfigurationError(f"{where}: {' or '.join(filled)} is empty. Fill it in.")
                yield where, row
    except FileNotFoundError:
        raise ConfigurationError(f"There is no {path}: a data folder needs a manifest.csv.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}. Correct the file.") from None


def _choose(originals: Path, cap: int, rng: random.Random) -> list[dict[str, str]]:
    """Rows in random order, at most `cap` (0: all) of one generator or category of one source."""
    groups = defaultdict(list)
    for row in read_rows(originals):
        groups[row["label"], row["source"], row.get("generator") or row.get("category")].append(row)
    chosen: list[dict[str, str]] = []
    for key in sorted(groups, key=str):
        rows = groups[key]
        rng.shuffle(rows)
        chosen += rows[:cap] if cap else rows
    rng.shuffle(chosen)
    return chosen


def open_original(originals: Path, row: dict[str, str]) -> tuple[Image.Image, str] | str:
    """(image, format), or why it cannot be read."""
    try:
        decoded = decode((originals / row["path"]).read_bytes(), max_pixels=MAX_ORIGINAL_PIXELS)
    except (AidetectError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return Image.fromarray(decoded.pixels), decoded.format


def _pictures(image: Image.Image, row: dict[str, str], rng: random.Random) -> list[Image.Image]:
    """The image, or two pictures of a sheet: they share their style, so more would be repetition."""
    grid = int(row.get("grid") or 1)
    if grid == 1:
        return [image]
    width, height = image.width // grid, image.height // grid
    cells = rng.sample([(x * width, y * height) for y in range(grid) for x in range(grid)], 2)
    return [image.crop((left, top, left + width, top + height)) for left, top in cells]


def _tiles_of_one(
    originals: Path, out: Path, options: TileOptions, seed: int, row: dict[str, str]
) -> list[dict[str, str]] | str:
    rng = random.Random(f"{seed} {row['path']}")
    opened = open_original(originals, row)
    if isinstance(opened, str):
        return opened
    image, kind = opened
    made = []
    for number, picture in enumerate(_pictures(image, row, rng)):
        equal, history = equalise(picture, kind in LOSSLESS, rng)
        for view, tile in cut(equal, options, rng):
            data = encoded(tile, "JPEG", quality=options.quality)
            made.append(_save(data, ".jpg", out, row, number, view, history))
    return made


def _image_of_one(
    originals: Path, out: Path, seed: int, least: int, row: dict[str, str]
) -> list[dict[str, str]] | str:
    rng = random.Random(f"{seed} {row['path']}")
    opened = open_original(originals, row)
    if isinstance(opened, str):
        return opened
    picture = _pictures(opened[0], row, rng)[0]
    picture, history = _compressed_once(picture, opened[1] in LOSSLESS, rng)
    if max(picture.size) < least:
        return f"smaller than {least} pixels"
    scale = min(1.0, rng.randint(340, 896) / max(picture.size))
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        history.append(f"scale{scale:.2f}")
    data, kind, how = _stored(picture, rng)
    history.append(how)
    saved = _save(data, f".{kind.lower()}", out, row, 0, "whole", history)
    return [saved | {"scale": f"{scale:.4f}"}]


def _stored(picture: Image.Image, rng: random.Random) -> tuple[bytes, str, str]:
    """(bytes, format, how): a third as photographs are usually passed on; the others finely, lossless or
    JPEG 93…100, mostly with full colour resolution, so that no class is known by being fine."""
    fine = rng.random() < 2 / 3
    if fine and rng.random() < 0.3:
        return encoded(picture, "PNG"), "PNG", "png"
    kind, quality = ("JPEG", rng.randint(93, 100)) if fine else delivery(rng)
    subsampling = rng.choice((0, 0, 2)) if fine else 2
    options = {"subsampling": subsampling} if kind == "JPEG" else {}
    how = f"{kind.lower()}{quality}" + ("-444" if not subsampling else "")
    return encoded(picture, kind, quality=quality, **options), kind, how


def _save(
    data: bytes, suffix: str, out: Path, row: dict[str, str], number: int, view: str, history: list[str]
) -> dict[str, str]:
    name = hashlib.sha256(data + row["path"].encode() + bytes([number])).hexdigest()[:20]
    path = Path("ai" if row["label"] == "1" else "real") / name[:2] / (name + suffix)
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    (out / path).write_bytes(data)
    return {
        "path": path.as_posix(),
        "label": row["label"],
        "generator": row.get("generator", ""),
        "source": row["source"],
        "origin": origin_of(row),
        "category": row.get("category", ""),
        "view": view,
        "history": "+".join(history),
    }


def _through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, "JPEG", quality=quality))).convert("RGB")
