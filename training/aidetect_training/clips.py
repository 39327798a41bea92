"""Builds small video sets from images, in which what is asked is seen over time, or is not.

A camera moves over an image: it pans, zooms and turns smoothly. Two tasks:

- `time`: photographs with a region of an AI image in them. In a *steady* clip (label 0) the region
  is one and the same throughout; in a *flickering* one (label 1) it is drawn anew in every frame.
  The two clips of a pair share photograph, camera, place and the few drawings of the region. The
  drawing of a steady clip, and that of each frame of a flickering one, is any of these with equal
  chance, and each frame is compressed on its own: a single frame comes from the same distribution
  in both classes, so that no look at single frames can tell them.
- `content`: the camera over photographs (label 0) or over AI images (label 1), with the same paths.

Photograph and AI image of a pair are both of held-out origins, or neither is. Clips are H.264 in MP4,
all of them coded alike.
"""

import csv
import io
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from aidetect import ConfigurationError
from aidetect._video import import_av

from .prepare import LOSSLESS, equalise, open_original, origin_of, plain, read_rows

COLUMNS = ("path", "label", "generator", "source", "origin", "category", "pair")
PHOTOGRAPHS = {"photo", "view", "animal", "object", "human"}
"""Categories of real images that a camera may have taken; a row without a category counts too."""

RATE = 24
DRAWINGS = 6
_MARGIN = 1.5
"""Side of the scene in sides of a frame: room for the camera to move in."""


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """`size`: side of a frame in pixels. `pairs`: two clips each. `quality`: H.264's quantiser, of
    every frame alike."""

    task: Literal["time", "content"] = "time"
    pairs: int = 200
    size: int = 112
    frames: int = 24
    quality: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pairs < 1 or self.frames < 2 or self.size < 32 or self.size % 2:
            raise ConfigurationError(
                f"{self.pairs} pairs of {self.frames} frames of {self.size} pixels: at least 1 pair, 2 "
                "frames and an even size from 32 on are needed."
            )


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the camera looks in each frame: centre (x, y) and side of its square in pixels of the
    scene, and its turn in radians; one row a frame."""

    path: np.ndarray

    @classmethod
    def random(cls, frames: int, size: int, rng: random.Random) -> "Camera":
        """From one place to another along half a cosine, with a sway on the way; never off the scene."""
        middle, ends = _MARGIN * size / 2, []
        for _ in range(2):
            side = rng.uniform(0.9, 1.05) * size
            turn = math.radians(rng.uniform(-5, 5))
            room = middle - side / 2 * (math.cos(turn) + abs(math.sin(turn))) - 0.03 * size
            centre = [middle + rng.uniform(-0.4, 0.4) * room for _ in range(2)]
            ends.append([*centre, side, turn])
        way = (1 - np.cos(np.linspace(0, math.pi, frames))) / 2
        path = np.outer(1 - way, ends[0]) + np.outer(way, ends[1])
        sway = np.sin(
            np.linspace(0, math.tau * rng.uniform(0.5, 1.5), frames) + rng.uniform(0, math.tau)
        )
        path[:, 3] += math.radians(rng.uniform(0, 1.5)) * sway
        return cls(path)

    def view(self, scene: Image.Image, frame: int, size: int) -> Image.Image:
        """What the camera sees: a square of `size` pixels."""
        x, y, side, turn = self.path[frame]
        step = side / size
        a, b = step * math.cos(turn), -step * math.sin(turn)
        d, e = -b, a
        c, f = x - (a + b) * size / 2, y - (d + e) * size / 2
        return scene.transform(
            (size, size), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC
        )


def make_clips(
    originals: Path, out: Path, options: ClipOptions, held_out: Sequence[str] = ()
) -> Counter[str]:
    """Writes pairs of clips and their `manifest.csv` into `out`; returns counts.

    `originals`: a folder as `aidetect-train prepare` takes it. The pairs' photographs are taken from
    all origins in turn, as are the AI images. The same options give the same clips. Images that
    cannot be read, or are too small for the camera, are passed over and listed in `out/skipped.txt`.

    Raises ConfigurationError where there are too few images for the pairs, MissingExtraError without
    PyAV.
    """
    import_av()
    named = {plain(origin) for origin in held_out}
    rows = read_rows(originals)
    photographs = [
        row for row in rows if row["label"] == "0" and (row.get("category") or "photo") in PHOTOGRAPHS
    ]
    made = [row for row in rows if row["label"] == "1"]
    rng = random.Random(f"{options.seed} clips")
    out.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    with (
        open(out / "manifest.csv", "w", newline="", encoding="utf-8") as table,
        open(out / "skipped.txt", "w", encoding="utf-8") as skipped,
    ):
        writer = csv.DictWriter(table, COLUMNS)
        writer.writeheader()

        def tell(line: str) -> None:
            counts["skipped"] += 1
            skipped.write(line + "\n")

        scenes = partial(_scenes, originals, side=round(_MARGIN * options.size), tell=tell)
        shown = scenes(_in_turn(photographs, rng))
        ai = {part: scenes(_in_turn([r for r in made if _is_in(r, named) is part], rng, endless=True))
              for part in (True, False)}  # fmt: skip
        for number in range(options.pairs):
            photograph = next(shown, None)
            partner = photograph and next(ai[_is_in(photograph[0], named)], None)
            if photograph is None or partner is None:
                raise ConfigurationError(
                    f"{originals} has images for {number:,} of {options.pairs:,} pairs: each takes a "
                    f"photograph of its own and an AI image, of {round(_MARGIN * options.size)} pixels "
                    "or more. Give more images, or ask for fewer pairs."
                )
            for row, frames in _pair(photograph, partner, number, options):
                (out / row["path"]).parent.mkdir(parents=True, exist_ok=True)
                (out / row["path"]).write_bytes(encode(frames, options.quality))
                writer.writerow(row)
                counts["clips"] += 1
    return counts


Scene = tuple[dict[str, str], Image.Image]


def _pair(
    photograph: Scene, partner: Scene, number: int, options: ClipOptions
) -> Iterator[tuple[dict[str, str], list[Image.Image]]]:
    """The manifest's row and the frames of both clips."""
    rng = random.Random(f"{options.seed} {number} {photograph[0]['path']}")
    camera = Camera.random(options.frames, options.size, rng)
    if options.task == "content":
        clips = [("photograph", photograph, [photograph[1]] * options.frames)]
        clips.append(("ai", partner, [partner[1]] * options.frames))
    else:
        drawings = _drawings(photograph[1], partner[1], options.size, rng)
        order = [rng.randrange(DRAWINGS)]
        while len(order) < options.frames:  # another than before, and each as likely as any
            order.append((order[-1] + rng.randrange(1, DRAWINGS)) % DRAWINGS)
        still = drawings[rng.randrange(DRAWINGS)]
        clips = [("steady", photograph, [still] * options.frames)]
        clips.append(("flickering", photograph, [drawings[one] for one in order]))
    for label, (kind, scene, shown) in enumerate(clips):
        frames = [camera.view(one, frame, options.size) for frame, one in enumerate(shown)]
        row = {
            "path": f"{kind}/{number:05d}.mp4",
            "label": str(label),
            "generator": scene[0].get("generator", "") if options.task == "content" else "",
            "source": scene[0]["source"],
            "origin": origin_of(scene[0]),
            "category": kind if options.task == "time" else scene[0].get("category", ""),
            "pair": str(number),
        }
        yield row, frames


