"""The extension's pages as a person uses them, in Chromium, against the real server and model."""

import json
from pathlib import Path
from typing import Any

import pytest

from ..end_to_end.cards import UNCERTAIN, claimed, verdict
from ..end_to_end.stack import Stack, until
from ..sdk.origin import closed_port
from .chromium import Chromium
from .pages import MARKUP, NAMES, SEEN, OwnPage, clear, shown, tell, turned_to
from .site import Site


@pytest.fixture(autouse=True)
def nothing_kept(chromium: Chromium) -> None:
    clear(chromium)


def kept(chromium: Chromium) -> dict[str, Any]:
    found: dict[str, Any] = chromium.worker.evaluate("() => chrome.storage.local.get()")
    return found


def entry(name: str, made: dict[str, Any], at: str = "2026-01-02T03:04:05.678Z") -> dict[str, Any]:
    return {"at": at, "name": name, "verdict": made, "signature": None}


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
        until(lambda: kept(chromium).get("privacy") == "never" and kept(chromium)["history"] == 2)
        assert page.title() == "Opsi – aidetect" and page.inner_text("h1") == "Opsi"
        until(lambda: len(kept(chromium)["entries"]) == 2)
        page.get_by_label("Jumlah putusan dalam riwayat").fill("9999")
        page.keyboard.press("Tab")
        until(lambda: kept(chromium)["history"] == 500)
        assert page.input_value("#history") == "500"
        found = kept(chromium)
        assert (found["privacy"], found["history"], found["language"]) == ("never", 500, "id")
        page.reload()
        shown(page)
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
        assert page.get_attribute("html", "lang") == "id"
        texts = {node["name"]["value"] for node in chromium.nodes(page)}
        assert texts & indonesian
        assert not texts & (english - indonesian)
