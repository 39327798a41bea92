"""The card and the pages for everybody: colours, zoom, writing direction, screen readers, keyboard."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ..end_to_end.cards import UNCERTAIN, claimed, credentials, done, reason, verdict
from ..end_to_end.stack import until
from ..sdk.origin import Origin
from .chromium import Chromium
from .pages import OwnPage, clear, opened
from .scene import landscape
from .window import ANSWERS

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"media": {"color_scheme": "light"}},
    "dark": {"media": {"color_scheme": "dark"}},
    "forced": {"media": {"forced_colors": "active", "color_scheme": "dark"}},
    "zoomed": {"viewport": {"width": 550, "height": 450}},
    "right to left": {"dir": "rtl"},
}
"""Zoomed: at 200 % a window of 1100 × 900 has half as many pixels of CSS."""

SCENE = """<!doctype html><html lang="en" dir="{dir}"><meta name="color-scheme" content="light dark">
<title>A lake</title>
<style>body {{ font: 16px/1.5 "DejaVu Serif", serif; margin: 24px }} img {{ max-width: 100% }}</style>
<main><h1>A lake in the morning</h1><img src="/lake.jpg" alt="A lake">
<p><label>Comment <input></label></p></main></html>"""

VIEWS = [
    done("ai.jpg", verdict(label="ai", probability=0.93, reasons=[reason("ai_error_rate", rate=0.05)])),
    done("claimed.png", claimed(label="ai", decided_by="metadata", reasons=UNCERTAIN["conflict"])),
    done("signed.jpg", credentials("valid", "real")),
    done("unsure.jpg", verdict(label="uncertain", uncertain_because="flat", reasons=UNCERTAIN["flat"])),
    {"state": "failed", "name": "failed.jpg", "problem": {"code": "needs_permission"}},
    {"state": "queued", "name": "queued.jpg", "position": 3},
    {"state": "paused", "name": "paused.jpg", "paused": {"why": "limited", "seconds": 9}},
]

SHOW = """async ([tabId, views, language]) => {
    const files = ["card-text", "card-style", "card", "place"].map((name) => `inject/${name}.js`);
    const [{ result: page }] = await chrome.scripting.executeScript({ target: { tabId }, files });
    const file = await fetch(chrome.runtime.getURL(`_locales/${language}/messages.json`));
    const words = { messages: await file.json(), lang: language };
    for (const [at, view] of views.entries()) {
        const message = { type: "view", page, job: `shown ${at}`, at: at + 1, view, src: "", words };
        await chrome.tabs.sendMessage(tabId, message);
    }
}"""
"""The background's own message, so that there is a card of every kind."""

HOSTS = "[...document.querySelectorAll('[popover] > div')]"
ROOTS = f"{HOSTS}.map((one) => one.shadowRoot)"

FILL = """async ([local, session]) => {
    await chrome.storage.local.set(local);
    await chrome.storage.session.set(session);
}"""


@pytest.fixture(scope="module")
def lake() -> Any:
    """A site with one picture, which the project draws itself."""
    with Origin() as origin:
        origin.serve("/lake.jpg", landscape())
        yield origin


@pytest.fixture(autouse=True)
def nothing_kept(chromium: Chromium) -> None:
    clear(chromium)


def visit(tab: Any, lake: Origin, dir: str = "ltr") -> str:
    """The page with the lake; the address of its image."""
    page = SCENE.format(dir=dir).encode()
    lake.answers["/"] = lambda handler: handler.reply(page, headers={"Content-Type": "text/html"})
    tab.goto(lake.url("/"))
    return lake.url("/lake.jpg")


def put_on(tab: Any, look: str) -> None:
    tab.set_viewport_size(LOOKS[look].get("viewport", {"width": 1100, "height": 900}))
    tab.emulate_media(**LOOKS[look].get("media", {}))