def _drawings(
    photograph: Image.Image, ai: Image.Image, size: int, rng: random.Random
) -> list[Image.Image]:
    """The photograph with a region of the AI image, as often as it is drawn: of the same size and at
    the same place in the middle third, where the camera always looks, its edge soft, its content from
    another place of the AI image each time."""
    side = round(rng.uniform(0.45, 0.6) * size)
    middle = photograph.width / 2
    at = [round(middle - side / 2 + rng.uniform(-0.08, 0.08) * size) for _ in range(2)]
    mask = Image.new("L", (side, side))
    edge = side // 10
    ImageDraw.Draw(mask).ellipse((edge, edge, side - edge, side - edge), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(edge / 2))
    drawings = []
    for _ in range(DRAWINGS):
        left, top = (rng.randint(0, ai.width - side) for _ in range(2))
        scene = photograph.copy()
        scene.paste(ai.crop((left, top, left + side, top + side)), (at[0], at[1]), mask)
        drawings.append(scene)
    return drawings


def _is_in(row: dict[str, str], origins: set[str]) -> bool:
    return plain(origin_of(row)) in origins


def _in_turn(
    rows: list[dict[str, str]], rng: random.Random, endless: bool = False
) -> Iterator[dict[str, str]]:
    """One of each origin in turn, in random order; `endless`: from the beginning again and again."""
    groups = defaultdict(list)
    for row in rows:
        groups[plain(origin_of(row))].append(row)
    queues = [groups[name] for name in sorted(groups)]
    for queue in queues:
        rng.shuffle(queue)
    rounds = max(map(len, queues), default=0)
    while True:
        for turn in range(rounds):
            order = [queue for queue in queues if endless or turn < len(queue)]
            rng.shuffle(order)
            yield from (queue[turn % len(queue)] for queue in order)
        if not endless or not queues:
            return


def _scenes(originals: Path, rows: Iterator[dict[str, str]], *, side: int, tell: Any) -> Iterator[Scene]:
    """The middle square of each image, with the past that tiles of it would have, scaled to `side`
    pixels. Ends when a hundred images in a row could not be used."""
    failed = 0
    for row in rows:
        opened: Any = open_original(originals, row)
        if not isinstance(opened, str):
            rng = random.Random(f"scene {row['path']}")
            image, _ = equalise(opened[0], opened[1] in LOSSLESS, rng)
            if (short := min(image.size)) < side:
                opened = f"{image.width}×{image.height} pixels: smaller than {side}"
        if isinstance(opened, str):
            tell(f"{row['path']}\t{' '.join(opened.split())}")
            failed += 1
            if failed == 100:
                return
            continue
        failed = 0
        left, top = (image.width - short) // 2, (image.height - short) // 2
        box = (left, top, left + short, top + short)
        yield row, image.resize((side, side), Image.Resampling.LANCZOS, box=box)


def encode(frames: Sequence[Image.Image], quality: int) -> bytes:
    """H.264 in MP4, 4:2:0, 24 frames a second, each frame coded on its own. The same frames give the
    same bytes."""
    av, file = import_av(), io.BytesIO()
    options = {"g": "1", "qp": str(quality), "preset": "fast", "threads": "1", "flags": "+bitexact"}
    with av.open(file, "w", format="mp4", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    return file.getvalue()
