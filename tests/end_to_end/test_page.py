"""The page in Chromium, against the real server, worker, Redis and model."""

import json
from pathlib import Path
from typing import Any

from aidetect import Verdict
from aidetect._cli import main

from ..sdk.origin import Origin
from .conftest import open_page
from .looking import card, choose, hand_over, shown, word
from .stack import Stack, until

Pictures = dict[str, Path]


def test_a_chosen_photograph_gets_the_answer_of_the_detector(page: Any, pictures: Pictures) -> None:
    from aidetect import Detector

    choose(page, pictures["photo"])
    assert word(page, "photo.jpg") == "Probably not AI-generated"
    verdict = Detector().check(pictures["photo"])
    said = card(page, "photo.jpg").inner_text()
    assert f"chance that AI made this image at {round(100 * verdict.probability)}%" in said
    assert "Content Credentials\nNone found, which proves nothing." in said
    assert "Metadata\nNone found, which proves nothing." in said


def test_dropping_and_pasting_files(page: Any, pictures: Pictures) -> None:
    hand_over(page, "dragover", "body", pictures["photo"])
    page.get_by_text("Let go to check").wait_for()
    hand_over(page, "drop", "body", pictures["photo"])
    assert word(page, "photo.jpg") == "Probably not AI-generated"
    hand_over(page, "paste", "body", pictures["small"])
    assert word(page, "small.png") == "Uncertain"


def test_addresses_typed_and_pasted(page: Any, pictures: Pictures) -> None:
    with Origin() as origin:
        body = pictures["photo"].read_bytes()
        first, second = (origin.serve(f"/{n}.jpg", body) for n in ("first", "second"))
        page.get_by_label("Or give the address of an image").fill(f"{first} {second}?token=secret")
        page.keyboard.press("Enter")
        assert word(page, "first.jpg") == word(page, "second.jpg") == "Probably not AI-generated"
        third = origin.serve("/third.jpg", body)
        hand_over(page, "paste", "body", text=f"look: {third} !")
        assert word(page, "third.jpg") == "Probably not AI-generated"
        page.locator("summary", has_text="Details").first.click()
    assert "second.jpg" in shown(page)
    assert "token=secret" not in shown(page)  # a query may hold what is nobody's business
    assert "this page loads nothing from other sites" in card(page, "second.jpg").inner_text()
    card(page, "first.jpg").get_by_text("Details").click()
    assert f"fetched it from 127.0.0.1:{origin.port}" in card(page, "first.jpg").inner_text()


def test_pasting_into_a_field_stays_there_and_nothing_usable_is_said(page: Any) -> None:
    field = page.get_by_label("Or give the address of an image")
    hand_over(page, "paste", "#url", text="https://example.org/a.png")
    assert page.locator("#cards li").count() == 0
    field.blur()
    hand_over(page, "paste", "body", text="no address")
    page.get_by_text("There was no image and no address in it.").wait_for()


def test_several_at_once_each_for_itself(page: Any, pictures: Pictures) -> None:
    choose(page, *pictures.values())
    assert word(page, "photo.jpg") == "Probably not AI-generated"
    for name in ("broken.jpg", "text.jpg"):
        assert word(page, name) == "Could not be checked"
    assert "damaged or incomplete" in card(page, "broken.jpg").inner_text()
    assert "This is not an image." in card(page, "text.jpg").inner_text()
    card(page, "text.jpg").get_by_role("button", name="Choose an image").wait_for()
    word(page, "claimed.png")
    word(page, "claimed_flat.png")
    word(page, "small.png")
    page.get_by_text("6 of 6 done").wait_for()


def test_what_a_claim_decides_shows_no_number_that_contradicts(page: Any, pictures: Pictures) -> None:
    choose(page, pictures["claimed_flat"], pictures["claimed"])
    assert word(page, "claimed_flat.png") == "Probably AI-generated"
    flat = card(page, "claimed_flat.png")
    said = flat.locator("[role=status]").first.inner_text()
    assert "The file itself says that AI made it." in said and "%" not in said
    assert "Nothing that can be judged" in flat.inner_text()
    assert "Says that AI made it" in flat.inner_text() and "Unsigned" in flat.inner_text()
    assert word(page, "claimed.png") == "Uncertain"
    said = card(page, "claimed.png").locator("[role=status]").first.inner_text()
    assert "the model says the opposite" in said and "%" not in said


