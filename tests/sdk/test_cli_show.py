"""What `aidetect check` prints: cards, lines, errors and JSON, in order, and its exit status."""

import json
import os
from collections.abc import Sequence

import pytest

from aidetect import HTTPStatusError, InputError, InputNotFoundError, Verdict
from aidetect._cli._check import report
from aidetect._cli._show import card, json_line, line, problem
from aidetect._cli._terminal import painter
from aidetect._verdict import percent

from .verdicts import verdict

PLAIN = painter(False)
COLOUR = painter(True)
NASTY = [
    "\x1b]0;owned\x07.jpg",
    "\x1b[2J\x1b[31mred.png",
    "photo\u202egpj.exe",
    "two\nlines\r.jpg",
    "zero\u200bwidth\ufeff.jpg",
    os.fsdecode(b"caf\xe9-\xff.jpg"),
    "\x9b31m.jpg",
    "\ud800.jpg",
]
HARMFUL = {chr(c) for c in (*range(32), *range(0x7F, 0xA0), 0x200B, 0x202E, 0xFEFF)} - {"\n"}
MISSING = InputNotFoundError("no such file; check the path", input="gone.jpg")


def harmless(text: str) -> bool:
    text.encode("utf-8")  # fails on lone surrogates
    return not HARMFUL & set(text)


def test_a_card_says_name_label_probability_reasons_and_model() -> None:
    assert card(verdict(), PLAIN).splitlines() == [
        "photo.jpg",
        "  Probably AI-generated, P(AI) = 97%",
        "  - The pixels look made by AI.",
        "  - 8 of 9 views agree.",
        "  640×480 JPEG; model seresnet50 1.2; 42 ms",
    ]


def test_an_animation_is_said_to_be_one() -> None:
    image = verdict().image
    animated = type(image)(image.sha256, 64, 64, "GIF", 900, frames=12)
    assert "64×64 GIF, first of 12 frames;" in card(verdict(image=animated), PLAIN)
    assert line(verdict(image=animated), PLAIN).endswith("photo.jpg  (first of 12 frames)")
    shown = line(verdict("uncertain", image=animated), PLAIN)
    assert shown.endswith("photo.jpg  (views disagree, first of 12 frames)")


def test_lines_are_aligned_and_say_the_label_in_words() -> None:
    lines = [line(verdict(label), PLAIN) for label in ("ai", "real", "uncertain")]
    assert lines == [
        "AI         P(AI)  97%  photo.jpg",
        "not AI     P(AI)   3%  photo.jpg",
        "uncertain  P(AI)  48%  photo.jpg  (views disagree)",
    ]


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.0, "<1%"), (0.0099, "<1%"), (0.01, "1%"), (0.5, "50%"), (0.99, "99%"), (0.9999, ">99%")],
)
def test_no_probability_is_shown_as_a_certainty(probability: float, shown: str) -> None:
    assert percent(probability) == shown


@pytest.mark.parametrize("show", [card, line])
def test_colour_adds_to_the_words_and_takes_none_away(show: object) -> None:
    assert callable(show)
    for label in ("ai", "real", "uncertain"):
        coloured = show(verdict(label), COLOUR)
        assert "\x1b[" in coloured and "\x1b[" not in show(verdict(label), PLAIN)
        assert coloured.count("\x1b[0m") * 2 == coloured.count("\x1b[")


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_names_are_shown_harmless(name: str) -> None:
    nasty = verdict(source=name)
    error = InputNotFoundError("no such file; check the path", input=name)
    assert harmless(card(nasty, PLAIN)) and card(nasty, PLAIN).count("\n") == 4
    for one in (line(nasty, PLAIN), problem(error), json_line(nasty), json_line(error)):
        assert harmless(one) and "\n" not in one


def test_texts_of_a_foreign_model_are_shown_harmless() -> None:
    model = type(verdict().model)("evil\x1b[2J", "1\n2", "")
    reasons = (type(verdict().reasons[0])("code", "because\x1b[31m\nreal"),)
    assert harmless(card(verdict(model=model, reasons=reasons), PLAIN))


def test_a_message_that_names_its_input_is_not_given_the_name_twice() -> None:
    assert problem(MISSING) == "gone.jpg: no such file; check the path"
    named = InputError("a\\x1b.jpg is empty (0 bytes). Give a file with an image.", input="a\x1b.jpg")
    assert problem(named) == named.message


def test_a_long_message_keeps_its_advice() -> None:
    error = InputError("x" * 400 + ". Do this.", input="y" * 500)
    assert problem(error).endswith("Do this.")


def test_a_json_line_is_the_wire_form() -> None:
    assert Verdict.from_dict(json.loads(json_line(verdict("uncertain")))) == verdict("uncertain")
    assert json.loads(
        json_line(HTTPStatusError("Not there.", status=404, input="http://a.example/é"))
    ) == {
        "error": {
            "code": "http_4xx",
            "message": "Not there.",
            "input": "http://a.example/é",
            "status": 404,
        }
    }


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_a_json_line_is_ascii_and_keeps_the_name(name: str) -> None:
    text = json_line(verdict(source=name))
    assert text.isascii() and text.isprintable()
    assert json.loads(text)["source"] == name


@pytest.mark.parametrize(
    ("labels", "fail_on", "status"),
    [
        (["ai", "real", "uncertain"], [], 0),
        (["real", None], [], 1),
        (["real", "uncertain"], ["ai"], 0),
        (["real", "ai"], ["ai"], 3),
        (["real", "uncertain"], ["ai", "uncertain"], 3),
        (["ai", None], ["ai"], 3),
        ([None, "ai"], ["ai"], 3),
        (["ai", None], ["uncertain"], 1),
        ([None], ["ai"], 1),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_exit_status(
    labels: Sequence[str | None],
    fail_on: list[str],
    status: int,
    as_json: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers = [MISSING if label is None else verdict(label) for label in labels]
    assert report(answers, len(answers), as_json=as_json, fail_on=fail_on) == status
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    if as_json:
        assert [json.loads(one).get("label") for one in lines] == list(labels)
        assert shown.err == ""
    else:
        assert shown.err == "aidetect: gone.jpg: no such file; check the path\n" * labels.count(None)
        assert len(lines) == (5 if labels == ["ai"] else len(labels) - labels.count(None))


def test_one_input_gets_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([verdict()], 1, as_json=False, fail_on=[]) == 0
    assert capsys.readouterr().out == card(verdict(), PLAIN) + "\n"


def test_output_is_not_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def answers() -> object:
        for label in ("ai", "real"):
            yield verdict(label)
            seen.append(capsys.readouterr().out)

    report(answers(), 2, as_json=False, fail_on=[])  # type: ignore[arg-type]
    assert [one.split()[0] for one in seen] == ["AI", "not"]


def test_colour_can_be_asked_for_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    report([verdict()], 1, as_json=False, fail_on=[])
    assert "\x1b[31m" in capsys.readouterr().out
