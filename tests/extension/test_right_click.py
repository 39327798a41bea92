"""Right click, "Check image": from the click to the verdict on the page, in each browser."""

import pytest

from .site import Site
from .window import ANSWERS, Window, check, details, jobs, keep, wait, wait_for

STRICT = "default-src 'none'; img-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"


def test_nothing_is_there_until_the_person_asks(window: Window, site: Site) -> None:
    """No script, no element and no request of the extension on a page that nobody asked about."""
    window.goto(site.page("/", '<img src="/image/1.jpg">'))
    before = window.js("() => document.documentElement.outerHTML")
    found = window.js(
        """async () => {
            await new Promise((done) => setTimeout(done, 500));
            const { documentElement: root } = document;
            return [root.outerHTML, root.childElementCount, document.querySelector("[popover]")];
        }"""
    )
    assert found == [before, 2, None]
    assert set(site.asked) <= {"/image/1.jpg", "/favicon.ico"}


def test_an_image_of_the_page_s_own_site_behind_a_cookie(window: Window, site: Site) -> None:
    page = site.page("/", '<img src="/private/2.jpg">')
    words = check(window, page, f"{site.address}/private/2.jpg")
    assert {"2.jpg", "Pixels", "The file itself was checked."} <= {*words, *details(window)}
    assert any("chance of AI" in word for word in words)


def test_an_image_of_another_site_is_fetched_by_the_server(
    window: Window, site: Site, elsewhere: Site
) -> None:
    src = f"{elsewhere.address}/image/3.jpg"
    check(window, site.page("/", f'<img src="{src}">'), src)
    assert elsewhere.asked_by_server == ["/image/3.jpg"]
    assert f"The server fetched it from {elsewhere.address.removeprefix('http://')}." in details(window)


def test_an_address_that_refuses_the_server_offers_what_is_left(
    window: Window, site: Site, elsewhere: Site
) -> None:
    """The server has no cookie, and the canvas is tainted: permission for the site, or a screenshot."""
    elsewhere.page("/", "")
    src = f"{elsewhere.address}/private/4.jpg"
    window.goto(elsewhere.address + "/")
    window.goto(site.page("/", f'<div style="height: 3000px"></div><img src="{src}" alt="x">'))
    window.js("() => document.images[0].scrollIntoView()")
    window.click(src)
    wait_for(window, "Could not be checked")
    assert {"Let aidetect read it", "Use a screenshot"} <= set(wait_for(window, "Use a screenshot"))
    window.js("() => scrollTo(0, 0)")
    window.press("Use a screenshot")
    wait_for(window, *ANSWERS)
    assert "A screenshot: less reliable, and metadata is lost." in details(window)


def test_an_image_for_pages_of_its_own_site_alone(window: Window, site: Site, elsewhere: Site) -> None:
    """403 without a Referer of the site, which neither server nor extension has; its own pages do."""
    src = f"{site.address}/hotlink/5.jpg"
    check(window, site.page("/", f'<img src="{src}">'), src)
    window.goto(
        elsewhere.page(
            "/", f'<img src="{src}" referrerpolicy="no-referrer" alt="x" width=200 height=99>'
        )
    )
    window.click(src)
    wait_for(window, "Could not be checked")


def test_addresses_are_never_sent_where_that_was_chosen(
    window: Window, site: Site, elsewhere: Site
) -> None:
    keep(window, privacy="never")
    src = f"{elsewhere.address}/image/5.jpg"
    window.goto(site.page("/", f'<img src="{src}">'))
    window.click(src)
    wait_for(window, "Could not be checked")
    wait_for(window, "Let aidetect read it")
    assert not elsewhere.asked_by_server


@pytest.mark.parametrize("kind", ["data", "blob"])
def test_an_image_without_an_address_of_the_web(window: Window, site: Site, kind: str) -> None:
    window.goto(site.page("/", '<img id="it" alt="A lake">'))
    src = window.js(
        """async ([kind, url]) => {
            const blob = await (await fetch(url)).blob();
            const reader = new FileReader();
            const read = new Promise((done) => { reader.onload = () => done(reader.result); });
            reader.readAsDataURL(blob);
            const src = kind === "blob" ? URL.createObjectURL(blob) : await read;
            const image = document.getElementById("it");
            image.src = src;
            await image.decode();
            return src;
        }""",
        [kind, "/image/6.jpg"],
    )
    window.click(src)
    assert "A lake" in wait_for(window, *ANSWERS)
    assert "The file itself was checked." in details(window)


def test_a_page_that_lets_nothing_in_shows_the_card(window: Window, site: Site) -> None:
    page = site.page("/", '<img src="/image/8.jpg">', STRICT)
    assert "8.jpg" in check(window, page, f"{site.address}/image/8.jpg")


def test_an_image_behind_a_cookie_on_a_page_that_lets_nothing_in(window: Window, site: Site) -> None:
    """Firefox lets no script of an extension fetch there; what it drew is read then."""
    page = site.page("/", '<img src="/private/10.jpg">', STRICT)
    check(window, page, f"{site.address}/private/10.jpg")
    read = {
        "chromium": "The file itself was checked.",
        "firefox": "Redrawn by the browser: metadata is lost.",
    }
    assert read[window.name] in details(window)


def test_the_card_lies_above_a_modal_dialog_and_outlives_it(window: Window, site: Site) -> None:
    window.goto(site.page("/", '<dialog id="d"><img src="/image/10.jpg"></dialog>'))
    window.js("async () => { d.showModal(); await document.images[0].decode(); }")
    window.click(f"{site.address}/image/10.jpg")
    wait_for(window, *ANSWERS)
    assert window.js("() => document.querySelector('[popover]').closest('dialog') !== null")
    assert "How it was read" in details(window)  # it can be used
    window.js("() => { d.close(); }")
    wait_for(window, *ANSWERS)
    window.js("() => { d.showModal(); }")
    window.press("Check again")
    wait(lambda: [(job["fresh"], job["view"]["state"]) for job in jobs(window)] == [(True, "done")])
    window.js("() => { d.remove(); }")
    wait_for(window, "Remove this result")
    window.key("Escape")
    wait(lambda: not window.js("() => document.querySelector('[popover]') !== null"))


def test_a_verdict_in_the_other_language_of_several_at_once(window: Window, site: Site) -> None:
    keep(window, language="id")
    window.goto(site.page("/", '<img src="/image/13.jpg"><img src="/image/14.jpg">'))
    for number in (13, 14):
        window.click(f"{site.address}/image/{number}.jpg")
    wait(lambda: [job["view"]["state"] for job in jobs(window)] == ["done", "done"])
    wait(lambda: {"13.jpg", "14.jpg", "Bukti"} <= set(window.words()), lambda: str(window.words()))
