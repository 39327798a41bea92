"""The report of a scan in a real Chromium: filters, hostile names, what its policy forbids."""

import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from aidetect import Reason
from aidetect._cli import main
from aidetect._scan import Journal, Row, write_report, write_report_folder
from aidetect._scan import _report as report

from ..sdk.image_files import noise, save
from ..sdk.verdicts import verdict

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202egpj"
)


def picture(row: Row) -> tuple[bytes, bytes | None]:
    jpeg, png = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (64, 48), (200, 90, 30)).save(jpeg, "JPEG")
    Image.new("RGBA", (16, 12), (0, 0, 90, 150)).save(png, "PNG")
    return jpeg.getvalue(), png.getvalue()


@pytest.fixture
def journal() -> Iterator[Journal]:
    """Sixty rows of all kinds, one with a hostile name and reason."""
    source = random.Random(5)
    with Journal(None, "test") as journal:
        for number in range(60):
            name = f"folder/{number:03} ü.jpg" if number != 7 else HOSTILE
            label = ("ai", "real", "uncertain")[number % 3]
            share = {"ai": 0.8, "real": 0.1, "uncertain": 0.5}[label] + source.random() / 20
            found = verdict(label, source=name, probability=round(share, 4))
            reasons = (Reason("a", HOSTILE if number == 7 else "A reason."), *found.reasons)
            wire = replace(found, reasons=reasons).to_dict()
            journal.save(Row(name, wire, same_as="folder/000 ü.jpg" if number == 30 else None))
        error = {"code": "not_an_image", "message": "bad.png is text.", "input": "bad.png"}
        journal.save(Row("bad.png", {"error": error}))
        yield journal


@pytest.fixture(params=["file", "folder"])
def page(
    request: pytest.FixtureRequest, journal: Journal, tmp_path: Path, browser: Any
) -> Iterator[Any]:
    """The report, open; nothing may be asked of anywhere else, and nothing be complained of."""
    if request.param == "file":
        path = tmp_path / "report.html"
        write_report(journal, str(path), picture)
    else:
        path = tmp_path / "report" / "index.html"
        write_report_folder(journal, str(path.parent), picture)
    said: list[str] = []
    context = browser.new_context(locale="en-GB", viewport={"width": 1100, "height": 700})
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on(
        "request",
        lambda asked: said.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None,
    )
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    yield page
    context.close()
    assert said == []


def loaded_width(page: Any, id: str) -> int:
    """Of an image, once it has loaded."""
    width = "node => node.decode().then(() => node.naturalWidth)"
    return int(page.locator(f"#{id}").evaluate(width))


def names(page: Any) -> list[str]:
    return [name.split("/")[-1] for name in page.locator("#rows .file button").all_text_contents()]


def test_rows_are_filtered_sorted_and_searched(page: Any) -> None:
    assert page.text_content("#shown") == "61 of 61 files"
    assert page.locator("#counts li").all_text_contents() == [
        *("20 AI", "20 uncertain", "20 not AI", "1 not checked", "1 duplicates")
    ]
    first = [text.rstrip(" %") for text in page.locator("#rows .probability").all_text_contents()]
    assert first == sorted(first, reverse=True)
    page.fill("#search", "FOLDER/01")
    assert page.text_content("#shown") == "10 of 61 files"
    page.click("button[data-by=path]")
    assert names(page) == [f"{number:03} ü.jpg" for number in range(10, 20)]
    page.click("button[data-by=path]")
    assert names(page)[0] == "019 ü.jpg"
    page.fill("#search", "")
    for box in page.locator("fieldset input").all()[:3]:
        box.uncheck()
    assert names(page) == ["bad.png"]
    page.locator("fieldset input").first.check()
    page.fill("#least", "50")
    page.check("#once")
    assert page.text_content("#shown") == "19 of 61 files"


def test_hostile_names_are_text(page: Any) -> None:
    page.fill("#search", "script")
    assert names(page)[0].startswith("script><img src=x")
    page.locator("#rows .row").first.click()
    shown = page.text_content("#name")
    assert "<script>" in shown and "\u202e" not in shown
    assert page.locator("#reasons script, #name script, #rows script, #rows img[src=x]").count() == 0
    assert page.title() == "aidetect: report of a scan"


def test_pictures_and_heat_maps_are_shown(page: Any) -> None:
    page.check("#once")  # duplicates have no picture of their own
    page.locator("#rows .row").first.click()
    for id, width in (("image", 64), ("map", 16)):
        assert loaded_width(page, id) == width
    assert page.locator("#reasons li").count() == 3
    page.keyboard.press("Escape")
    page.fill("#search", "bad.png")
    page.locator("#rows .file button").first.press("Enter")
    assert page.is_hidden("#figure") and "is text" in page.text_content("#reasons")


def test_its_policy_forbids_everything_else(browser: Any, journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(journal, str(path), picture)
    text = path.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy and policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1] and "https:" not in policy[1] and "http://" not in text
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    ran = page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); return window.ran ?? 0; }"
    )
    assert ran == 0
    page.close()


def test_names_and_texts_never_stand_in_the_markup(journal: Journal, tmp_path: Path) -> None:
    write_report(journal, str(tmp_path / "a.html"), picture)
    assert "owned" not in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_a_report_keeps_to_its_size(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MAX_BYTES", 120_000)
    drawn: list[str] = []

    def large(row: Row) -> tuple[bytes, None]:
        drawn.append(row.path)
        return random.Random(1).randbytes(4000), None

    write_report(journal, str(tmp_path / "a.html"), large)
    assert (tmp_path / "a.html").stat().st_size <= 120_000 and 0 < len(drawn) < 20


def test_a_scan_writes_one_with_real_maps(tmp_path: Path, browser: Any, photograph: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(photograph.read_bytes())
    (folder / "noise.png").write_bytes(save(noise(300, 200), "PNG"))
    (folder / "bad.png").write_bytes(b"text")
    fast = ["--views", "fast", "--threads", "1", "--backend", "onnx"]
    one, other = tmp_path / "report.html", tmp_path / "report"
    assert main(["scan", str(folder), "--report", str(one), "--report-dir", str(other), *fast]) == 1
    assert len(list((other / "pictures").iterdir())) == 4
    page = browser.new_page()
    for path in (one, other / "index.html"):
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        page.locator("#rows .row").first.click()
        assert loaded_width(page, "map") > 4
        assert page.text_content("#shown") == "3 of 3 files"
    page.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--report", "."], "is a folder"),
        (["--report", "none/a.html"], "no such folder"),
        (["--report-dir", "file"], "is a file"),
    ],
)
def test_wrong_places_are_told_at_once(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text(json.dumps([]))
    assert main(["scan", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err
