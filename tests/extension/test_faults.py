"""The right click where things go wrong, or the person does something else meanwhile."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..end_to_end.stack import Stack
from ..sdk.origin import closed_port
from .firefox import Firefox, FirefoxWindow
from .site import Site
from .window import ANSWERS, Window, check, jobs, keep, wait, wait_for

WRONG = "0" * 12 + "." + "A" * 43
BADGE = "() => chrome.action.getBadgeText({})"


@contextmanager
def worker_at_rest(stack: Stack) -> Iterator[None]:
    """Checks stay in the queue meanwhile."""
    found = stack.parts("aidetect worker")
    assert found
    for id in found:
        os.kill(id, signal.SIGSTOP)
    try:
        yield
    finally:
        for id in found:
            os.kill(id, signal.SIGCONT)


def test_a_wrong_key_leads_to_connecting_and_then_the_check_goes_on(
    window: Window, site: Site, stack: Stack
) -> None:
    keep(window, key=WRONG)
    page = site.page("/", '<img src="/image/31.jpg">')
    window.goto(page)
    window.click(f"{site.address}/image/31.jpg")
    words = wait_for(window, "Could not be checked")
    assert "The server does not know this key, or no longer." in words
    window.press("Connect")
    window.turn_to("pages/options.html")
    keep(window, key=stack.key)
    window.turn_to(page)
    wait_for(window, *ANSWERS)


def test_a_server_that_is_away_is_waited_for(window: Window, site: Site, stack: Stack) -> None:
    keep(window, server=f"http://127.0.0.1:{closed_port()}")
    window.goto(site.page("/", '<img src="/image/32.jpg">'))
    window.click(f"{site.address}/image/32.jpg")
    wait_for(window, "The server does not answer. Trying again")
    wait(lambda: window.extension(BADGE) == "1")
    keep(window, server=stack.address.rstrip("/"))
    wait_for(window, *ANSWERS)
    wait(lambda: window.extension(BADGE) == "")


def test_a_network_that_is_away_is_waited_for(firefox: Firefox, site: Site, stack: Stack) -> None:
    """In Firefox alone: Chromium's protocol does not take a service worker's network away."""
    window = FirefoxWindow(firefox)
    window.goto(site.page("/", '<img src="/image/40.jpg">'))
    window.js("() => document.images[0].decode()")
    keep(window, server="http://aidetect.test", key=stack.key)
    with window.offline():
        window.click(f"{site.address}/image/40.jpg")
        wait_for(window, "This device has no network. Going on once it is back.")
        keep(window, server=stack.address.rstrip("/"))
        wait_for(window, *ANSWERS)  # a server on this device needs none
    window.close()


def test_a_limit_is_waited_out_for_as_long_as_the_server_says(
    window: Window, site: Site, stack: Stack
) -> None:
    """Or until there is another key."""
    keep(window, key=stack.new_key(limit="1/1 day"))
    window.goto(site.page("/", '<img src="/image/33.jpg"><img src="/image/34.jpg">'))
    for number in (33, 34):
        window.click(f"{site.address}/image/{number}.jpg")
    words = wait_for(window, told := "Too many requests for this key. Going on in ")
    wait(lambda: "Try now" in window.words())
    seconds = [re.sub(r"\D", "", word) for word in words if word.startswith(told)]
    assert max(int(one or 0) for one in seconds) > 20
    keep(window, key=stack.key)
    wait(
        lambda: [job["view"]["state"] for job in jobs(window)] == ["done", "done"],
        lambda: str(jobs(window)),
    )


def test_an_image_that_goes_away_during_its_check(window: Window, site: Site, stack: Stack) -> None:
    window.goto(site.page("/", '<img src="/image/35.jpg">'))
    with worker_at_rest(stack):
        window.click(f"{site.address}/image/35.jpg")
        wait_for(window, "In the queue")
        window.js("() => document.images[0].remove()")
    wait_for(window, *ANSWERS)


def test_a_page_that_is_left_during_a_check(window: Window, site: Site, stack: Stack) -> None:
    """The next page of the tab is shown nothing. The verdict is in the history, and on the page if the
    browser brings that back as it was."""
    first = site.page("/", '<img src="/image/36.jpg">')
    window.goto(first)
    with worker_at_rest(stack):
        window.click(f"{site.address}/image/36.jpg")
        wait_for(window, "In the queue")
        window.goto(site.page("/next", '<img src="/image/37.jpg">'))
        window.click(f"{site.address}/image/37.jpg")
        assert "36.jpg" not in wait_for(window, "In the queue")
        wait(lambda: window.extension(BADGE) == "2")
    words = wait_for(window, *ANSWERS)
    assert "37.jpg" in words and "36.jpg" not in words
    wait(lambda: window.extension(BADGE) == "")
    kept = window.extension("() => chrome.storage.local.get('entries')")["entries"]
    assert {entry["name"] for entry in kept} == {"36.jpg", "37.jpg"}
    if window.name == "firefox":  # playwright switches that off in Chromium
        window.js("() => { history.back(); }")
        wait(lambda: "36.jpg" in (words := window.words()) and set(words) & set(ANSWERS))


def test_a_check_is_cancelled_here_and_at_the_server(window: Window, site: Site, stack: Stack) -> None:
    window.goto(site.page("/", '<img src="/image/38.jpg">'))
    with worker_at_rest(stack):
        window.click(f"{site.address}/image/38.jpg")
        wait_for(window, "In the queue")
        [job] = jobs(window)
        window.press("Cancel")
        wait(lambda: not jobs(window))
        wait(lambda: window.extension(BADGE) == "")
        wait(lambda: not window.js("() => document.querySelector('[popover]') !== null"))
        ask = """async ([url, key]) => {
            const { status } = await fetch(url, { headers: { Authorization: `Bearer ${key}` } });
            return status;
        }"""
        given = [f"{stack.address}v1/checks/{job['check']}", stack.key]
        wait(lambda: window.extension(ask, given) == 404)


def test_a_re_check_asks_for_the_address_anew(window: Window, site: Site, elsewhere: Site) -> None:
    """A second check of an address is answered from what is known of it; "Check again" is not."""
    src = f"{elsewhere.address}/image/39.jpg"
    check(window, site.page("/", f'<img src="{src}">'), src)
    window.click(src)
    wait(lambda: [job["view"]["state"] for job in jobs(window)] == ["done", "done"])
    assert elsewhere.asked_by_server == ["/image/39.jpg"]
    window.press("Check again")
    wait(lambda: any(job["fresh"] and job["view"]["state"] == "done" for job in jobs(window)))
    assert elsewhere.asked_by_server == 2 * ["/image/39.jpg"]


def test_a_wrong_verdict_is_reported_with_the_image_where_the_person_wants_that(
    window: Window, site: Site, stack: Stack, tmp_path: Path
) -> None:
    number = {"chromium": 41, "firefox": 42}[window.name]
    src = f"{site.address}/image/{number}.jpg"
    check(window, site.page("/", f'<img src="{src}">'), src)
    window.press("Wrong?")
    window.press("Not made by AI")
    window.press("Send the image too, so that the operator can look at it")
    window.press("Send the report")
    wait_for(window, "Thank you.")
    command = [sys.executable, "-m", "aidetect", "reports", "export", "--format", "json", "--images"]
    said = subprocess.run(
        [*command, str(tmp_path)], env=stack.environ, check=True, capture_output=True, timeout=120
    ).stdout
    [job] = jobs(window)
    sha256 = job["view"]["verdict"]["image"]["sha256"]
    [report] = [one for one in map(json.loads, said.splitlines()) if one["sha256"] == sha256]
    assert report["label"] == "real" and report["has_image"]
    assert any(
        file.stat().st_size == job["view"]["verdict"]["image"]["bytes"] for file in tmp_path.iterdir()
    )