def violations(tab: Any, axe: str) -> list[Any]:
    tab.evaluate(axe)
    found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found]


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_on_cards(
    chromium: Chromium, tab: Any, lake: Origin, axe: str, look: str, tmp_path: Path
) -> None:
    put_on(tab, look)
    visit(tab, lake, LOOKS[look].get("dir", "ltr"))
    number = opened(chromium, tab)
    chromium.worker.evaluate(SHOW, [number, VIEWS, "id" if look == "dark" else "en"])
    until(lambda: tab.evaluate(f"{HOSTS}.length") == len(VIEWS))
    for part in ("summary", "[data-action=report]"):
        tab.evaluate(f"{ROOTS}.forEach((root) => root.querySelector('{part}')?.click())")
    assert not violations(tab, axe)
    assert tab.evaluate(f"{HOSTS}.every((one) => one.scrollWidth <= one.clientWidth)")
    direction = "getComputedStyle(root.querySelector('h3')).direction"
    assert tab.evaluate(f"{ROOTS}.map((root) => {direction})") == ["ltr"] * len(
        VIEWS
    )  # as its words are
    tab.screenshot(path=tmp_path / "cards.png")


def test_axe_would_find_what_is_wrong(chromium: Chromium, tab: Any, lake: Origin, axe: str) -> None:
    visit(tab, lake)
    chromium.worker.evaluate(SHOW, [opened(chromium, tab), VIEWS[:1], "en"])
    until(lambda: tab.evaluate(f"{HOSTS}.length") == 1)
    tab.evaluate(f"{HOSTS}[0].shadowRoot.querySelector('button').removeAttribute('aria-label')")
    assert [name for name, _ in violations(tab, axe)] == ["button-name"]


@pytest.mark.parametrize("look", [look for look in LOOKS if look != "right to left"])
def test_axe_finds_nothing_on_pages(
    chromium: Chromium, tab: Any, lake: Origin, axe: str, look: str, tmp_path: Path
) -> None:
    visit(tab, lake)
    names = [
        "welcome.html", "options.html", "history.html", f"popup.html?tab={chromium.grant(tab)}",
        "report.html?entry=1", "report.html?job=1&job=2", "allow.html?job=1",
    ]  # fmt: skip
    for name in names:
        fill(chromium)
        with OwnPage(chromium, name) as page:
            put_on(page, look)
            assert not violations(page, axe), name
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            picture = tmp_path / f"{name.partition('.')[0]}.png"
            page.screenshot(path=picture, full_page=True)
            shade = np.asarray(Image.open(picture).convert("L"))[5, 5]
            assert (shade < 64) == (look in ("dark", "forced"))


def fill(chromium: Chromium) -> None:
    """Past verdicts, one check that failed and one that waits, for pages to show."""
    names = ["ai", "claimed", "signed", "unsure"]
    entries = [
        {"at": str(at), "name": f"{name}.jpg", "verdict": view["verdict"], "signature": "x"}
        for at, (name, view) in enumerate(zip(names, VIEWS, strict=False))
    ]
    job = {"tab": 1, "src": "https://example.org/a.jpg", "at": 9e15}
    jobs = {f"job:{at}": {"id": str(at), **job, "view": VIEWS[3 + at]} for at in (1, 2)}
    chromium.worker.evaluate(FILL, [{"entries": entries}, jobs])


def reading(chromium: Chromium, tab: Any) -> list[str]:
    """Role and name of everything in the order in which a screen reader comes to it."""
    session = tab.context.new_cdp_session(tab)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    by_id = {node["nodeId"]: node for node in nodes}
    found: list[str] = []

    def read(node: dict[str, Any]) -> None:
        name = node.get("name", {}).get("value", "")
        if not node.get("ignored") and name:
            found.append(f"{node['role']['value']} {name}")
        for child in node.get("childIds", []):
            if child in by_id:
                read(by_id[child])

    read(nodes[0])
    return found


