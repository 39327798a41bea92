"""What crosses between askers, queue and workers, and what is refused there."""

import json
from typing import Any

import pytest

from aidetect import AidetectError, HTTPStatusError, InputError, InvalidURLError, NotAnImageError
from aidetect._protocol import MAX_URL_LENGTH, CheckRequest, Outcome

from .results import digest, outcome

FLEET = "0123456789abcdef"
HASH = digest(b"an image")
KEY = 32 * "a" + "-8"
REQUESTS = [
    CheckRequest.for_url("https://example.org/a.png?size=2", FLEET),
    CheckRequest.for_url("http://example.org/", FLEET, priority="bulk", fresh=True),
    CheckRequest.for_upload(HASH, FLEET, KEY),
    CheckRequest.for_upload(HASH, FLEET, priority="bulk"),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_survives_the_wire(request_: CheckRequest) -> None:
    assert CheckRequest.from_dict(json.loads(json.dumps(request_.to_dict()))) == request_


def test_a_url_is_asked_for_without_spaces_and_fragment() -> None:
    asked = CheckRequest.for_url("  https://example.org/a.png?b=1#top ", FLEET)
    assert asked.target == "https://example.org/a.png?b=1"
    assert asked.flight == CheckRequest.for_url("https://example.org/a.png?b=1#end", FLEET).flight


def test_what_one_computation_answers_shares_a_flight() -> None:
    interactive, bulk = (
        CheckRequest.for_url("http://a.example/", FLEET, priority=p) for p in ("interactive", "bulk")
    )
    assert interactive.flight == bulk.flight
    assert (
        CheckRequest.for_upload(HASH, FLEET, KEY).flight == CheckRequest.for_upload(HASH, FLEET).flight
    )


def test_nothing_else_shares_one() -> None:
    asked = [
        CheckRequest.for_url("http://a.example/", FLEET),
        CheckRequest.for_url("http://a.example/", FLEET, fresh=True),
        CheckRequest.for_url("http://a.example/?", "f" * 16),
        CheckRequest.for_url("http://a.example/", "f" * 16),
        CheckRequest.for_upload(CheckRequest.for_url("http://a.example/", FLEET).identity, FLEET),
        CheckRequest.for_upload(HASH, FLEET),
    ]
    assert len({one.flight for one in asked}) == len(asked)


GOOD: dict[str, Any] = REQUESTS[0].to_dict()
UPLOAD: dict[str, Any] = REQUESTS[2].to_dict()


@pytest.mark.parametrize(
    "wire",
    [
        None,
        [],
        "x",
        {},
        {**GOOD, "extra": 1},
        {key: value for key, value in GOOD.items() if key != "fresh"},
        {**GOOD, "kind": "file"},
        {**GOOD, "kind": ["url"]},
        {**GOOD, "target": 3},
        {**GOOD, "target": None},
        {**GOOD, "sha256": HASH},
        {**GOOD, "fleet": ""},
        {**GOOD, "fleet": FLEET.upper()},
        {**GOOD, "fleet": FLEET + "\n"},
        {**GOOD, "priority": "urgent"},
        {**GOOD, "priority": ["bulk"]},
        {**GOOD, "fresh": 1},
        {**UPLOAD, "sha256": None},
        {**UPLOAD, "sha256": HASH[:-1]},
        {**UPLOAD, "sha256": 64 * "A"},
        {**UPLOAD, "target": "../" + KEY},
        {**UPLOAD, "target": KEY + "0" * 12},
    ],
)
def test_foreign_requests_are_refused(wire: object) -> None:
    with pytest.raises(InputError, match="not a check request"):
        CheckRequest.from_dict(wire)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/a.png",
        "ftp://example.org/a.png",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://example.org/\x1b[31m",
        "http://example.org/\u202egnp.exe",
        "http://example.org/" + MAX_URL_LENGTH * "a",
    ],
)
def test_urls_that_cannot_be_fetched_are_refused_early(url: str) -> None:
    with pytest.raises(InvalidURLError):
        CheckRequest.for_url(url, FLEET)


def test_repr_tells_no_url() -> None:
    assert "token" not in repr(CheckRequest.for_url("http://example.org/?token=secret", FLEET))


def test_an_outcome_is_printed_as_what_came_of_it() -> None:
    assert str(outcome(HASH)) == str(outcome(HASH).verdict)
    assert str(Outcome.of(NotAnImageError("this is no image"))) == "this is no image"


def test_a_verdict_survives_the_wire() -> None:
    one = outcome(HASH)
    assert Outcome.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            HTTPStatusError("busy", status=429, retry_after=3.0, input="http://a.example/"),
            {
                "code": "http_4xx",
                "message": "busy",
                "status": 429,
                "retry_after": 3.0,
                "input": "http://a.example/",
                "retryable": True,
            },
        ),
        (
            NotAnImageError("no image"),
            {"code": "not_an_image", "message": "no image", "retryable": False},
        ),
    ],
)
def test_a_problem_says_what_its_error_said(error: AidetectError, problem: dict[str, Any]) -> None:
    assert Outcome.of(error).problem == problem
    assert Outcome.from_dict(json.loads(json.dumps(Outcome.of(error).to_dict()))) == Outcome.of(error)


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"verdict": None, "problem": None},
        {"verdict": None, "problem": {"code": "x"}},
        {"verdict": None, "problem": {"code": 1, "message": "m", "retryable": True}},
        {"verdict": None, "problem": "x"},
        {"verdict": {}, "problem": None},
        {"verdict": {"label": "ai"}, "problem": None},
        {**outcome(HASH).to_dict(), "problem": Outcome.of(NotAnImageError("x")).problem},
    ],
)
def test_foreign_outcomes_are_refused(wire: dict[str, Any]) -> None:
    with pytest.raises(AidetectError, match="not "):
        Outcome.from_dict(wire)
