"""Finds videos and labels in the folders in which ForgeryNet and FaceForensics++ are published.

**ForgeryNet** (github.com/yinanhe/ForgeryNet, `Readme.txt`): `{Training,Validation}/video_list.txt`
beside `{Training,Validation}/video/…`. A line of the list is

    <segments> <video> [<first frame> <frames> <fake>]*segments <binary> <triple> <16 classes>

as in `2 train_video_release/1/9870…/47d6…/video.mp4 79 17 1 96 64 0 1 2 1` (its issues 26 and 36). The
folder after `…_video_release` numbers the method, or the source of real videos (issue 17). The published
training list lacks folders 2 and 8, whose videos are fake throughout (issue 29): they are left out.

**FaceForensics++** (github.com/ondyari/FaceForensics, `dataset/README.md` and `dataset/splits`):
`original_sequences/{youtube,actors}/<compression>/videos/*.mp4` and
`manipulated_sequences/<method>/<compression>/videos/<target>_<source>.mp4`, and the lists `train.json`,
`val.json` and `test.json` of pairs of numbers, in the folder itself or in `splits/`.

The origins are the published parts (`Training`, `val`, …), so that a recipe's `validation_origins` name
them; a video's source is what it was made from, the target sequence.
"""

import json
from pathlib import Path

from aidetect import ConfigurationError

from .data import Item

FORGERYNET_PARTS = ("Training", "Validation")
FORGERYNET_METHODS = {
    **{"1": "FaceShifter", "2": "FS-GAN", "3": "DeepFakes", "4": "BlendFace", "5": "MMReplacement"},
    **{"6": "DeepFakes-StarGAN-Stack", "7": "Talking Head Video", "8": "ATVG-Net"},
}
FORGERYNET_SOURCES = {"16": "RAVDESS", "17": "CREMA-D", "18": "AVSpeech", "19": "VoxCeleb"}
FACEFORENSICS_PARTS = ("train", "val", "test")


def is_forgerynet(folder: Path) -> bool:
    return any((folder / part / "video").is_dir() for part in FORGERYNET_PARTS)


def is_faceforensics(folder: Path) -> bool:
    return (folder / "original_sequences").is_dir()


def read_forgerynet(folder: Path) -> list[Item]:
    """The videos of the lists. Raises ConfigurationError, naming list and line, for what is not so."""
    items = []
    for part in FORGERYNET_PARTS:
        if not (folder / part / "video").is_dir():
            continue
        listed = folder / part / "video_list.txt"
        try:
            lines = listed.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            raise ConfigurationError(
                f"{folder / part} has videos and no video_list.txt. Put the published list there."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{listed} cannot be read: {error}. Get it again.") from None
        for number, line in enumerate(lines, 1):
            if line.strip():
                items.append(_forgerynet_item(folder / part, line, f"{listed}, line {number}"))
    return items


def _forgerynet_item(part: Path, line: str, where: str) -> Item:
    segments, *rest = line.split()
    wanted = 1 + 3 * int(segments) + 3 if segments.isdecimal() else 0
    if len(rest) != wanted or rest[-3] not in ("0", "1"):
        raise ConfigurationError(
            f"{where}: {line!r} is no line of the published form: number of segments, video, three "
            "numbers a segment, three labels. Get the list again."
        )
    name, label = Path(rest[0]), int(rest[-3])
    if name.is_absolute() or ".." in name.parts or len(name.parts) < 3:
        raise ConfigurationError(f"{where}: {rest[0]!r} is no path of the published form.")
    method = name.parts[1]
    return Item(
        path=part / "video" / name,
        label=label,
        generator=FORGERYNET_METHODS.get(method, method) if label else "",
        source=name.parts[2],
        origin=part.name,
        category="" if label else FORGERYNET_SOURCES.get(method, method),
    )


def read_faceforensics(folder: Path) -> list[Item]:
    """All videos whose compression both classes have: one that only one has would tell the label.

    Raises ConfigurationError where there is none, where a list of the split is missing or broken, and
    for a video that no list names. Videos of DeepFakeDetection (`actors`) are in no list: their
    origin is `actors`.
    """
    originals, manipulated = folder / "original_sequences", folder / "manipulated_sequences"
    found = {place: sorted(place.glob("*/*/videos/*.mp4")) for place in (originals, manipulated)}
    kinds = [{path.parts[-3] for path in paths} for paths in found.values()]
    if not (common := kinds[0] & kinds[1]):
        raise ConfigurationError(
            f"{originals} has the compressions {sorted(kinds[0])}, {manipulated} {sorted(kinds[1])}: "
            "none is in both. Download the same (such as c23) of both."
        )
    parts = _faceforensics_parts(folder)
    items = []
    for label, paths in enumerate(found.values()):
        for path in paths:
            method, compression = path.parts[-4:-2]
            if compression not in common:
                continue
            target = path.stem.split("_")[0]
            staged = method in ("actors", "DeepFakeDetection")
            if not staged and target not in parts:
                raise ConfigurationError(f"{path}: train.json, val.json and test.json lack {target!r}.")
            items.append(
                Item(
                    path=path,
                    label=label,
                    generator=method if label else "",
                    source=f"{'actors' if staged else 'youtube'}/{target}",
                    origin="actors" if staged else parts[target],
                    category="" if label else method,
                )
            )
    return items


def _faceforensics_parts(folder: Path) -> dict[str, str]:
    """Number of a sequence → the part of the published split that it is in."""
    parts = {}
    for part in FACEFORENSICS_PARTS:
        places = (folder / f"{part}.json", folder / "splits" / f"{part}.json")
        path = next((place for place in places if place.exists()), None)
        if path is None:
            raise ConfigurationError(
                f"{folder} has no {part}.json. Put the published lists train.json, val.json and "
                "test.json beside original_sequences."
            )
        try:
            pairs = json.loads(path.read_text(encoding="utf-8"))
            parts.update({str(number): part for pair in pairs for number in pair})
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(f"{path} is no list of pairs: {error}. Get it again.") from None
    return parts
