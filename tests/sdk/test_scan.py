"""`aidetect scan` on real folders with the shipped weights: kills, duplicates, tables, bad files."""

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aidetect import ConfigurationError, InputNotFoundError, Verdict
from aidetect._cli import main
from aidetect._scan import Journal, Row, check_table, write_table

from .image_files import noise, save
from .verdicts import verdict

FAST = ["--views", "fast", "--threads", "1", "--backend", "onnx"]


def picture(path: Path, seed: int, side: int = 80) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six files with four different images, one of the files in a subfolder; and one that is none."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for number in range(4):
        picture(folder / f"{number}.png", number)
    shutil.copy(folder / "1.png", folder / "1 copy.png")
    shutil.copy(folder / "2.png", folder / "more" / "5.png")
    (folder / "bad.jpg").write_bytes(b"not an image")
    return folder


def wires(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of a JSON table by the name of the file."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {
        os.path.basename(wire["source"] if "source" in wire else wire["error"]["input"]): wire
        for wire in lines
    }


def scan(*arguments: object) -> int:
    return main(["scan", *map(str, arguments), *FAST])


def test_a_folder_becomes_a_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert scan(folder, "--recursive", "--out", out) == 1
    rows = wires(out)
    assert set(rows) == {*(f"{n}.png" for n in range(4)), "1 copy.png", "5.png", "bad.jpg"}
    assert rows["bad.jpg"]["error"]["code"] == "not_an_image"
    assert Verdict.from_dict(rows["3.png"]).source == str(folder / "3.png")
    same = {name: row["same_as"] for name, row in rows.items() if "same_as" in row}
    assert len(same) == 2 and {Path(first).name for first in same.values()} <= {
        *("1.png", "1 copy.png", "2.png", "5.png")
    }
    for name, first in same.items():
        assert rows[name]["image"]["sha256"] == rows[Path(first).name]["image"]["sha256"]
        assert rows[name]["source"].endswith(name)
    shown = capsys.readouterr()
    assert shown.out == ""
    bad, summary = shown.err.splitlines()
    assert bad.startswith(f"aidetect: {folder / 'bad.jpg'} is text")
    assert summary.startswith("aidetect: 7 files (2 duplicates): ") and "1 not checked" in summary


def test_one_is_not_counted_as_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "a.png", tmp_path / "out.csv"
    path.write_bytes(save(noise(), "PNG"))
    assert scan(path, "--out", out) == 0
    assert capsys.readouterr().err.startswith("aidetect: 1 file: ")
    (tmp_path / "b.png").write_bytes(path.read_bytes())
    assert scan(tmp_path, "--out", out) == 0
    assert capsys.readouterr().err.startswith("aidetect: 2 files (1 duplicate): ")


def test_without_a_table_it_prints_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan(folder) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split("/")[-1].split("  ")[0] for line in lines) == [
        *("0.png", "1 copy.png", "1.png", "2.png", "3.png")
    ]
    assert not list(folder.parent.glob("*.scan"))


