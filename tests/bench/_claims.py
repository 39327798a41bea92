"""Which signals fire on a folder of images: `_claims.py FOLDER [--pixels] [--list]`.

Counts each signal over all images under FOLDER; where it holds a `manifest.csv` with the columns
`path` and `label` (0: made by a camera or a hand, 1: by AI), apart for the two. A claim of AI on an
image of label 0 is false, or its label is; each is printed. `--pixels` decodes the images too, which
marks hidden in pixels need; `--list` prints every finding. Exit status 1 where a claim is false.
"""

import argparse
import csv
import json
import sys
from collections import Counter
from pathlib import Path

from aidetect._errors import ImageError
from aidetect._image import decode
from aidetect._image_format import identify
from aidetect._provenance import Finding, find_claims

KINDS = {"0": "real", "1": "AI", "": "unknown"}


def images(folder: Path) -> list[tuple[Path, str]]:
    """Files and their labels, empty where none is known."""
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        return [(path, "") for path in sorted(folder.rglob("*")) if path.is_file()]
    with open(manifest, encoding="utf-8", newline="") as file:
        return [(folder / row["path"], row["label"]) for row in csv.DictReader(file)]


def findings(data: bytes, pixels: bool) -> tuple[Finding, ...]:
    """Raises ImageError."""
    if not pixels:
        return find_claims(data, identify(data, None))
    decoded = decode(data)
    return find_claims(data, decoded.format, decoded.notes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pixels", action="store_true", help="decode the images too")
    parser.add_argument("--list", action="store_true", help="print every finding")
    options = parser.parse_args()
    seen: Counter[str] = Counter()
    fired: dict[str, Counter[str]] = {}
    false = 0
    for path, label in images(options.folder):
        try:
            found = findings(path.read_bytes(), options.pixels)
        except ImageError as error:
            seen[f"refused: {error.code}"] += 1
            continue
        seen[KINDS[label]] += 1
        for finding in found:
            fired.setdefault(finding.signal.key, Counter())[KINDS[label]] += 1
            wrong = label == "0" and finding.says == "ai"
            false += wrong
            if wrong or options.list:
                told = json.dumps({"generator": finding.generator, **finding.details})
                print("FALSE?" if wrong else "found ", finding.signal.key, ascii(str(path)), told)
    print(f"images: {dict(seen)}")
    for key, counts in sorted(fired.items()):
        print(f"{key:30}", ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    print(f"claims of AI on images of label 0: {false}")
    return 1 if false else 0


if __name__ == "__main__":
    sys.exit(main())