def test_the_order_of_a_screen_reader(connected: Chromium, tab: Any, lake: Origin) -> None:
    src = visit(tab, lake)
    connected.click_image(tab, src)
    connected.wait_for(tab, *ANSWERS)
    connected.wait_for(tab, "Strength of the heat map")
    order = reading(connected, tab)
    wanted = [
        "heading A lake in the morning",
        "textbox Comment",
        "region lake.jpg",
        "button Remove this result",
        "heading",
        "image The image that was checked",
        "slider Strength of the heat map",
        "heading Evidence",
        "StaticText Pixels",
        "StaticText Content Credentials",
        "StaticText Metadata",
        "DisclosureTriangle Details",
        "button Check again",
        "button Full report",
        "button Wrong?",
    ]
    place = -1
    for part in wanted:
        found = [at for at, one in enumerate(order) if at > place and one.startswith(part)]
        assert found, (part, order)
        place = found[0]


def test_the_focus_stays_and_the_keyboard_reaches_the_card(
    connected: Chromium, tab: Any, lake: Origin
) -> None:
    src = visit(tab, lake)
    connected.click_image(tab, src)
    tab.get_by_label("Comment").focus()
    connected.wait_for(tab, *ANSWERS)
    tab.keyboard.type("still here")
    assert tab.get_by_label("Comment").input_value() == "still here"

    def focused() -> str:
        nodes = connected.nodes(tab)
        inside = [
            node["name"]["value"]
            for node in nodes
            if any(
                one["name"] == "focused" and one["value"]["value"] for one in node.get("properties", [])
            )
        ]
        return inside[-1] if inside else ""

    def tab_to(name: str) -> None:
        for _ in range(20):
            tab.keyboard.press("Tab")
            if focused() == name:
                return
        raise AssertionError(f"{name} is not reached; the focus is at {focused()}")

    connected.wait_for(tab, "Strength of the heat map")
    tab_to("Remove this result")
    tab_to("Strength of the heat map")
    tab_to("Wrong?")
    tab.keyboard.press("Enter")
    until(lambda: focused() == "Made by AI", focused)
    tab.keyboard.press("Escape")
    until(lambda: focused() == "Wrong?", focused)
    tab.keyboard.press("Escape")
    until(lambda: "Evidence" not in connected.words(tab))
    assert tab.get_by_label("Comment").input_value() == "still here"


def test_escape_closes_from_the_page_too(connected: Chromium, tab: Any, lake: Origin) -> None:
    connected.click_image(tab, visit(tab, lake))
    connected.wait_for(tab, *ANSWERS)
    tab.get_by_label("Comment").focus()
    tab.keyboard.press("Escape")
    until(lambda: "Evidence" not in connected.words(tab))


@pytest.mark.parametrize("look", LOOKS)
def test_how_a_verdict_looks(
    connected: Chromium, tab: Any, lake: Origin, look: str, tmp_path: Path
) -> None:
    """A real one, over the page that it is of; the picture is kept where pytest keeps its own."""
    put_on(tab, look)
    src = visit(tab, lake, LOOKS[look].get("dir", "ltr"))
    connected.click_image(tab, src)
    connected.wait_for(tab, *ANSWERS)
    connected.wait_for(tab, "Strength of the heat map")
    picture = tmp_path / "verdict.png"
    tab.screenshot(path=picture)
    box = tab.evaluate("document.querySelector('[popover]').getBoundingClientRect().toJSON()")
    window = tab.evaluate("[innerWidth, innerHeight]")
    assert box["left"] >= 0 and box["right"] <= window[0] and box["bottom"] <= window[1]
    pixels = np.asarray(Image.open(picture).convert("L"))
    inside = pixels[
        int(box["top"]) + 20 : int(box["top"]) + 60, int(box["left"]) + 60 : int(box["right"]) - 60
    ]
    assert (inside.mean() < 64) == (look in ("dark", "forced"))
