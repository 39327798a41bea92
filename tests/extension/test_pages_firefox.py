"""The extension's pages in Firefox: the way from the first page to a report."""

import base64

from ..end_to_end.stack import Stack
from .firefox import Firefox, FirefoxWindow
from .pages import NAMES
from .site import picture
from .window import ANSWERS, CLEAR, wait, wait_for

DROP = """(data) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
    const event = { dataTransfer: carried, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new DragEvent("drop", event));
}"""


def test_from_the_first_page_to_a_report(firefox: Firefox, stack: Stack) -> None:
    window = FirefoxWindow(firefox)
    window.extension(CLEAR)
    for name in NAMES:
        window.goto(f"{firefox.root}pages/{name}.html")
        wait(lambda: window.js("() => !document.body.hidden && document.title.endsWith(' – aidetect')"))
    window.goto(f"{firefox.root}pages/welcome.html")
    wait(lambda: window.js("() => !document.body.hidden"))
    window.js(
        """([address, key]) => {
            document.getElementById("address").value = address;
            document.getElementById("secret").value = key;
            document.getElementById("secret").focus();
        }""",
        [stack.address, stack.key],
    )
    window.key("Enter")
    wait_for(window, f"Connected to 127.0.0.1:{stack.port}: aidetect")
    window.goto(f"{firefox.root}pages/popup.html")
    wait_for(window, "The browser lets no extension look into this page.")
    window.js(DROP, base64.b64encode(picture(60)).decode())
    window.turn_to("report.html")
    words = wait_for(window, *ANSWERS)
    assert "dropped.jpg" in words and "Verdict (JSON)" in words
    window.close()
