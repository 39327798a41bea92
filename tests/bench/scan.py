"""Whole folders: how much of the model's speed is left, what a kill costs, how large a report is and
how soon it can be used.

A scan is set against network and texture fed with decoded pixels, in alternating turns in one process;
`--full` scans 10,000 files instead of 300.
"""

import argparse
import io
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _figures import Figures, at_least, at_most, print_figures
from _model_work import ModelWork
from _pictures import encoded, photograph
from PIL import Image

from aidetect import Detector, Evidence, ImageInfo, ModelInfo, Reason, Verdict
from aidetect._image import decode
from aidetect._scan import Journal, Row, scan, write_report, write_table
from aidetect._scan._journal import BATCH

ROWS = 100_000
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]


def throughput(folder: Path, paths: list[Path]) -> tuple[float, float]:
    """Files a second of a scan over the model's on decoded pixels, median of three turns; and the growth
    of memory over the last turn in megabytes."""
    detector = Detector()
    model, pixels = ModelWork(), decode(paths[0].read_bytes()).pixels
    share, ratios, before = len(paths) // 3 // 4 * 4, [], 0.0
    for turn in range(3):
        part = [str(path) for path in paths[turn * share : (turn + 1) * share]]
        started = time.perf_counter()
        model.many(pixels, share)
        bare = time.perf_counter() - started
        before = resident()
        started = time.perf_counter()
        with Journal(str(folder / f"{turn}.scan"), detector.identity) as journal:
            for _ in scan(detector, iter(part), journal, 20_000_000):
                pass
            write_table(journal.rows(), str(folder / f"{turn}.csv"))
        ratios.append(bare / (time.perf_counter() - started))
    return statistics.median(ratios), max(0.0, resident() - before)


def resident() -> float:
    """Megabytes of this process in memory."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+)", status.read_text())
    return int(found[1]) / 1024 if found else 0.0


def lost_by_a_kill(folder: Path, pictures: Path, count: int) -> int:
    """Answers that a scan had when it was killed, as its progress tells, less those it had kept."""
    out = folder / "killed.jsonl"
    control, terminal = os.openpty()
    command = [sys.executable, "-m", "aidetect", "scan", str(pictures), "--out", str(out)]
    process = subprocess.Popen([*command, "--views", "fast"], stderr=terminal)
    os.close(terminal)
    shown, done = "", 0
    while done < min(2 * BATCH, count // 2) and process.poll() is None:
        shown += os.read(control, 4096).decode()
        done = max(map(int, re.findall(r"(\d+)/\d+ ", shown)), default=0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(control)
    with Journal(f"{out}.scan", "reader") as journal:
        journal.run -= 1
        return max(0, done - sum(1 for _ in journal.rows()))


def large_journal(path: Path) -> Journal:
    """As many rows as an archive has, with names of its length and hardly two alike."""
    source = random.Random(1)
    journal = Journal(str(path), "test")
    model = ModelInfo("default", "1", "f" * 64)
    for number in range(ROWS):
        share = round(source.random(), 4)
        label: Any = "ai" if share > 0.6 else "real" if share < 0.4 else "uncertain"
        year, name = source.randrange(1998, 2026), f"{source.getrandbits(48):012x}"
        found = Verdict(
            label=label,
            probability=share,
            decided_by="model",
            uncertain_because="between_thresholds" if label == "uncertain" else None,
            reasons=(Reason("views", f"{source.randrange(10)} of the 9 views look more like AI."),),
            evidence=(Evidence("model", label, share),),
            image=ImageInfo(f"{source.getrandbits(256):064x}", 4000, 3000, "JPEG", 4_000_000),
            model=model,
            checked_at=datetime.now(UTC),
            elapsed_ms=100.0,
            source=f"archive/{year}/collection {source.randrange(400)}/IMG_{number:06}_{name}.jpg",
        )
        journal.save(Row(found.source or "", found.to_dict()))
    journal.commit()
    return journal


def drawn(row: Row) -> tuple[bytes, bytes]:
    """A picture and a map as large as those of photographs are."""
    random_ = random.Random(row.path)
    photo = encoded(photograph(640, 480, random_.randrange(50)), "JPEG")
    with Image.open(io.BytesIO(photo)) as image:
        image.thumbnail((192, 192))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=70)
    return file.getvalue(), random_.randbytes(3500)


def usable_after(page_path: Path) -> float | None:
    """Seconds from opening the page to rows that are sorted and can be searched, the best of three;
    None without Chromium and playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        return None
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        for _ in range(3):
            page = browser.new_page()
            started = time.perf_counter()
            page.goto(page_path.as_uri(), wait_until="commit")
            page.wait_for_selector("html[data-ready=yes]", timeout=120_000)
            page.fill("#search", "collection 77/")
            taken.append(time.perf_counter() - started)
            page.close()
        browser.close()
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    count = 10_000 if parser.parse_args().full else 300
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = folder / "pictures"
        pictures.mkdir()
        paths = [pictures / f"{number:05}.jpg" for number in range(count)]
        for number, path in enumerate(paths):
            path.write_bytes(encoded(photograph(640, 480, number), "JPEG"))
        ratio, growth = throughput(folder, paths)
        figures[f"scan of {count} files over the model"] = at_least(ratio, 0.9)
        figures["memory that a third of it takes, MB"] = at_most(growth, 50)
        lost = lost_by_a_kill(folder, pictures, count)
        figures["answers lost by kill -9"] = at_most(lost, BATCH)
        report = folder / "report.html"
        with large_journal(folder / "large.scan") as journal:
            write_report(journal, str(report), drawn)
        size = report.stat().st_size / 1e6
        figures[f"report of {ROWS:,} rows, MB"] = at_most(size, 25)
        seconds = usable_after(report)
        if seconds is not None:
            figures[f"report of {ROWS:,} rows usable after, s"] = at_most(seconds, 3)
    print_figures(figures)


if __name__ == "__main__":
    main()