KILLED = """
import os, signal, sys
from aidetect._cli import main
from aidetect._scan import _journal

_journal.BATCH, _journal.BATCH_SECONDS = 10, 1e6
save, saved = _journal.Journal.save, []

def counted(journal, row):
    save(journal, row)
    saved.append(row)
    if len(saved) == 23:
        os.kill(os.getpid(), signal.SIGKILL)

_journal.Journal.save = counted
sys.exit(main(sys.argv[1:]))
"""
"""The command line, killed after 23 answers, of which 20 are in whole batches."""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_it_goes_on_where_a_killed_scan_stopped(tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out.jsonl"
    folder.mkdir()
    for number in range(30):
        picture(folder / f"{number:03}.png", number, 64 + number)
    command = [sys.executable, "-c", KILLED, "scan", str(folder), "--out", str(out), *FAST]
    killed = subprocess.run(command, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL and not out.exists()
    before = answered(Path(f"{out}.scan"))
    assert len(before) == 20
    assert scan(folder, "--out", out) == 0
    after = wires(out)
    assert len(after) == 30
    again = [name for name, checked_at in before.items() if after[name]["checked_at"] != checked_at]
    assert not again  # what was kept is not checked again


def answered(journal: Path) -> dict[str, str]:
    """File name → time of the check, of those that were kept by the latest run."""
    with Journal(str(journal), "reader") as reader:
        reader.run -= 1
        return {os.path.basename(row.path): row.wire["checked_at"] for row in reader.rows()}


def test_only_what_is_new_or_changed_is_checked_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    scan(folder, "--out", out)
    before = wires(out)
    picture(folder / "1.png", 100)
    picture(folder / "6.png", 101)
    (folder / "3.png").rename(folder / "7.png")
    os.utime(folder / "2.png", (1, 1))
    (folder / "bad.jpg").write_bytes((folder / "6.png").read_bytes())
    assert scan(folder, "--out", out) == 0
    after = wires(out)
    assert set(after) == {*(f"{n}.png" for n in (0, 1, 2, 6, 7)), "1 copy.png", "bad.jpg"}
    same = {name for name in before.keys() & after if before[name] == after[name]}
    assert same >= {"0.png", "1 copy.png"}
    assert after["2.png"]["checked_at"] == before["2.png"]["checked_at"]  # its bytes are known
    assert after["7.png"]["checked_at"] == before["3.png"]["checked_at"]
    assert after["1.png"]["checked_at"] != before["1.png"]["checked_at"]


def test_another_way_of_looking_checks_all_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    scan(folder, "--out", out)
    before = wires(out)
    main(["scan", str(folder), "--out", str(out), "--backend", "onnx"])
    after = wires(out)
    assert all(before[f"{n}.png"]["checked_at"] != after[f"{n}.png"]["checked_at"] for n in range(4))


@pytest.mark.parametrize(("labels", "status"), [(["uncertain"], 3), ([], 1)])
def test_exit_statuses_also_of_what_was_known(
    labels: list[str], status: int, folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (90, 90)).save(folder / "flat.png")  # uncertain under any weights
    options = [word for label in labels for word in ("--fail-on", label)]
    for _ in range(2):
        assert scan(folder, "--out", tmp_path / "out.csv", *options) == status


def test_the_same_folder_twice_has_each_file_once(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    scan(folder, folder, folder / "0.png", "--out", out)
    assert len(out.read_text().splitlines()) == 6
    assert not any(
        "0.png" in json.loads(line).get("same_as", "") for line in out.read_text().splitlines()
    )


def test_a_folder_without_images_is_told_and_the_rest_is_checked(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    (tmp_path / "empty").mkdir()
    (folder / "gone.png").symlink_to("nowhere.png")
    assert scan(tmp_path / "empty", folder, tmp_path / "none", "--out", out) == 1
    rows = wires(out)
    assert [rows[name]["error"]["code"] for name in ("empty", "gone.png", "none")] == ["not_found"] * 3
    assert "label" in rows["3.png"]


def test_an_empty_file_is_told_as_check_tells_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not as an open file, which might have been read before."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    assert scan(tmp_path) == main(["check", str(tmp_path)]) == 1
    scanned, checked = capsys.readouterr().err.split("aidetect: 2 files")
    assert scanned in checked and scanned.count("is empty (0 bytes). Give a file") == 2


def test_bad_files_are_listed_to_a_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(130):
        (tmp_path / f"{number}.png").write_bytes(b"%d" % number)
    assert scan(tmp_path) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 102 and "30 more" in lines[-2] and "130 not checked" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "out.xlsx"], ".jsonl, .csv, .parquet"),
        (["--out", "nowhere/out.csv"], "no such folder"),
        (["--out", "folder.csv"], "folder.csv: is a folder"),
        (["--out", "out.csv", "--report", "out.csv"], "reports end with .html"),
        (["https://a.example/"], "aidetect check"),
    ],
)
def test_wrong_use_is_said_at_once(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    assert scan(tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["folder.csv"]


def test_a_file_that_is_no_journal_is_left_alone(folder: Path, tmp_path: Path) -> None:
    for content in (b"something else entirely, long enough to be looked at" * 50, None):
        path = tmp_path / f"{content is None}.csv.scan"
        if content is None:
            with sqlite3.connect(path) as other:
                other.execute("CREATE TABLE mine (a)")
            other.close()
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        assert scan(folder, "--out", str(path).removesuffix(".scan")) == 2
        assert path.read_bytes() == before


def test_two_scans_do_not_share_a_journal(tmp_path: Path) -> None:
    with (
        Journal(str(tmp_path / "a.scan"), "one") as first,
        pytest.raises(ConfigurationError, match="another scan is using it"),
    ):
        first.save(Row("a.png", verdict().to_dict()))
        Journal(str(tmp_path / "a.scan"), "one")


ODD = [
    "=cmd|' /C calc'!A0.png",
    "+1.png",
    "-1.png",
    "@SUM(A1).png",
    "\uff1dfull.png",
    'a"b,c;d.png',
    "two\nlines.png",
    "\x1b[2J.png",
    "a\u202egnp.png",
    "caf\udce9.png",
    "<script>alert(1)</script>.png",
]


def odd_rows() -> list[Row]:
    rows = [Row(name, verdict(source=name).to_dict()) for name in ODD]
    return [*rows, Row("=bad.png", {"error": {"code": "image", "message": "=1+1", "input": "=bad.png"}})]


def test_a_spreadsheet_finds_no_formula(tmp_path: Path) -> None:
    write_table(odd_rows(), str(tmp_path / "odd.csv"))
    with open(tmp_path / "odd.csv", encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(ODD) + 1
    cells = [cell for row in table for cell in row.values()]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r\uff1d")]
    assert all("".join(cells).isprintable() for cells in (row.values() for row in table))
    assert table[-1]["error"] == "image" and table[-1]["probability"] == ""


def test_parquet_has_the_same_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra is not installed")
    write_table(odd_rows(), str(tmp_path / "odd.parquet"))
    write_table(odd_rows(), str(tmp_path / "odd.csv"))
    table = parquet.read_table(tmp_path / "odd.parquet").to_pylist()
    with open(tmp_path / "odd.csv", encoding="utf-8-sig", newline="") as file:
        assert list(table[0]) == csv.DictReader(file).fieldnames
    assert [row["probability"] for row in table[:2]] == [0.972, 0.972]
    assert table[-1]["label"] is None and table[0]["width"] == 640


def test_json_lines_keep_names_as_they_are(tmp_path: Path) -> None:
    write_table(odd_rows(), str(tmp_path / "odd.jsonl"))
    lines = (tmp_path / "odd.jsonl").read_text("ascii").splitlines()
    assert [json.loads(line).get("source") for line in lines[:-1]] == ODD


@pytest.mark.parametrize("size", [(2000, 20), (20, 2000), (5000, 1)])
def test_a_report_shows_strips_with_their_maps(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, "teal").save(tmp_path / "strip.png")
    report = tmp_path / "report.html"
    assert scan(tmp_path / "strip.png", "--report", report) == 0
    assert report.read_text().count("data:image/png;base64,") == 1


def test_a_table_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("older")

    def rows() -> Any:
        yield odd_rows()[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_table(rows(), str(tmp_path / "a.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "older"


def test_what_an_interruption_leaves_of_a_table_is_written_over(tmp_path: Path) -> None:
    program = (
        "import os, sys; from aidetect._scan._tables import whole\n"
        "with whole(sys.argv[1]) as part: open(part, 'w').close(); os._exit(130)"
    )
    path = tmp_path / "a.csv"
    assert subprocess.run([sys.executable, "-c", program, str(path)], timeout=120).returncode == 130
    write_table(odd_rows(), str(path))
    assert os.listdir(tmp_path) == ["a.csv"]


def test_errors_of_the_journal_keep_their_code(tmp_path: Path) -> None:
    error = InputNotFoundError("a.png: no such file. Check the path.", input="a.png")
    with Journal(None, "one") as journal:
        journal.save(Row("a.png", {"error": error.to_dict()}))
        (row,) = journal.rows()
    assert row.answer.to_dict() == error.to_dict()
    check_table(str(tmp_path / "a.jsonl"))
