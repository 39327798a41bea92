"""Finds the images and labels of a folder, in the layouts in which such data sets are published.

- `manifest.csv`: path, label, source and more; see `data.read_manifest`;
- Kaggle: `train.csv` with `file_name,label`, 0 for real and 1 for AI;
- GenImage: `<generator>/{train,val}/{ai,nature}/…`;
- ImageFolder: `real/…` beside `ai/…` or `fake/…`, also below `train/` and the like. A folder within
  a class folder names the generator or, of real images, the category;
- videos of ForgeryNet and FaceForensics++: see `video_layouts`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from aidetect import ConfigurationError

from .data import Item, read_manifest
from .prepare import labelled_rows
from .video_layouts import is_faceforensics, is_forgerynet, read_faceforensics, read_forgerynet

CLASSES = {"real": 0, "nature": 0, "ai": 1, "fake": 1}
"""Label of the images below a folder of this name, in any case."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff")


def read_dataset(folder: Path) -> list[Item]:
    """The images of `folder` in the order of its table, or of their names where it has none.

    Raises ConfigurationError for a folder that is not there, a table with a missing column or a
    wrong row, a tree of another layout, no images, and a class without any.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder. Give the one that holds the data set.")
    if (folder / "manifest.csv").exists():
        items = read_manifest(folder)
    elif (folder / "train.csv").exists():
        items = _read_kaggle(folder)
    elif is_forgerynet(folder):
        items = read_forgerynet(folder)
    elif is_faceforensics(folder):
        items = read_faceforensics(folder)
    else:
        items = [_placed(folder, path) for path in _image_files(folder)]
    if not items:
        raise ConfigurationError(
            f"{folder} holds no images: no manifest.csv, no train.csv, and no file of a known type. "
            "Give the folder that directly holds the table or the class folders."
        )
    real = sum(item.label == 0 for item in items)
    if real in (0, len(items)):
        raise ConfigurationError(
            f"{folder} has {real:,} real and {len(items) - real:,} AI images; both classes are needed."
        )
    return items


def _read_kaggle(folder: Path) -> list[Item]:
    """Neither generators nor sources are told there: each class is one group."""
    name = folder.resolve().name
    return [
        Item(folder / row["file_name"], int(row["label"]), "", name, name, "")
        for _, row in labelled_rows(folder / "train.csv", ("file_name",))
    ]


def _image_files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(place, name)


def _placed(folder: Path, path: Path) -> Item:
    """An image by the folders it lies in. The origin of one of GenImage's is its generator and
    part, such as `Midjourney/val`, so that either can be held out."""
    parts = path.relative_to(folder).parts[:-1]
    places = [i for i, part in enumerate(parts) if part.lower() in CLASSES]
    if not places:
        raise ConfigurationError(
            f"{path} lies in no folder named real, nature, ai or fake, and {folder} has neither "
            "manifest.csv nor train.csv. Rename the class folders or write a manifest.csv."
        )
    if len({CLASSES[parts[i].lower()] for i in places}) > 1:
        raise ConfigurationError(f"{path} lies in folders of both classes. Rename one of them.")
    first = places[0]
    label = CLASSES[parts[first].lower()]
    above, below = parts[:first], parts[first + 1 :]
    if len(above) >= 2 and above[-1].lower() in ("train", "val"):
        generator, category = above[-2], ""
    else:
        generator = category = below[0] if below else ""
    source = "/".join(above) or folder.resolve().name
    return Item(path, label, generator if label else "", source, source, "" if label else category)