def test_heat_map_lies_over_the_image_and_fades(page: Any, pictures: Pictures) -> None:
    choose(page, pictures["photo"])
    slider = card(page, "photo.jpg").get_by_label("Strength of the heat map")
    slider.wait_for()
    canvas = card(page, "photo.jpg").locator("canvas")
    image = card(page, "photo.jpg").get_by_role("img", name="The image that was checked")
    until(lambda: canvas.bounding_box() == image.bounding_box())
    cells = "c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
    shades = canvas.evaluate(f"c => new Set({cells}.filter((_, at) => at % 4 == 3)).size")
    assert shades > 3
    slider.focus()
    page.keyboard.press("Home")
    until(lambda: canvas.evaluate("c => getComputedStyle(c).opacity") == "0")


def test_downloads_are_the_verdict_and_what_verify_takes(
    page: Any, stack: Stack, pictures: Pictures, tmp_path: Path
) -> None:
    choose(page, pictures["photo"])
    word(page, "photo.jpg")
    files = {}
    for name in ("Verdict (JSON)", "Signed verdict"):
        with page.expect_download() as download:
            card(page, "photo.jpg").get_by_role("button", name=name).click()
        files[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[name])
    plain = json.loads(files["Verdict (JSON)"].read_text(encoding="utf-8"))
    assert (
        Verdict.from_dict(plain).label == "real"
        and files["Verdict (JSON)"].name == "photo.jpg.verdict.json"
    )
    keys = tmp_path / "keys.json"
    keys.write_bytes(page.request.get(stack.address + ".well-known/jwks.json").body())
    command = ["verify", str(files["Signed verdict"]), str(pictures["photo"]), "--keys", str(keys)]
    assert main(command) == 0


def test_a_report_reaches_the_server(page: Any, pictures: Pictures) -> None:
    choose(page, pictures["photo"])
    word(page, "photo.jpg")
    over = card(page, "photo.jpg")
    over.get_by_role("button", name="Wrong?").click()
    over.get_by_role("button", name="Send the report").click()
    over.get_by_text("Choose one of the two.").wait_for()
    over.get_by_label("Made by AI", exact=True).check()
    over.get_by_label("How do you know?").fill("<script>alert(1)</script> I made it")
    over.get_by_label("Send the image too").check()
    with page.expect_response("**/v1/reports") as answer:
        over.get_by_role("button", name="Send the report").click()
    assert answer.value.status == 201 and answer.value.json()["id"]
    over.get_by_text("Thank you.").wait_for()


def test_history_is_kept_shown_again_and_cleared(page: Any, stack: Stack, pictures: Pictures) -> None:
    choose(page, pictures["photo"])
    word(page, "photo.jpg")
    page.reload()
    page.get_by_text("History", exact=True).click()
    page.get_by_role("button", name="Show again: photo.jpg").click()
    assert word(page, "photo.jpg") == "Probably not AI-generated"
    assert "The image itself is not kept." not in card(page, "photo.jpg").inner_text()
    kept = page.evaluate("localStorage.getItem('aidetect.history')")
    assert Verdict.from_dict(json.loads(kept)[0]["verdict"]).label == "real"
    assert "data:image" not in kept and len(kept) < 20_000
    page.get_by_role("button", name="Clear the history").click()
    page.get_by_text("The history is empty.").wait_for()
    page.get_by_label("Keep a history").uncheck()
    choose(page, pictures["small"])
    word(page, "small.png")
    assert page.evaluate("localStorage.getItem('aidetect.history')") is None


def test_language_is_switched_and_kept(page: Any, pictures: Pictures) -> None:
    choose(page, pictures["photo"])
    word(page, "photo.jpg")
    page.get_by_label("Language").select_option("id")
    page.get_by_role("heading", name="Apakah gambar ini dibuat oleh AI?").wait_for()
    assert word(page, "photo.jpg") == "Kemungkinan bukan buatan AI"
    assert page.evaluate("document.documentElement.lang") == "id"
    page.reload()
    page.get_by_role("button", name="Pilih gambar").wait_for()


def test_a_pairing_code_in_the_address_connects_once(browser: Any, stack: Stack) -> None:
    code = stack.pairing_code()
    with open_page(browser, f"{stack.address}#pair={code}") as page:
        page.get_by_role("button", name="Choose images").wait_for()
        assert page.url == stack.address  # neither code nor key stays in sight
        # The address again, from the browser's history: the code is used up, the key is kept.
        page.goto(f"{stack.address}docs")
        page.goto(f"{stack.address}#pair={code}")
        page.get_by_role("button", name="Choose images").wait_for()
    with open_page(browser, f"{stack.address}#pair={code}") as page:
        page.get_by_text("The code is wrong, used or too old.").wait_for()
