"""Right click, "Check image", in Chromium: from the click to the verdict on the page."""

from typing import Any

import pytest

from .chromium import ANSWERS, Chromium
from .site import Site


def check(chromium: Chromium, page: Any, address: str, src: str) -> list[str]:
    """Opens the page, asks for the image; the page's words with the verdict."""
    page.goto(address)
    chromium.click_image(page, src)
    return chromium.wait_for(page, *ANSWERS)


def test_nothing_is_there_until_the_person_asks(connected: Chromium, tab: Any, site: Site) -> None:
    """No script, no element and no request of the extension on a page that nobody asked about."""
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(site.page("/", '<img src="/image/1.jpg">'))
    tab.wait_for_timeout(500)
    assert {url.removeprefix(site.address) for url in requests} <= {"/", "/image/1.jpg", "/favicon.ico"}
    assert tab.evaluate("document.documentElement.childElementCount") == 2


def test_an_image_of_the_page_s_own_site_behind_a_cookie(
    connected: Chromium, tab: Any, site: Site
) -> None:
    words = check(
        connected, tab, site.page("/", '<img src="/private/2.jpg">'), f"{site.address}/private/2.jpg"
    )
    assert "2.jpg" in words and "Pixels" in words
    assert any("chance of AI" in word for word in words)


def test_an_image_of_another_site_is_fetched_by_the_server(
    connected: Chromium, tab: Any, site: Site, elsewhere: Site
) -> None:
    src = f"{elsewhere.address}/image/3.jpg"
    check(connected, tab, site.page("/", f'<img src="{src}">'), src)
    assert elsewhere.asked.count("/image/3.jpg") >= 2  # the page's own request and the server's


def test_an_address_that_refuses_the_server_offers_what_is_left(
    connected: Chromium, tab: Any, site: Site, elsewhere: Site
) -> None:
    """The server has no cookie, and the canvas is tainted: permission for the site, or a screenshot."""
    elsewhere.page("/", "")
    src = f"{elsewhere.address}/private/4.jpg"
    tab.goto(elsewhere.address + "/")
    tab.goto(site.page("/", f'<img src="{src}" alt="x">'))
    connected.click_image(tab, src)
    words = connected.wait_for(tab, "Could not be checked")
    assert {"Let aidetect read it", "Use a screenshot"} <= set(words)


def test_addresses_are_never_sent_where_that_was_chosen(
    connected: Chromium, tab: Any, site: Site, elsewhere: Site
) -> None:
    connected.keep(privacy="never")
    src = f"{elsewhere.address}/image/5.jpg"
    tab.goto(site.page("/", f'<img src="{src}">'))
    shown = elsewhere.asked.count("/image/5.jpg")
    connected.click_image(tab, src)
    words = connected.wait_for(tab, "Could not be checked")
    assert "Let aidetect read it" in words
    asked_again = elsewhere.asked.count("/image/5.jpg") - shown
    assert asked_again <= 1  # what the page itself tried, and its browser did not let it read


@pytest.mark.parametrize("kind", ["data", "blob"])
def test_an_image_without_an_address_of_the_web(
    connected: Chromium, tab: Any, site: Site, kind: str
) -> None:
    tab.goto(site.page("/", '<img id="it">'))
    src = tab.evaluate(
        """async ([kind, url]) => {
            const blob = await (await fetch(url)).blob();
            const reader = new FileReader();
            const read = new Promise((done) => { reader.onload = () => done(reader.result); });
            reader.readAsDataURL(blob);
            const src = kind === "blob" ? URL.createObjectURL(blob) : await read;
            document.getElementById("it").src = src;
            return src;
        }""",
        [kind, "/image/6.jpg"],
    )
    connected.click_image(tab, src)
    connected.wait_for(tab, *ANSWERS)


def test_the_largest_version_is_checked_and_that_is_said(
    connected: Chromium, tab: Any, site: Site
) -> None:
    body = '<img src="/image/7.jpg" srcset="/image/7.jpg 320w, /image/9.jpg 640w" sizes="160px">'
    words = check(connected, tab, site.page("/", body), f"{site.address}/image/7.jpg")
    assert "/image/9.jpg" in site.asked
    assert "Details" in words


def test_a_page_that_lets_nothing_in_shows_the_card(connected: Chromium, tab: Any, site: Site) -> None:
    policy = (
        "default-src 'none'; img-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    page = site.page("/", '<img src="/image/8.jpg">', policy)
    assert "8.jpg" in check(connected, tab, page, f"{site.address}/image/8.jpg")


def test_the_card_lies_above_a_modal_dialog_and_can_be_used(
    connected: Chromium, tab: Any, site: Site
) -> None:
    tab.goto(site.page("/", '<dialog id="d"><img src="/image/10.jpg"></dialog>'))
    tab.evaluate("document.getElementById('d').showModal()")
    connected.click_image(tab, f"{site.address}/image/10.jpg")
    connected.wait_for(tab, *ANSWERS)
    assert tab.evaluate("document.querySelector('[popover]').closest('dialog') !== null")
    tab.keyboard.press("Escape")


def test_a_wrong_key_is_said_with_what_to_do(connected: Chromium, tab: Any, site: Site) -> None:
    connected.keep(key="0" * 12 + "." + "A" * 43)
    tab.goto(site.page("/", '<img src="/image/11.jpg">'))
    connected.click_image(tab, f"{site.address}/image/11.jpg")
    words = connected.wait_for(tab, "Could not be checked")
    assert "Connect" in words and "The server does not know this key, or no longer." in words


def test_a_server_that_is_away_is_waited_for(connected: Chromium, tab: Any, site: Site) -> None:
    server = connected.worker.evaluate("() => chrome.storage.local.get('server')")["server"]
    connected.keep(server="http://127.0.0.1:9")
    tab.goto(site.page("/", '<img src="/image/12.jpg">'))
    connected.click_image(tab, f"{site.address}/image/12.jpg")
    connected.wait_for(tab, "The server does not answer. Trying again")
    connected.keep(server=server)


def test_several_at_once_and_a_verdict_in_the_other_language(
    connected: Chromium, tab: Any, site: Site
) -> None:
    connected.keep(language="id")
    tab.goto(site.page("/", '<img src="/image/13.jpg"><img src="/image/14.jpg">'))
    for number in (13, 14):
        connected.click_image(tab, f"{site.address}/image/{number}.jpg")
    words = connected.wait_for(tab, "Bukti")
    assert {"13.jpg", "14.jpg"} <= set(words)
