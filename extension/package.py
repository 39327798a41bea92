"""Packs the extension for the stores: `make extension` writes a zip for Chrome and one for Firefox.

The files are those that load unpacked, byte for byte; only the manifest loses the keys that the other
browser reads. The same files give the same zip: names sorted, times fixed.
"""

import json
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
SHIPPED = (
    "background.js",
    "lib/*.js",
    "inject/*.js",
    "pages/*",
    "icons/*.png",
    "_locales/*/messages.json",
)
OTHERS = {
    "chrome": [("background", "scripts"), ("browser_specific_settings",)],
    "firefox": [("background", "service_worker"), ("minimum_chrome_version",)],
}
"""Keys of the manifest that only another browser reads."""

MOST_BYTES = 200_000


def manifest(browser: str) -> bytes:
    """The manifest for one browser."""
    content = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    for *path, last in OTHERS[browser]:
        place = content
        for key in path:
            place = place[key]
        del place[last]
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def pack(browser: str, out: Path) -> Path:
    """Writes the zip of one browser into `out`; raises ValueError above `MOST_BYTES`."""
    files = {
        path.relative_to(HERE).as_posix(): path.read_bytes()
        for glob in SHIPPED
        for path in HERE.glob(glob)
    }
    files["manifest.json"] = manifest(browser)
    version = json.loads(files["manifest.json"])["version"]
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"aidetect-{version}-{browser}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} is {path.stat().st_size:,} bytes; {MOST_BYTES:,} are the most")
    return path


if __name__ == "__main__":
    for browser in OTHERS:
        packed = pack(browser, Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
        print(f"{packed}: {packed.stat().st_size:,} bytes")
