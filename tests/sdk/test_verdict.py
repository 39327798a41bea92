import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import pytest

from aidetect import AidetectError, Evidence, ImageInfo, ModelInfo, Reason, Verdict

VERDICT = Verdict(
    label="uncertain",
    probability=0.61,
    decided_by="model",
    uncertain_because="between_thresholds",
    reasons=(Reason("between_thresholds", "The model is not sure enough.", {"ai_from": 0.8}),),
    evidence=(Evidence("model", "unclear", 0.22, {"views": [{"kind": "global", "box": [0, 0, 9, 9]}]}),),
    image=ImageInfo("ab" * 32, 640, 480, "JPEG", 12345),
    model=ModelInfo("default", "1", "cd" * 32),
    checked_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    elapsed_ms=80.5,
    source="holiday.jpg",
)


def test_round_trip_through_json() -> None:
    assert Verdict.from_dict(json.loads(json.dumps(VERDICT.to_dict()))) == VERDICT


def test_keys_of_a_later_version_are_ignored() -> None:
    wire = VERDICT.to_dict()
    wire["new"] = 1
    wire["image"]["colour"] = "sRGB"
    assert Verdict.from_dict(wire) == VERDICT


@pytest.mark.parametrize("key", ["label", "image", "checked_at", "reasons"])
def test_missing_key_is_a_typed_error(key: str) -> None:
    wire = VERDICT.to_dict()
    del wire[key]
    with pytest.raises(AidetectError, match="not a verdict"):
        Verdict.from_dict(wire)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("checked_at", "yesterday"),
        ("checked_at", "2026-01-02T03:04:05"),
        ("image", 3),
        ("image", {**VERDICT.to_dict()["image"], "width": "640"}),
        ("reasons", [1]),
        ("reasons", {}),
        ("reasons", [{"code": "a", "text": 2}]),
        ("evidence", [{"kind": "model", "finding": "ai", "strength": "much"}]),
        ("label", "fake"),
        ("label", ["ai"]),
        ("probability", True),
        ("elapsed_ms", "80"),
        ("source", 5),
        ("cached", "no"),
        ("uncertain_because", ["flat"]),
    ],
)
def test_wrong_form_is_a_typed_error(key: str, value: object) -> None:
    with pytest.raises(AidetectError, match="not a verdict"):
        Verdict.from_dict({**VERDICT.to_dict(), key: value})


def test_whole_numbers_are_numbers() -> None:
    assert Verdict.from_dict({**VERDICT.to_dict(), "elapsed_ms": 80}).elapsed_ms == 80


def test_verdicts_can_be_in_sets() -> None:
    again = Verdict.from_dict(VERDICT.to_dict())
    assert {VERDICT, again} == {VERDICT} and hash(VERDICT) == hash(again)
    assert len({VERDICT, replace(VERDICT, source="other.jpg")}) == 2


def test_no_probability_reads_as_a_certainty() -> None:
    sure = replace(VERDICT, label="ai", uncertain_because=None, probability=0.997)
    assert "P(AI) = >99%" in str(sure)


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        VERDICT.label = "ai"  # type: ignore[misc]


def test_reads_well() -> None:
    assert str(VERDICT) == ("holiday.jpg: Uncertain (P(AI) = 61%)\n  - The model is not sure enough.")


def test_names_from_strangers_cannot_steer_the_terminal() -> None:
    hostile = str(replace(VERDICT, source="a\x1b[31m\u202egpj.exe\n"))
    assert "\x1b" not in hostile and "\u202e" not in hostile and hostile.count("\n") == 1
