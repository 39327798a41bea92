"""The page where things go wrong: the server away, a wrong key, limits, hostile strings."""

import os
import signal
from pathlib import Path
from typing import Any

from ..sdk.origin import Origin, closed_port
from .cards import done, reason, verdict
from .conftest import open_page
from .looking import card, choose, draw, shown, word
from .stack import Stack, until

Pictures = dict[str, Path]
HOSTILE = "<img src=x onerror=alert(1)>\u202egpj.exe\x1b[31m \u2066a\u200bb"


def test_a_server_that_dies_is_waited_for(page: Any, stack: Stack, pictures: Pictures) -> None:
    first = set(stack.parts("aidetect serve"))
    os.killpg(os.getpgid(min(first)), signal.SIGKILL)
    until(lambda: not first & set(stack.left()))
    choose(page, pictures["photo"])
    waiting = page.locator("article", has_text="The server does not answer. Trying again in")
    waiting.get_by_role("button", name="Try now").wait_for()
    assert word(page, "photo.jpg") == "Probably not AI-generated"


def test_a_wrong_key_leads_back_to_connecting(browser: Any, stack: Stack) -> None:
    wrong = stack.key[:-4] + ("AAAA" if not stack.key.endswith("AAAA") else "BBBB")
    with open_page(browser, f"{stack.address}#key={wrong}") as page:
        page.get_by_text("The server does not know this key").wait_for()
        field = page.get_by_label("Key or pairing code")
        field.fill("12 34")
        page.keyboard.press("Enter")
        page.get_by_text("This is neither a key nor a six-digit code.").wait_for()
        field.fill(stack.key)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Choose images").wait_for()
        page.get_by_role("button", name="Forget the key").click()
        assert page.evaluate("localStorage.getItem('aidetect.key')") is None


def test_a_key_that_is_revoked_during_the_work(browser: Any, stack: Stack, pictures: Pictures) -> None:
    key = stack.new_key()
    with open_page(browser, f"{stack.address}#key={key}") as page:
        page.get_by_role("button", name="Choose images").wait_for()
        stack.revoke(key)
        choose(page, pictures["photo"])
        assert word(page, "photo.jpg") == "Could not be checked"
        card(page, "photo.jpg").get_by_role("button", name="Connect").click()
        page.get_by_label("Key or pairing code").fill(stack.key)
        page.keyboard.press("Enter")
        card(page, "photo.jpg").get_by_text("Probably not AI-generated").wait_for()


def test_limits_are_waited_out(browser: Any, stack: Stack, pictures: Pictures) -> None:
    key = stack.new_key(limit="1/2 seconds")
    with open_page(browser, f"{stack.address}#key={key}") as page:
        page.get_by_role("button", name="Choose images").wait_for()
        names = ("photo", "small", "text", "broken")  # sent at once, and so no two windows take all
        choose(page, *(pictures[name] for name in names))
        page.get_by_text("Too many requests for this key. Going on in").first.wait_for()
        for name in names:
            assert word(page, pictures[name].name)


def test_addresses_that_lead_nowhere_say_what_to_do(page: Any) -> None:
    with Origin() as origin:
        missing = origin.serve("/missing.jpg", b"no", status=404)
        field = page.get_by_label("Or give the address of an image")
        field.fill(f"{missing} http://127.0.0.1:{closed_port()}/away.jpg ftp://example.org/x.jpg")
        page.keyboard.press("Enter")
        assert word(page, "missing.jpg") == "Could not be checked"
    assert "not for everybody" in card(page, "missing.jpg").inner_text()
    assert "The site does not answer." in _said(page, "away.jpg")
    assert "This is not an address of the web." in _said(page, "x.jpg")
    card(page, "missing.jpg").get_by_role("button", name="Change the address").click()
    assert field.input_value() == missing
    assert field.evaluate("field => field === document.activeElement")


def _said(page: Any, name: str) -> str:
    word(page, name)
    return str(card(page, name).inner_text())


def test_cancelling_takes_the_check_back(page: Any, stack: Stack) -> None:
    with Origin() as origin:
        slow = origin.answer("/slow.jpg", lambda handler: handler.drip(b"", 0.2))
        page.get_by_label("Or give the address of an image").fill(slow)
        page.keyboard.press("Enter")
        card(page, "slow.jpg").get_by_text("Fetching the image").wait_for()
        with page.expect_request(lambda request: request.method == "DELETE") as taken_back:
            card(page, "slow.jpg").get_by_role("button", name="Cancel").last.click()
        assert taken_back.value.response().status == 204
        page.locator("#cards li").wait_for(state="detached")


def test_strangers_strings_stay_strings(page: Any) -> None:
    details = {"signal": HOSTILE, HOSTILE: HOSTILE}
    claim = {"kind": "metadata", "finding": HOSTILE, "strength": 1, "details": details}
    other = {"kind": HOSTILE, "finding": "ai", "strength": 1, "details": {}}
    known = reason("camera_named", make=HOSTILE, model=HOSTILE)
    unknown = {"code": HOSTILE, "text": HOSTILE, "params": {}}
    made = verdict(reasons=[known, unknown], evidence=[claim, other])
    problem = {"code": HOSTILE, "detail": HOSTILE}
    draw(page, done(HOSTILE, made), {"state": "failed", "name": HOSTILE, "problem": problem})
    page.locator("summary", has_text="Details").click()
    text = shown(page)
    assert text.count("<img src=x onerror=alert(1)>") > 5
    for steering in "\u202e\x1b\u200b\u2066":
        assert steering not in text
    assert page.locator("article img").count() == 0


def test_a_history_that_somebody_else_wrote_is_left_out(page: Any) -> None:
    for kept in (
        '"x"',
        "[1, null, {}]",
        '[{"verdict": {"image": {}, "model": {}, "label": "ai"}}]',
        "{",
    ):
        page.evaluate("kept => localStorage.setItem('aidetect.history', kept)", kept)
        page.reload()
        page.get_by_role("button", name="Choose images").wait_for()


def test_files_too_large_are_not_sent(page: Any, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with open(large, "wb") as file:
        file.truncate(20_000_001)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    choose(page, large)
    assert word(page, "large.jpg") == "Could not be checked"
    assert "larger than this server takes" in card(page, "large.jpg").inner_text()
    assert "POST" not in sent
