"""Which of an image's files is checked, and images that are no plain `<img>` of the page."""

import io

import pytest
from PIL import Image

from .site import Site, picture
from .window import ANSWERS, Window, check, details, wait_for

LARGER = "A larger version than the page shows was checked."
BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
LARGEST = {
    "srcset": '<img src="/image/7.jpg" srcset="/image/7.jpg 320w, /image/19.jpg 640w" sizes="160px">',
    "lazy": '<img src="/image/7.jpg" data-src="/image/19.jpg">',
    "picture": '<picture><source media="(min-width: 9999px)" srcset="/image/19.jpg 640w">'
    '<img src="/image/7.jpg" srcset="/image/7.jpg 320w"></picture>',
    "link": '<a href="/image/19.jpg"><img src="/image/7.jpg"></a>',
}


@pytest.mark.parametrize("kind", LARGEST)
def test_the_largest_version_is_checked_and_that_is_said(window: Window, site: Site, kind: str) -> None:
    check(window, site.page("/", LARGEST[kind]), f"{site.address}/image/7.jpg")
    words = details(window)
    assert LARGER in words and any(word.startswith("640 × 480 pixels") for word in words)
    assert site.asked.count("/image/19.jpg") == 1


def test_a_link_to_a_page_about_the_image_is_not_taken_for_one(
    window: Window, site: Site, elsewhere: Site
) -> None:
    """As in wikis; on a site whose pages cannot be read here, the server finds out."""
    body = f'<a href="{site.page("/File:7.jpg", "about it")}"><img src="/image/7.jpg"></a>'
    check(window, site.page("/", body), f"{site.address}/image/7.jpg")
    words = details(window)
    assert LARGER not in words and "The file itself was checked." in words
    src = f"{elsewhere.address}/image/7.jpg"
    body = f'<a href="{elsewhere.page("/File:7.jpg", "about it")}"><img src="{src}"></a>'
    check(window, site.page("/", body), src)
    words = details(window)
    assert LARGER not in words and f"The server fetched it from {elsewhere.address[7:]}." in words


def test_a_thumbnail_in_the_page_itself_leads_to_the_image(window: Window, site: Site) -> None:
    body = f'<a href="/image/19.jpg"><img src="{BLANK}" width="200" height="150" alt="A lake"></a>'
    assert "A lake" in check(window, site.page("/", body), BLANK)
    assert LARGER in details(window)


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture(21))) as first, Image.open(io.BytesIO(picture(22))) as second:
        more = {"append_images": [second], "save_all": True} if kind != "AVIF" else {}
        first.save(buffer, kind, **more)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["AVIF", "WebP", "GIF"])
def test_other_formats_and_animations(window: Window, site: Site, kind: str) -> None:
    path = f"/it.{kind.lower()}"
    site.files[path] = (f"image/{kind.lower()}", encoded(kind))
    check(window, site.page("/", f'<img src="{path}">'), site.address + path)
    assert kind.upper() in details(window)


def test_an_image_in_a_tab_of_its_own(window: Window, site: Site) -> None:
    address = f"{site.address}/private/23.jpg"
    window.goto(site.page("/", ""))  # sets the cookie
    assert "23.jpg" in check(window, address, address)


def test_an_image_in_a_frame_of_another_site(window: Window, site: Site, elsewhere: Site) -> None:
    """The click grants the page, not its frames: the address is what is left."""
    src = f"{elsewhere.address}/image/24.jpg"
    frame = elsewhere.page("/", f'<img src="{src}">')
    window.goto(site.page("/", f'<iframe src="{frame}"></iframe>'))
    window.click(src, framed=True)
    assert "24.jpg" in wait_for(window, *ANSWERS)
    assert elsewhere.asked_by_server == ["/image/24.jpg"]


@pytest.mark.parametrize("where", ["site", "elsewhere"])
def test_a_file_above_the_limit_is_not_sent_and_the_limit_is_said(
    window: Window, site: Site, elsewhere: Site, where: str
) -> None:
    host = site if where == "site" else elsewhere
    host.files["/large.jpg"] = ("image/jpeg", picture(25) + bytes(20_000_000))
    window.goto(site.page("/", f'<img src="{host.address}/large.jpg">'))
    window.click(f"{host.address}/large.jpg")
    assert "The file is larger than the 20 MB that this server takes." in wait_for(
        window, "Could not be checked"
    )


def test_a_file_at_the_limit_is_checked(window: Window, site: Site) -> None:
    image = picture(26)
    site.files["/large.jpg"] = ("image/jpeg", image + bytes(20_000_000 - len(image)))
    check(window, site.page("/", '<img src="/large.jpg">'), f"{site.address}/large.jpg")
