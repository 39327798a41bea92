"""The popup and full reports as a person uses them, in Chromium, against the real server and model."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from aidetect import Verdict

from ..end_to_end.looking import hand_over
from ..end_to_end.stack import Stack, until
from ..sdk.origin import closed_port
from .chromium import Chromium
from .pages import MARKUP, SEEN, OwnPage, Popup, clear, tell, turned_to
from .site import Site, picture
from .window import ANSWERS


@pytest.fixture(autouse=True)
def nothing_kept(chromium: Chromium) -> None:
    clear(chromium)


def test_the_popup_lists_the_page_s_images_and_checks_one(
    connected: Chromium, tab: Any, site: Site
) -> None:
    tab.goto(site.page("/", '<img src="/image/21.jpg" alt="A lake"><img src="/image/22.jpg" alt="">'))
    popup = Popup(connected, tab)
    until(lambda: popup.js("document.querySelectorAll('#images li').length") == 2)
    assert "A lake" in popup.js("document.querySelector('#images').innerText")
    assert "320 × 240 pixels" in popup.js("document.querySelector('#images').innerText")
    width = "document.documentElement.scrollWidth"
    until(lambda: popup.js("document.body.offsetWidth") == 400)
    until(lambda: 400 <= popup.js(width) <= popup.js("innerWidth"), lambda: str(popup.js(width)))
    popup.js("document.querySelector('#images button').click()")
    words = connected.wait_for(tab, *ANSWERS)
    assert "21.jpg" in words and "22.jpg" not in words
    until(popup.closed)


DRAWN = """<canvas width="200" height="150"></canvas>
<div style="width:300px; height:200px; background:url(/image/23.jpg)"></div>
<script>document.querySelector("canvas").getContext("2d").fillRect(20, 20, 60, 60)</script>"""


def test_the_popup_as_a_page_offers_backgrounds_and_canvases_too(
    connected: Chromium, tab: Any, site: Site
) -> None:
    tab.goto(
        site.page("/", f'{DRAWN}<img src="/image/24.jpg" alt="{MARKUP.replace(chr(34), "&quot;")}">')
    )
    with OwnPage(connected, f"popup.html?tab={connected.grant(tab)}") as page:
        names = page.locator("#images bdi").all_inner_texts()
        assert names == [SEEN, "Background", "Canvas"]  # the largest first
        assert page.locator("#images b").count() == 0 and page.title() == "Check an image – aidetect"
        assert not page.get_by_role("button", name="Open as a page").is_visible()
        page.get_by_role("button", name="Canvas").click()
        words = connected.wait_for(tab, *ANSWERS)
        assert "Canvas" in words


def test_images_that_are_given_get_reports(
    connected: Chromium, stack: Stack, tmp_path: Path, photograph: Path
) -> None:
    """Chosen, dropped and pasted files; an address; and what is none of these."""
    files = [tmp_path / name for name in ("one.jpg", "two.jpg", "huge.jpg")]
    for number, file in enumerate(files):
        file.write_bytes(picture(30 + number))
    connected.keep(maxBytes=files[2].write_bytes(bytes(100_000)) - 1)
    with OwnPage(connected, "popup.html", stack.address) as page:
        page.get_by_text("The browser lets no extension look into this page.").wait_for()
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose images").click()
        chooser.value.set_files([str(file) for file in files])
        report = turned_to(connected, "report.html")
        connected.wait_for(report, "two.jpg")
        assert report.locator("article").count() == 2
        report.close()
        tell(page, "#told", "huge.jpg: The file is larger than the 0.1 MB that this server takes.")
        connected.keep(maxBytes=20_000_000)
        for event in ("drop", "paste"):
            hand_over(page, event, "body", photograph)
            report = turned_to(connected, "report.html")
            connected.wait_for(report, *ANSWERS)
            assert photograph.name in report.title()
            report.close()
        hand_over(page, "paste", "body", text="no address")
        tell(page, "#told", "There was no image and no address in it.")
        page.get_by_label("Address of an image").fill("example")
        page.keyboard.press("Enter")
        tell(page, "#told", "This is not an address of the web.")
        data = "data:image/jpeg;base64," + base64.b64encode(picture(33)).decode()
        hand_over(page, "drop", "body", text=data)
        connected.wait_for(turned_to(connected, "report.html"), *ANSWERS)
        turned_to(connected, "report.html").close()


def test_an_address_that_is_given_obeys_the_choice_of_privacy(
    connected: Chromium, elsewhere: Site, stack: Stack
) -> None:
    connected.keep(privacy="never")
    with OwnPage(connected, "popup.html", stack.address) as page:
        page.get_by_label("Address of an image").fill(f"{elsewhere.address}/image/34.jpg")
        page.keyboard.press("Enter")
        report = turned_to(connected, "report.html")
        connected.wait_for(report, "Could not be checked")
        assert elsewhere.asked == []
        report.get_by_role("button", name="Let aidetect read it").click()
        allow = turned_to(connected, "allow.html")
        allow.get_by_role(
            "button", name=f"Let aidetect read images of {elsewhere.address[7:]}"
        ).wait_for()
        assert not allow.get_by_role("button", name="Use a screenshot").is_visible()  # it is on no page
        allow.close()
        connected.keep(privacy="bytes")
        report.get_by_role("button", name="Let aidetect read it").wait_for()
        report.close()
        page.get_by_role("button", name="Check", exact=True).click()
        report = turned_to(connected, "report.html")
        connected.wait_for(report, *ANSWERS)
        assert elsewhere.asked == ["/image/34.jpg"]  # the server's request
        report.close()


def test_checks_under_way_are_shown_and_can_be_cancelled(connected: Chromium) -> None:
    connected.keep(server=f"http://127.0.0.1:{closed_port()}")
    with OwnPage(connected, "popup.html") as page:
        page.get_by_label("Address of an image").fill("http://127.0.0.1:9/35.jpg")
        page.keyboard.press("Enter")
        turned_to(connected, "report.html").close()
        page.get_by_text("The server does not answer. Trying again").wait_for()
        assert page.get_by_role("button", name="Look: 35.jpg").is_visible()
        page.get_by_role("button", name="Cancel: 35.jpg").click()
        page.get_by_role("heading", name="Under way").wait_for(state="hidden")


def test_a_report_in_full(connected: Chromium, stack: Stack, photograph: Path, tmp_path: Path) -> None:
    with OwnPage(connected, "popup.html") as page:
        hand_over(page, "drop", "body", photograph)
        report = turned_to(connected, "report.html")
        connected.wait_for(report, *ANSWERS)
    report.get_by_label("Strength of the heat map").wait_for()
    with report.expect_download() as download:
        report.get_by_role("button", name="Verdict (JSON)").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    label = Verdict.from_dict(json.loads(file.read_text("utf-8"))).label
    assert report.locator("article").get_attribute("data-label") == label
    assert file.name == f"{photograph.name}.verdict.json"
    report.get_by_role("button", name="Wrong?").click()
    report.get_by_label("Made by AI", exact=True).check()
    report.get_by_label("How do you know?").fill("I saw it made")
    report.get_by_label("Send the image too").check()
    report.get_by_role("button", name="Send the report").click()
    report.get_by_text("Thank you.").wait_for()
    report.get_by_role("button", name="Check again").click()
    report.get_by_text("Thank you.").wait_for(state="detached")
    report.get_by_role("button", name="Wrong?").wait_for()
    assert report.locator("article").count() == 1
    report.close()
