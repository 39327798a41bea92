"""Mutates files and reads their claims: `fuzz_provenance.py [--count 100000] [--seed 7]`.

The corpus is what the tests make: every signal's file, every look-alike, and images with Content
Credentials, which native code reads. All are read in a child process, so that a crash of the process
is seen as one, and so is a hang (no file done for two minutes); a parser's unforeseen exception, which
the net under the parsers would catch, counts too. Prints figures, and exits with 1 where there are any.
File number N of a seed is always the same: `--start N --count 1` reads it again.
"""

import argparse
import contextlib
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HANG = 120.0
"""Seconds; twenty files take less than one on an idle machine, and many on a busy one."""
_REPORT_EVERY = 20


def corpus() -> list[tuple[str, bytes, int, int]]:
    """Format, bytes, and where the most interesting part of them begins and ends."""
    sys.path.insert(0, str(ROOT))
    from tests.sdk import signed_files as files
    from tests.sdk.test_provenance import LOOK_ALIKES, SAMPLES

    plain = [(form, data) for _, form, data in SAMPLES] + list(LOOK_ALIKES.values())
    camera = files.signed(files.CAPTURED)
    edit = files.action("edited", "compositeWithTrainedAlgorithmicMedia", "Fill")
    signed = [(form, files.signed(files.MADE_BY_AI, form=form)) for form in files.FORMS]
    chain = files.signed(files.action("opened"), edit, ingredients=[("parentOf", camera)])
    signed += [("JPEG", chain), ("JPEG", files.signed(files.MADE_BY_AI, remote="http://127.0.0.1:9/"))]
    found = [(form, data, 0, min(len(data), 4000)) for form, data in plain]
    for form, data in signed * 6:  # as many as the plain ones
        found.append((form, data, max(0, data.index(b"jumb") - 40), data.rindex(b"c2pa") + 3000))
    return found


def mutated(chance: random.Random, data: bytes, start: int, end: int) -> bytes:
    """One to twenty changes, most of them in the interesting part: bytes, lengths, pieces taken out,
    repeated, or brought from elsewhere."""
    body = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 5, 20))):
        low, high = (start, min(end, len(body))) if chance.random() < 0.8 else (0, len(body))
        if high - low < 8:
            continue
        at = chance.randrange(low, high - 4)
        kind = chance.randrange(7)
        if kind == 0:
            body[at] = chance.randrange(256)
        elif kind == 1:
            body[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            number = chance.choice((0, 1, 7, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(body)))
            body[at : at + 4] = struct.pack(chance.choice("<>") + "I", number)
        elif kind == 3:
            del body[at : at + chance.randrange(1, 200)]
        elif kind == 4:
            body[at:at] = body[at : at + chance.randrange(1, 200)] * chance.randrange(1, 6)
        elif kind == 5:
            other = chance.randrange(low, high)
            piece = body[other : other + chance.randrange(1, 100)]
            body[at : at + len(piece)] = piece
        else:
            del body[chance.randrange(at, len(body)) :]
    return bytes(body)


def read_many(seed: int, start: int, count: int) -> None:
    """The child: reads mutated files, and writes a line of JSON for every few of them."""
    files = corpus()
    from aidetect._provenance import _LOOKED_FOR, _metadata, find_claims
    from aidetect._provenance._blocks import Exhausted

    unforeseen: Counter[str] = Counter()

    def strict(read: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(Exhausted, struct.error, IndexError):
            read(*arguments)

    longest, found = 0.0, Counter[str]()
    print(json.dumps({"next": start}), flush=True)
    for index in range(start, start + count):
        chance = random.Random(seed * 1_000_003 + index)
        form, data, low, high = chance.choice(files)
        data = mutated(chance, data, low, high)
        began = time.perf_counter()
        try:
            found.update(finding.signal.key for finding in find_claims(data, form))
        except Exception as error:
            unforeseen[f"{index}: {error!r}"] += 1
        longest = max(longest, time.perf_counter() - began)
        net, _metadata._try = _metadata._try, strict
        try:
            metadata = _metadata.read_metadata(data, form)
            for look in _LOOKED_FOR:
                list(look(metadata))
        except Exception as error:
            unforeseen[f"{index}: {error!r}"] += 1
        _metadata._try = net
        if index % _REPORT_EVERY == 0 or index == start + count - 1:
            line = {"next": index + 1, "longest": longest, "found": found, "unforeseen": unforeseen}
            print(json.dumps(line), flush=True)
            found.clear()
            unforeseen.clear()


class Run:
    """What came of all files so far."""

    def __init__(self) -> None:
        self.crashes: list[str] = []
        self.unforeseen: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.longest = 0.0

    def child(self, seed: int, start: int, count: int) -> int:
        """Reads until the child ends, however it does; returns the number of the next file."""
        command = [sys.executable, __file__, "--child", f"--seed={seed}", f"--start={start}"]
        environment = {**os.environ, "AIDETECT_TRUST_ANCHORS": "", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [*command, f"--count={count}"], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        reached = start
        while not (hangs := not select.select([process.stdout], [], [], HANG)[0]):
            line = process.stdout.readline()
            if not line:
                break
            told = json.loads(line)
            reached = told["next"]
            self.found.update(told.get("found", {}))
            self.unforeseen.update(told.get("unforeseen", {}))
            self.longest = max(self.longest, told.get("longest", 0.0))
        if hangs:
            process.kill()
        process.stdout.close()
        if process.wait():
            what = "hang" if hangs else f"exit {process.returncode}"
            self.crashes.append(f"{what} within {_REPORT_EVERY} files from {reached} on")
            reached += _REPORT_EVERY
        return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        read_many(options.seed, options.start, options.count)
        return 0
    run, at, began = Run(), options.start, time.perf_counter()
    end = at + options.count
    while at < end and len(run.crashes) < 20:
        at = run.child(options.seed, at, end - at)
    figures = {
        "files": min(at, end) - options.start,
        "crashes and hangs": run.crashes,
        "unforeseen": dict(run.unforeseen.most_common(20)),
        "longest, s": round(run.longest, 3),
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "found": dict(run.found.most_common()),
    }
    print(json.dumps(figures, indent=1))
    return 1 if run.crashes or run.unforeseen else 0


if __name__ == "__main__":
    sys.exit(main())
