"""The truth table of the rules that fuse the model's answer with the file's claims."""

from itertools import product

import pytest

from aidetect._fusion import Fused, fuse
from aidetect._provenance import Finding
from aidetect._provenance._signals import SIGNALS

AI = Finding(SIGNALS["webui"], "Stable Diffusion web UI", {"seed": "1"})
UNNAMED = Finding(SIGNALS["iptc_ai"])
EDITED = Finding(SIGNALS["google_edited"], "Google AI")
NOT_AI = Finding(SIGNALS["iptc_not_ai"], None, {"value": "digitalCapture"})
CAMERA = Finding(SIGNALS["camera"], None, {"make": "Canon", "model": "EOS R5", "maker_note": "yes"})
UNCHECKED = Finding(SIGNALS["credentials"], None, {"state": "not checked"})
HARMLESS = (EDITED, NOT_AI, CAMERA, UNCHECKED)

WHY = ("between_thresholds", "views_disagree", "too_small", "flat")
MODEL = [("ai", None), ("real", None), *(("uncertain", why) for why in WHY)]

# The model's label, whether the file claims AI → label, uncertain because, decided by, first reason.
TRUTH = {
    ("ai", False): ("ai", None, "model", None),
    ("real", False): ("real", None, "model", None),
    ("uncertain", False): ("uncertain", "as the model", "model", None),
    ("ai", True): ("ai", None, "model", "claim_agrees"),
    ("real", True): ("uncertain", "conflict", "metadata", "conflict"),
    ("uncertain", True): ("ai", None, "metadata", "claim_decides"),
}


def codes(fused: Fused) -> list[str]:
    return [reason.code for reason in fused.reasons]


@pytest.mark.parametrize(
    ("model", "claims"), list(product(MODEL, [(), (AI,), (UNNAMED,), (AI, UNNAMED)]))
)
@pytest.mark.parametrize("others", [(), HARMLESS], ids=["alone", "beside others"])
def test_truth_table(model: tuple, claims: tuple, others: tuple) -> None:
    label, because = model
    expected_label, expected_because, decided_by, first = TRUTH[label, bool(claims)]
    fused = fuse(label, because, claims + others)
    assert fused.label == expected_label
    assert fused.because == (because if expected_because == "as the model" else expected_because)
    assert fused.decided_by == decided_by
    told = ["claim_edited", "claim_not_ai", "camera_named", "credentials_not_checked"] if others else []
    assert codes(fused) == ([first] if first else []) + told


@pytest.mark.parametrize("finding", HARMLESS, ids=lambda finding: finding.signal.key)
@pytest.mark.parametrize("model", MODEL)
def test_what_does_not_claim_ai_changes_no_label_but_is_told(model: tuple, finding: Finding) -> None:
    fused = fuse(*model, (finding,))
    assert (fused.label, fused.because, fused.decided_by) == (*model, "model")
    assert len(fused.reasons) == 1


@pytest.mark.parametrize("model", [m for m in MODEL if m[0] != "real"])
@pytest.mark.parametrize("signal", list(SIGNALS.values()), ids=lambda signal: signal.key)
def test_nothing_in_a_file_ever_decides_real(model: tuple, signal: object) -> None:
    details = {"make": "a", "model": "b", "state": "c"}
    assert fuse(*model, (Finding(signal, None, details),)).label != "real"  # type: ignore[arg-type]


def test_a_conflict_names_both_sides_and_the_generator() -> None:
    (reason,) = fuse("real", None, (AI, AI, UNNAMED)).reasons
    assert reason.params == {
        "signals": ["webui", "webui", "iptc_ai"], "generators": ["Stable Diffusion web UI"],
    }  # fmt: skip
    assert "Stable Diffusion web UI" in reason.text and "unsigned" in reason.text
    assert "model firmly says the opposite" in reason.text


def test_a_claim_of_no_ai_against_the_model_is_told_as_such() -> None:
    assert fuse("ai", None, (NOT_AI,)).reasons[0].params["against"] is True
    assert "against what the model sees" in fuse("ai", None, (NOT_AI,)).reasons[0].text
    assert fuse("real", None, (NOT_AI,)).reasons[0].params["against"] is False


def test_one_kind_of_news_is_told_once() -> None:
    composite = Finding(SIGNALS["iptc_composite"], None, {"value": "compositeSynthetic"})
    assert codes(fuse("real", None, (composite, EDITED))) == ["claim_edited"]


def test_a_long_name_does_not_push_the_caveat_out_of_sight() -> None:
    long = "A" * 300
    claim = Finding(SIGNALS["iptc_ai_system"], long)
    camera = Finding(SIGNALS["camera"], None, {"make": long, "model": long, "maker_note": "no"})
    edit = Finding(SIGNALS["google_edited"], long)
    for label, because in MODEL:
        for reason in fuse(label, because, (claim, camera, edit)).reasons:  # type: ignore[arg-type]
            assert len(reason.text) < 300
            assert "unsigned" in reason.text or "forged" in reason.text
