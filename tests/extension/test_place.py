"""The cards on a page, as the background tells of checks: in any order, and once they were closed."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from ..end_to_end.cards import done, verdict
from ..end_to_end.stack import until
from .chromium import Chromium
from .pages import clear, opened
from .site import Site

PLACE = """async (tabId) => {
    const files = ["card-text", "card-style", "card", "place"].map((name) => `inject/${name}.js`);
    return (await chrome.scripting.executeScript({ target: { tabId }, files }))[0].result;
}"""
TELL = """async ([tabId, page, job, at, view]) => {
    const file = await fetch(chrome.runtime.getURL("_locales/en/messages.json"));
    const words = { messages: await file.json(), lang: "en" };
    await chrome.tabs.sendMessage(tabId, { type: "view", page, job, at, view, src: "", words });
}"""
CARDS = "[...document.querySelectorAll('[popover] > div')].map((one) => one.shadowRoot)"
WORDS = f"{CARDS}.map((root) => root.querySelector('h3').textContent)"
DONE, QUEUED = done("a.jpg", verdict()), {"state": "queued", "name": "a.jpg", "position": 2}
ANSWER, WAITS = "Probably not AI-generated", "In the queue, 2 before it"


def heatmap() -> str:
    picture = io.BytesIO()
    Image.new("L", (16, 12), 200).save(picture, "PNG")
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()


HEATMAP = heatmap()


@pytest.fixture
def tell(chromium: Chromium, tab: Any, site: Site) -> Any:
    """`tell(job, at, view)`, as the background does."""
    clear(chromium)
    tab.goto(site.page("/", "<label>Comment <input></label>"))
    number = opened(chromium, tab)
    page = chromium.worker.evaluate(PLACE, number)
    return lambda *told: chromium.worker.evaluate(TELL, [number, page, *told])


def words(tab: Any, *wanted: str) -> None:
    until(lambda: tab.evaluate(WORDS) == list(wanted), lambda: str(tab.evaluate(WORDS)))


def test_what_comes_late_is_passed_over(tab: Any, tell: Any) -> None:
    tell("a", 20, DONE)
    tell("a", 10, QUEUED)
    tell("b", 1, QUEUED)  # has come, and so what was told before it
    words(tab, WAITS, ANSWER)


def test_a_card_that_was_closed_comes_back_for_another_check_alone(tab: Any, tell: Any) -> None:
    tell("a", 20, DONE)
    words(tab, ANSWER)
    tab.get_by_label("Comment").focus()
    tab.keyboard.press("Escape")
    words(tab)
    tell("a", 20, DONE)  # as when another check's card asks how all stand
    tell("a", 21, {**DONE, "heatmap": HEATMAP})
    tell("b", 1, DONE)
    words(tab, ANSWER)
    tell("a", 22, QUEUED)
    words(tab, WAITS, ANSWER)


def test_a_card_that_was_cancelled_does_not_come_back(tab: Any, tell: Any) -> None:
    tell("a", 20, QUEUED)
    words(tab, WAITS)
    tab.evaluate(f"{CARDS}[0].querySelector('[data-action=cancel]').click()")
    words(tab)
    tell("a", 21, DONE)
    tell("b", 1, QUEUED)
    words(tab, WAITS)


def test_the_heat_map_comes_later_and_takes_nothing_away(tab: Any, tell: Any) -> None:
    """Neither what was opened nor what was typed."""
    tell("a", 20, DONE)
    words(tab, ANSWER)
    for part in ("summary", "[data-action=report]"):
        tab.evaluate(f"{CARDS}[0].querySelector('{part}').click()")
    tab.evaluate(f"{CARDS}[0].querySelector('textarea').value = 'I saw it made'")
    tell("a", 21, {**DONE, "heatmap": HEATMAP})
    until(lambda: tab.evaluate(f"{CARDS}[0].querySelector('figcaption input') !== null"))
    parts = {"details": "open", "form": "hidden", "textarea": "value"}
    kept = [tab.evaluate(f"{CARDS}[0].querySelector('{part}').{of}") for part, of in parts.items()]
    assert kept == [True, False, "I saw it made"]
    tell("a", 22, {**DONE, "heatmap": HEATMAP})
    tell("b", 1, QUEUED)
    words(tab, WAITS, ANSWER)
    assert tab.evaluate(f"{CARDS}[1].querySelectorAll('figure canvas').length") == 1
