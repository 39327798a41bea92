""" "Check an image on this page…": what no right click reaches, in each browser."""

from .firefox import Firefox, FirefoxWindow
from .site import Site
from .window import ANSWERS, Window, jobs, wait, wait_for

PAGE = """
<div aria-label="A lake" style="width: 200px; height: 150px; background: url(/private/71.jpg)"></div>
<canvas id="canvas" aria-label="A drawing" width="200" height="150"></canvas>
<video id="video" aria-label="A film" muted></video>
"""
DRAW = """async () => {
    const context = canvas.getContext("2d");
    const draw = () => {
        context.fillStyle = `hsl(${Math.random() * 360} 80% 50%)`;
        context.fillRect(10 * Math.random(), 10 * Math.random(), 150, 100);
    };
    draw();
    setInterval(draw, 50);
    video.srcObject = canvas.captureStream();
    await video.play();
}"""
PICK = """async (name) => {
    const all = () => [...document.querySelectorAll("#images button")];
    const find = () => all().find((one) => one.textContent.includes(name));
    const pause = () => new Promise((over) => setTimeout(over, 50));
    for (const end = Date.now() + 90_000; !find() && Date.now() < end;) await pause();
    find().click();
}"""
POPUPS = """
const found = document.querySelectorAll(".webextension-popup-browser");
return [...found].map((one) => one.currentURI?.spec);
"""
FORGET = """async () => {
    const kept = await chrome.storage.session.get();
    if (Object.values(kept).some(({ map, view }) => map || view.state !== "done")) return false;
    await chrome.storage.session.clear();
    return true;
}"""
"""Not before all is over, which would keep itself again."""
CLOSE = "for (const panel of document.querySelectorAll('panel')) panel.hidePopup();"
DRAWN = "Redrawn by the browser: metadata is lost."
READ = {"A lake": "The file itself was checked.", "A drawing": DRAWN, "A film": DRAWN}


def close_popup(window: FirefoxWindow) -> None:
    """Once it is there."""
    popup = f"{window.firefox.root}pages/popup.html"
    wait(lambda: window.firefox.chrome(POPUPS) == [popup], lambda: str(window.firefox.chrome(POPUPS)))
    wait(lambda: window.firefox.chrome(CLOSE + POPUPS) == [])  # not while it still opens


def test_a_background_a_canvas_and_a_video_frame(window: Window, site: Site) -> None:
    page = site.page("/", PAGE)
    window.goto(page)
    window.js(DRAW)
    window.click("", "page")
    if isinstance(window, FirefoxWindow):
        close_popup(window)
    else:  # without a screen Chromium opens no popup, and the list comes in a tab
        window.turn_to("pages/popup.html?tab=")
    tab = window.extension(
        "async (page) => (await chrome.tabs.query({})).find((one) => one.url === page).id", page
    )
    for name, read in READ.items():
        open_list = "url => void chrome.tabs.create({ url: chrome.runtime.getURL(url) })"
        window.extension(open_list, f"pages/popup.html?tab={tab}")
        window.turn_to(f"pages/popup.html?tab={tab}")
        window.js(PICK, name)
        window.turn_to(page)
        wait(
            lambda: [job["view"]["state"] for job in jobs(window)] == ["done"],
            lambda: str(jobs(window)),
        )
        assert set(wait_for(window, *ANSWERS)) & {name, "71.jpg"}
        window.press("Details")
        assert read in wait_for(window, "How it was read")
        window.press("Remove this result")
        wait(lambda: not window.js("() => document.querySelector('[popover]') !== null"))
        wait(lambda: window.extension(FORGET), lambda: str(jobs(window)))
    assert not site.asked_by_server


def test_the_shortcut_of_firefox(firefox: Firefox, site: Site) -> None:
    window = FirefoxWindow(firefox)
    window.goto(site.page("/", '<img src="/image/72.jpg">'))
    window.shortcut("Alt", "Shift", "i")
    close_popup(window)
    window.close()
