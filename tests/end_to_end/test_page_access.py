"""The page for everybody: keyboard alone, screen readers, contrast, colours forced, small screens."""

from pathlib import Path
from typing import Any

import pytest

from .cards import UNCERTAIN, claimed, credentials, done, reason, verdict
from .conftest import open_page
from .looking import card, choose, draw, word
from .stack import Stack, until

Pictures = dict[str, Path]

VIEWS = [
    done("ai.jpg", verdict(label="ai", probability=0.93, reasons=[reason("ai_error_rate", rate=0.05)])),
    done("claimed.png", claimed(label="ai", decided_by="metadata", reasons=UNCERTAIN["conflict"])),
    done("real.jpg", credentials("valid", "real")),
    done("unsure.jpg", verdict(label="uncertain", uncertain_because="flat", reasons=UNCERTAIN["flat"])),
    {"state": "failed", "name": "failed.jpg", "problem": {"code": "corrupt_image"}},
    {"state": "queued", "name": "queued.jpg", "position": 3},
    {"state": "paused", "name": "paused.jpg", "paused": {"why": "limited", "seconds": 9}},
]
MOVING = "document.querySelector('#cards div').shadowRoot.getAnimations().length"
LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced": {"forced_colors": "active"},
    "phone": {"viewport": {"width": 360, "height": 640}, "color_scheme": "dark"},
    "zoomed": {"viewport": {"width": 550, "height": 450}, "device_scale_factor": 2},
}


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing(browser: Any, stack: Stack, axe: str, look: str) -> None:
    # bypass_csp: axe-core is put into the page here, which the page's policy forbids.
    with open_page(browser, stack.page, bypass_csp=True, **LOOKS[look]) as page:
        page.get_by_role("button", name="Choose images").wait_for()
        draw(page, *VIEWS)
        page.get_by_role("button", name="Wrong?").first.click()
        for summary in page.locator("summary").all():
            summary.click()
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        assert not [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_axe_finds_what_is_wrong(browser: Any, stack: Stack, axe: str) -> None:
    with open_page(browser, stack.page, bypass_csp=True) as page:
        draw(page, *VIEWS)
        page.evaluate("""document.querySelector('#cards div').shadowRoot
            .querySelector('button').removeAttribute('aria-label')""")
        page.evaluate(axe)
        found = page.evaluate("axe.run(document)")["violations"]
        assert [one["id"] for one in found] == ["button-name"]


def test_axe_on_the_way_in(browser: Any, stack: Stack, axe: str) -> None:
    with open_page(browser, stack.address, bypass_csp=True) as page:
        page.get_by_label("Key or pairing code").wait_for()
        page.evaluate(axe)
        assert not page.evaluate("axe.run(document)")["violations"]


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page: Any) -> str:
    """The accessible name, or the text, of what has the focus, also inside of a card."""
    return str(
        page.evaluate("""() => {
            let at = document.activeElement;
            while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
            const label = at.getAttribute("aria-label") || at.labels?.[0]?.textContent || at.textContent;
            return label.trim();
        }""")
    )


def tab_to(page: Any, name: str, key: str = "Tab") -> None:
    for _ in range(60):
        press(page, key)
        if focused(page) == name:
            return
    raise AssertionError(f"{name} is not reached; the focus is at {focused(page)}")


def test_all_of_it_by_the_keyboard_alone(page: Any, stack: Stack, pictures: Pictures) -> None:
    page.get_by_role("button", name="Choose images").wait_for()
    press(page, "Tab")
    until(lambda: focused(page) == "Skip to the results")
    tab_to(page, "Choose images")
    with page.expect_file_chooser() as chooser:
        press(page, "Enter")
    chooser.value.set_files(str(pictures["photo"]))
    word(page, "photo.jpg")
    card(page, "photo.jpg").get_by_label("Strength of the heat map").wait_for()
    assert focused(page) == "Choose images"  # an answer takes nobody's place away
    tab_to(page, "Remove this result")
    tab_to(page, "Strength of the heat map")
    press(page, "End")
    tab_to(page, "Details")
    press(page, "Enter")
    tab_to(page, "Wrong?")
    press(page, "Enter")
    assert focused(page) == "Made by AI"
    press(page, "ArrowDown", "Tab", "h", "i", "Escape")
    assert focused(page) == "Wrong?"
    press(page, "Enter", "Tab")
    assert page.get_by_label("How do you know?").input_value() == "hi"
    tab_to(page, "Send the report")
    press(page, "Enter")
    page.get_by_text("Thank you.").wait_for()
    tab_to(page, "Remove this result", "Shift+Tab")
    press(page, "Escape")
    page.locator("#cards li").wait_for(state="detached")
    tab_to(page, "History")
    press(page, "Enter")
    tab_to(page, "Show again: photo.jpg")
    press(page, "Enter")
    assert word(page, "photo.jpg") == "Probably not AI-generated"


def test_what_a_screen_reader_reads(page: Any, pictures: Pictures) -> None:
    choose(page, pictures["claimed_flat"])
    word(page, "claimed_flat.png")
    tree = page.get_by_role("region", name="claimed_flat.png Probably AI-generated").aria_snapshot()
    order = [
        "claimed_flat.png",
        'button "Remove this result"',
        "status:",
        'heading "Probably AI-generated" [level=3]',
        "The file itself says that AI made it.",
        'img "The image that was checked"',
        'heading "Evidence" [level=4]',
        "Pixels",
        "Content Credentials",
        "Metadata",
        'button "Check again"',
        'button "Wrong?"',
    ]
    places = [tree.find(part) for part in order]
    assert places == sorted(places) and places[0] >= 0, tree
    page.get_by_role("main").wait_for()
    headings = page.get_by_role("heading").all_inner_texts()
    assert headings[:2] == ["Was this image made by AI?", "Results"]


def test_a_change_is_announced_once_and_politely(page: Any) -> None:
    draw(page, {"state": "analysing", "name": "a.jpg"})
    shown = page.get_by_role("region", name="a.jpg")
    status = shown.get_by_role("status")
    assert status.inner_text() == "Looking at the image"
    assert status.get_attribute("aria-live") in (None, "polite")
    assert (
        page.get_by_role("region", name="a.jpg").locator("[aria-live=assertive], [role=alert]").count()
        == 0
    )


@pytest.mark.parametrize("look", LOOKS)
def test_how_it_looks(browser: Any, stack: Stack, pictures: Pictures, tmp_path: Path, look: str) -> None:
    """Draws the page in each look with real verdicts; the picture is kept where pytest keeps its own."""
    with open_page(browser, stack.page, **LOOKS[look]) as page:
        choose(page, pictures["photo"], pictures["claimed_flat"], pictures["broken"])
        for name in ("photo.jpg", "claimed_flat.png", "broken.jpg"):
            word(page, name)
        page.get_by_label("Strength of the heat map").first.wait_for()
        picture = tmp_path / f"{look}.png"
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 20_000


def test_nothing_moves_where_motion_is_not_wanted(browser: Any, stack: Stack) -> None:
    with open_page(browser, stack.page, reduced_motion="reduce") as page:
        draw(page, {"state": "analysing", "name": "a.jpg"})
        assert page.evaluate(MOVING) == 0
    with open_page(browser, stack.page) as page:
        draw(page, {"state": "analysing", "name": "a.jpg"})
        assert page.evaluate(MOVING) > 0
