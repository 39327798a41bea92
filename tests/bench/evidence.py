"""What reading a file's claims costs, with and without Content Credentials, and what mutated files do.

`--full` mutates 100,000 files instead of 1,000. The files are made here.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _figures import at_most, print_figures
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from aidetect._image import decode
from aidetect._provenance import find_claims
from aidetect._provenance._stealth import hidden_mark

ROOT = Path(__file__).resolve().parents[2]
INFOTEXT = "a castle\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 12, Model: dream"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:I="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><I:DigitalSourceType>'
    b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia</I:DigitalSourceType>"
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
ROUNDS = 20


def encoded(form: str, side: int) -> bytes:
    """Noise with an infotext, a camera's name and XMP, as far as the format takes them."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    image, file = Image.fromarray(pixels), io.BytesIO()
    exif = Image.Exif()
    exif[271], exif[272] = "Canon", "EOS R5"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + INFOTEXT.encode()
    if form == "PNG":
        texts = PngInfo()
        texts.add_text("parameters", INFOTEXT, zip=True)
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        image.save(file, form, pnginfo=texts, exif=exif, compress_level=0)
    elif form == "TIFF":
        image.save(file, form, tiffinfo={700: XMP, 271: "Canon", 272: "EOS R5"})
    else:
        image.save(file, form, exif=exif.tobytes(), xmp=XMP, quality=98)
    return file.getvalue()


def milliseconds(data: bytes, form: str, wanted: str) -> float:
    """The best of several readings in time of the processor, so that other work on the machine counts
    little; each has to find what was written."""
    taken = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        found = find_claims(data, form)
        taken.append(1000 * (time.thread_time() - started))
        if wanted not in [finding.signal.key for finding in found]:
            raise SystemExit(f"{wanted} was not found in the {form} that holds it")
    return min(taken)


def with_credentials(plain: dict[str, bytes]) -> dict[str, float]:
    """Milliseconds for each format with a valid signature over the same file."""
    sys.path.insert(0, str(ROOT))
    from tests.sdk import signed_files as files

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        anchors = Path(folder, "anchors.pem")
        anchors.write_bytes(files.authority(files.TRUSTED).pem)
        os.environ["AIDETECT_TRUST_ANCHORS"] = str(anchors)
        for form, data in plain.items():
            signed = files.signed(files.MADE_BY_AI, form=form, data=data)
            name = f"with credentials, a {form} of {len(signed) / 1e6:.0f} MB, ms"
            found[name] = milliseconds(signed, form, "credentials_signed_ai")
        del os.environ["AIDETECT_TRUST_ANCHORS"]
    return found


def mark_microseconds(data: bytes) -> float:
    """Looking for a mark in pixels that are decoded already."""
    image = Image.open(io.BytesIO(data))
    image.load()
    started = time.perf_counter()
    for _ in range(ROUNDS):
        hidden_mark(image)
    return 1e6 * (time.perf_counter() - started) / ROUNDS


def fuzzed(count: int) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "tests" / "fuzz_provenance.py"), "--count", str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    with contextlib.suppress(ValueError):
        return dict(json.loads(done.stdout))
    raise SystemExit(f"the fuzzer ended with {done.returncode}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    count = 100_000 if parser.parse_args().full else 1_000
    big = {form: encoded(form, 1900 if form != "JPEG" else 2700) for form in ("JPEG", "PNG", "TIFF")}
    found = {}
    for form, data in big.items():
        name = f"claims of a {form} of {len(data) / 1e6:.0f} MB, ms"
        found[name] = at_most(milliseconds(data, form, "iptc_ai"), 10)
    started = time.thread_time()
    hashlib.sha256(big["JPEG"]).hexdigest()
    hashing = 1000 * (time.thread_time() - started)
    for name, value in with_credentials(big).items():
        found[name] = at_most(value, 60)
    found["of that, one SHA-256 of such a JPEG, ms"] = at_most(hashing, 60)
    started = time.perf_counter()
    decode(big["PNG"])
    decoding = time.perf_counter() - started
    share = mark_microseconds(big["PNG"]) / (1e6 * decoding)
    found["mark in pixels, share of decoding them"] = at_most(share, 0.05)
    fuzz = fuzzed(count)
    bad = len(fuzz["crashes and hangs"]) + len(fuzz["unforeseen"])
    found[f"crashes and hangs in {count:,} mutated files"] = at_most(bad, 0)
    found["longest of them, s"] = at_most(fuzz["longest, s"], 5)
    print_figures(found)


if __name__ == "__main__":
    main()
