"""A short run of the fuzzer, and that no mutation forges a signed statement."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from aidetect._image import decode
from aidetect._provenance import find_claims

from .fuzz_provenance import mutated
from .sdk.signed_files import MADE_BY_AI, TRUSTED, authority, signed

FUZZ = Path(__file__).with_name("fuzz_provenance.py")


@pytest.mark.skipif(sys.platform == "win32", reason="waits on pipes with select")
def test_four_hundred_mutated_files_neither_crash_nor_hang() -> None:
    command = [sys.executable, str(FUZZ), "--count", "400"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"files": 400' in done.stdout and "credentials_invalid" in done.stdout


def test_no_mutation_makes_a_valid_signature_say_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no hash covers (paddings, checksums of chunks) may change; statement and pixels may not."""
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(authority(TRUSTED).pem)
    monkeypatch.setenv("AIDETECT_TRUST_ANCHORS", str(anchors))
    states = Counter[str]()
    for form in ("JPEG", "PNG", "WEBP"):
        data = signed(MADE_BY_AI, form=form)
        (original,), pixels = find_claims(data, form), decode(data).pixels
        start, end = max(0, data.index(b"jumb") - 40), data.rindex(b"c2pa") + 3000
        for number in range(150):
            changed = mutated(random.Random(number), data, start, end)
            for found in find_claims(changed, form):
                states[found.signal.key] += 1
                if found.signal.signed:
                    assert (found.details, found.generator) == (original.details, original.generator)
                    assert np.array_equal(decode(changed).pixels, pixels)
    assert states["credentials_invalid"] > 300 and states["credentials_signed_ai"] > 3
