"""What a person does on the page, and sees there."""

import base64
from pathlib import Path
from typing import Any

_DRAW = """async ([views, actions]) => {
    const language = document.documentElement.lang;
    const answer = await fetch(`/static/page/_locales/${language}/messages.json`);
    const t = aidetectCardText.translator(await answer.json(), language);
    const named = Object.fromEntries(actions.map((name) => [name, async () => {}]));
    document.getElementById("none").hidden = true;
    document.getElementById("cards").replaceChildren(...views.map((view) => {
        const card = aidetectCard.create({t, actions: named});
        const item = document.createElement("li");
        item.append(card.host);
        card.show(view);
        return item;
    }));
}"""
_ACTIONS = ["retry", "recheck", "cancel", "close", "choose", "connect", "editUrl", "download", "report"]


def choose(page: Any, *files: Path) -> None:
    """By the button and the browser's dialogue."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose images").click()
    chooser.value.set_files([str(file) for file in files])


def card(page: Any, name: str) -> Any:
    """The card of the image with this name."""
    return page.get_by_role("region", name=name)


def word(page: Any, name: str) -> str:
    """The word on its card, once the check is over."""
    page.locator("article:not([data-label=busy])", has=page.get_by_text(name)).first.wait_for()
    return str(card(page, name).locator("h3").inner_text())


def shown(page: Any) -> str:
    """The text of all cards, which the page's own text does not have."""
    return "\n".join(page.locator("article").all_inner_texts())


def draw(page: Any, *views: dict[str, Any]) -> None:
    """Shows cards of these views in place of results."""
    page.evaluate(_DRAW, [list(views), _ACTIONS])


def hand_over(page: Any, event: str, target: str, file: Path | None = None, text: str = "") -> None:
    """Drops or pastes a file, or a text, as the browser's own events carry them."""
    data = base64.b64encode(file.read_bytes()).decode() if file else ""
    page.evaluate(
        """([event, target, name, data, text]) => {
            const carried = new DataTransfer();
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            if (name) carried.items.add(new File([bytes], name, {type: "image/jpeg"}));
            if (text) carried.setData("text/plain", text);
            const made = event === "paste"
                ? new ClipboardEvent("paste", {clipboardData: carried, bubbles: true, cancelable: true})
                : new DragEvent(event, {dataTransfer: carried, bubbles: true, cancelable: true});
            document.querySelector(target).dispatchEvent(made);
        }""",
        [event, target, file.name if file else "", data, text],
    )
