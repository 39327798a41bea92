"""What a card says of every kind of verdict, in both languages; the extension shows the same card."""

from collections.abc import Iterator
from typing import Any

import pytest

from .cards import UNCERTAIN, claimed, credentials, done, reason, verdict
from .conftest import open_page
from .looking import draw, shown
from .stack import Stack


@pytest.fixture(scope="module")
def page(browser: Any, stack: Stack) -> Iterator[Any]:
    """One for all: each test draws its own cards."""
    with open_page(browser, stack.page) as page:
        yield page


def said(page: Any, view: dict[str, Any], language: str = "en") -> str:
    """The text of the card of this view."""
    page.get_by_label("Language").or_(page.get_by_label("Bahasa")).select_option(language)
    page.wait_for_selector(f"html[lang={language}]")
    draw(page, view)
    return shown(page)


HEADS = [
    (verdict(), "Probably not AI-generated", "at 12%."),
    (verdict(label="ai", probability=0.999), "Probably AI-generated", "at >99%."),
    (verdict(probability=0.001), "Probably not AI-generated", "at <1%."),
    (claimed(label="ai", decided_by="metadata"), "Probably AI-generated", "The file itself says"),
    (verdict(label="ai", decided_by="credentials"), "Probably AI-generated", "valid signed statement"),
    (verdict(decided_by="credentials"), "Probably not AI-generated", "Signed statements in the file"),
    (verdict(decided_by="a later rule"), "Probably not AI-generated", "something else than the pixels"),
    (verdict(label="uncertain", uncertain_because="new"), "Uncertain", "No firm answer is possible"),
]


@pytest.mark.parametrize("made, word, sentence", HEADS)
def test_word_and_sentence_agree(page: Any, made: dict[str, Any], word: str, sentence: str) -> None:
    text = said(page, done("a.jpg", made))
    head = page.get_by_role("status").last.inner_text()
    assert head.startswith(word) and sentence in head
    assert ("%" in head) == (made["decided_by"] == "model" and made["label"] != "uncertain")
    assert "Evidence" in text


@pytest.mark.parametrize("because", UNCERTAIN)
@pytest.mark.parametrize("language", ["en", "id"])
def test_uncertain_names_its_cause(page: Any, because: str, language: str) -> None:
    made = verdict(label="uncertain", uncertain_because=because, reasons=UNCERTAIN[because])
    text = said(page, done("a.jpg", made), language)
    assert ("Uncertain" if language == "en" else "Tidak pasti") in text
    assert "because_" not in text and "reason_" not in text and "$" not in text
    assert "English of" not in text
    if because == "conflict":
        assert "ComfyUI" in text
    if because in ("too_small", "flat"):
        assert (
            "Nothing that can be judged" if language == "en" else "Tidak ada yang dapat dinilai"
        ) in text


STATES = {
    "valid": "Valid signature",
    "untrusted signer": "the signer is not on the trust list",
    "invalid": "changed or damaged after signing",
    "remote, not read": "which was not asked",
    "not checked": "There, but not checked",
    "quantum": "in a state that this version does not know",
}


@pytest.mark.parametrize("state", STATES)
def test_states_of_content_credentials(page: Any, state: str) -> None:
    text = said(page, done("a.jpg", credentials(state)))
    assert STATES[state] in text and "Some Camera Maker" in text
    assert text.count("None found, which proves nothing.") == 1  # metadata


def test_a_reason_that_is_new_is_said_as_the_server_does(page: Any) -> None:
    made = verdict(reasons=[reason("from_the_future", x=1), reason("disputed")])
    text = said(page, done("a.jpg", made), "id")
    assert "English of from_the_future" in text and "telah dikonfirmasi" in text


def test_an_error_that_is_new_is_said_as_the_server_does(page: Any) -> None:
    problem = {"code": "from_the_future", "detail": "The moon is in the way. Wait."}
    text = said(page, {"state": "failed", "name": "a.jpg", "problem": problem})
    assert "The moon is in the way. Wait." in text and "Try again" in text


def test_other_kinds_of_evidence_are_shown(page: Any) -> None:
    frames = {"kind": "frames", "finding": "ai", "strength": 1, "details": {"share": 0.75, "frames": []}}
    later = {"kind": "texture", "finding": "ai", "strength": 1, "details": {"peaks": 4}}
    text = said(page, done("a.mp4", verdict(evidence=[frames, later])))
    assert "75% of them look made by AI" in text
    assert "texture" in text and "Points towards AI" in text and "peaks" in text
