"""The extension's pages as a person uses them, in Chromium, against the real server and model."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from aidetect import Verdict

from ..end_to_end.cards import UNCERTAIN, claimed, verdict
from ..end_to_end.looking import hand_over
from ..end_to_end.stack import Stack, until
from ..sdk.origin import closed_port
from .chromium import Chromium
from .pages import NAMES, OwnPage, Popup, clear, tab_id
from .site import Site, picture
from .window import ANSWERS

MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>\u202egnp'
SEEN = MARKUP.replace("\u202e", "\ufffd")


@pytest.fixture(autouse=True)
def nothing_kept(chromium: Chromium) -> None:
    clear(chromium)


def kept(chromium: Chromium) -> dict[str, Any]:
    found: dict[str, Any] = chromium.worker.evaluate("() => chrome.storage.local.get()")
    return found


def entry(name: str, made: dict[str, Any], at: str = "2026-01-02T03:04:05.678Z") -> dict[str, Any]:
    return {"at": at, "name": name, "verdict": made, "signature": None}


def tell(page: Any, told: str, text: str) -> None:
    """Waits until the page says this there."""
    until(lambda: text in page.inner_text(told), lambda: page.inner_text(told))


def turned_to(chromium: Chromium, part: str) -> Any:
    """The tab that was opened with this in its address."""

    def found() -> list[Any]:
        chromium.context.pages[0].wait_for_timeout(20)  # lets playwright hear of new tabs
        return [page for page in chromium.context.pages if part in page.url]

    until(found, lambda: str([page.url for page in chromium.context.pages]))
    return found()[-1]


def test_the_first_page_pairs_with_this_computer(chromium: Chromium, stack: Stack) -> None:
    """`aidetect up` listens at port 8787 unless it is told otherwise; here its port stands for that."""

    def there(route: Any) -> None:
        address = route.request.url.replace("http://127.0.0.1:8787/", stack.address)
        headers = route.request.headers
        route.fulfill(response=route.fetch(url=address, headers=headers))

    with OwnPage(chromium, "welcome.html", "http://127.0.0.1:8787", "https://127.0.0.1:8787") as page:
        page.route("http://127.0.0.1:8787/**", there)
        assert "nothing is read and nothing is sent" in page.inner_text("main")
        page.get_by_label("Pairing code", exact=True).fill("12")
        page.keyboard.press("Enter")
        tell(page, "#paired", "neither a key nor a six-digit code")
        page.get_by_label("Pairing code", exact=True).fill(stack.pairing_code())
        page.keyboard.press("Enter")
        tell(page, "#paired", "Connected to 127.0.0.1:8787: aidetect")
        assert kept(chromium)["server"] == "http://127.0.0.1:8787" and len(kept(chromium)["key"]) == 56


def test_the_first_page_connects_to_another_server(chromium: Chromium, stack: Stack) -> None:
    with OwnPage(chromium, "welcome.html", stack.address) as page:
        page.get_by_label("Address", exact=True).fill(stack.address)
        page.locator("#secret").fill(stack.key)
        page.keyboard.press("Enter")
        tell(page, "#told", f"Connected to 127.0.0.1:{stack.port}: aidetect")
        assert page.input_value("#secret") == ""
    assert kept(chromium)["key"] == stack.key


def test_what_is_wrong_with_a_connection_is_said(chromium: Chromium, stack: Stack, site: Site) -> None:
    silent = f"127.0.0.1:{closed_port()}"
    other = site.page("/", "").rstrip("/")
    here, wrong = stack.address.rstrip("/"), "0" * 12 + "." + "A" * 43
    cases = [
        ("two words", stack.key, "This is not the address of a server."),
        (here, "12345", "This is neither a key nor a six-digit code."),
        (here, "", "Give the key or the pairing code."),
        (here, wrong, "The server does not know this key, or no longer."),
        (here, "123 456", "The code is wrong, used or too old."),
        (here, stack.new_key(scopes=("metrics",)), "it may not check images"),
        (silent, stack.key, f"Nothing answers at {silent}."),
        (other, stack.key, f"Something answers at {other[7:]}, but it is not aidetect."),
        (here.replace("http:", "https:"), stack.key, f"aidetect answers at {here}."),
    ]
    servers = [
        f"{scheme}://{host}" for scheme in ("http", "https") for host in (silent, other[7:], here[7:])
    ]
    with OwnPage(chromium, "options.html", *servers) as page:
        for address, secret, words in cases:
            page.get_by_label("Address", exact=True).fill(address)
            page.get_by_label("Key or pairing code").fill(secret)
            page.get_by_role("button", name="Connect and test").click()
            tell(page, "#told", words)
            assert "bad" in (page.get_attribute("#told", "class") or "")
        assert not kept(chromium)
        page.get_by_label("Address", exact=True).fill(here)
        page.get_by_label("Key or pairing code").fill(stack.key)
        page.keyboard.press("Enter")
        tell(page, "#told", f"Connected to {here[7:]}: aidetect")
        assert kept(chromium)["maxBytes"] == 20_000_000
        page.get_by_role("button", name="Connect and test").click()  # with the key that is kept
        tell(page, "#told", f"Connected to {here[7:]}: aidetect")
        page.get_by_role("button", name="Forget the key").click()
        tell(page, "#told", "The key was forgotten here.")
        assert kept(chromium)["key"] == ""


def test_options_are_kept_as_they_are_changed(chromium: Chromium) -> None:
    chromium.keep(entries=[entry(str(n), verdict(), f"2026-01-0{n}T00:00:00Z") for n in (3, 2, 1)])
    with OwnPage(chromium, "options.html") as page:
        assert page.get_by_label("The image itself, as the browser reads it").is_checked()
        page.get_by_label("Only ever the image itself").check()
        page.get_by_label("Verdicts kept in the history").fill("2")
        page.keyboard.press("Tab")
        page.get_by_label("Language").select_option("id")
        page.wait_for_selector("html[lang=id]")
        assert page.title() == "Opsi – aidetect" and page.inner_text("h1") == "Opsi"
        until(lambda: len(kept(chromium)["entries"]) == 2)
        page.get_by_label("Jumlah putusan dalam riwayat").fill("9999")
        page.keyboard.press("Tab")
        assert page.input_value("#history") == "500"
        found = kept(chromium)
        assert (found["privacy"], found["history"], found["language"]) == ("never", 500, "id")
        page.reload()
        page.wait_for_selector("body:not([hidden])")
        assert page.get_by_label("Selalu hanya gambarnya").is_checked()


def test_sites_that_may_be_read_are_shown_and_taken_back(chromium: Chromium) -> None:
    """Chromium without a screen grants none, so that its list stands in here."""
    with OwnPage(chromium, "options.html") as page:
        assert "None. You are asked" in page.inner_text("main")
        page.add_init_script("""
            const origins = ["https://one.example/*", "https://two.example/*"];
            chrome.permissions.getAll = async () => ({ origins: [...origins] });
            const changed = [];
            chrome.permissions.onRemoved.addListener = (listener) => changed.push(listener);
            chrome.permissions.remove = async ({ origins: [gone] }) => {
                origins.splice(origins.indexOf(gone), 1);
                for (const listener of changed) listener();
            };
        """)
        page.reload()
        page.get_by_role("button", name="Take back: https://one.example").click()
        page.get_by_text("https://one.example").wait_for(state="detached")
        assert page.get_by_text("https://two.example").is_visible()


def test_the_popup_lists_the_page_s_images_and_checks_one(
    connected: Chromium, tab: Any, site: Site
) -> None:
    tab.goto(site.page("/", '<img src="/image/21.jpg" alt="A lake"><img src="/image/22.jpg" alt="">'))
    popup = Popup(connected, tab)
    until(lambda: popup.js("document.querySelectorAll('#images li').length") == 2)
    assert "A lake" in popup.js("document.querySelector('#images').innerText")
    assert "320 × 240 pixels" in popup.js("document.querySelector('#images').innerText")
    assert popup.js("document.body.offsetWidth") == 400
    assert 400 <= popup.js("document.documentElement.scrollWidth") <= popup.js("innerWidth")
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
    connected.grant(tab)
    address = f"popup.html?tab={tab_id(connected, tab)}"
    with OwnPage(connected, address) as page:
        page.get_by_role("button", name="Background").wait_for()
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
    report.get_by_role("button", name="Wrong?").wait_for()
    assert report.locator("article").count() == 1
    report.close()


def test_history_is_shown_again_removed_and_cleared(chromium: Chromium) -> None:
    made = [
        entry(MARKUP, claimed(label="ai", decided_by="metadata"), "2026-01-03T03:04:05.000Z"),
        entry("two.jpg", verdict(), "2026-01-02T03:04:05.000Z"),
        entry(
            "three.jpg", verdict(label="uncertain", uncertain_because="flat", reasons=UNCERTAIN["flat"])
        ),
    ]
    chromium.keep(entries=made)
    with OwnPage(chromium, "history.html") as page:
        assert page.locator("#entries bdi").all_inner_texts() == [SEEN, "two.jpg", "three.jpg"]
        assert page.locator("#entries .label").all_inner_texts() == ["AI", "Not AI", "Uncertain"]
        assert page.locator("#entries b").count() == 0 and page.title() == "History – aidetect"
        page.get_by_role("button", name="Show again").first.click()
        report = turned_to(chromium, "report.html?entry=")
        words = chromium.wait_for(report, "Probably AI-generated")
        assert SEEN in words and "From the history of this browser." not in report.title()
        assert (
            report.title() == f"{SEEN} – aidetect" and report.locator("b", has_text="bold").count() == 0
        )
        report.close()
        page.get_by_role("button", name="Remove: two.jpg").click()
        page.get_by_text("two.jpg").wait_for(state="detached")
        assert page.evaluate("document.activeElement.textContent") == "Show again"
        assert [one["name"] for one in kept(chromium)["entries"]] == [MARKUP, "three.jpg"]
        page.get_by_role("button", name="Clear the history").click()
        page.get_by_text("The history is empty.").wait_for()
        assert kept(chromium)["entries"] == []


def test_what_is_no_longer_kept_is_said(chromium: Chromium) -> None:
    for name in ("report.html?job=gone", "report.html?entry=gone", "allow.html?job=gone"):
        with OwnPage(chromium, name) as page:
            page.get_by_text("This check is no longer kept.").wait_for()
            assert not page.get_by_role("button", name="Let aidetect").is_visible()


@pytest.mark.parametrize("name", NAMES)
def test_every_page_speaks_the_other_language(chromium: Chromium, root: Path, name: str) -> None:
    chromium.keep(language="id", entries=[entry("satu.jpg", verdict())])
    folder = root / "extension" / "_locales"
    english, indonesian = (
        {
            one["message"]
            for one in json.loads((folder / lang / "messages.json").read_text("utf-8")).values()
        }
        for lang in ("en", "id")
    )
    with OwnPage(chromium, f"{name}.html?entry=2026-01-02T03%3A04%3A05.678Z") as page:
        page.wait_for_selector("html[lang=id]")
        page.wait_for_timeout(100)
        texts = {node["name"]["value"] for node in chromium.nodes(page)}
        assert texts & indonesian
        assert not texts & (english - indonesian)
