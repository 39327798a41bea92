"""The truth table of the rules that fuse the model's answer with what the file says."""

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
HARMLESS = (EDITED, NOT_AI, CAMERA)

VALID = {"state": "valid", "signer": "Maker Ltd", "signed_at": "2026-01-02T03:04:05Z"}
UNKNOWN = {"state": "untrusted signer", "signer": "Somebody"}
CREDENTIALS = {
    "credentials_signed_ai": Finding(SIGNALS["credentials_signed_ai"], "Dream Machine", VALID),
    "credentials_signed_edited": Finding(SIGNALS["credentials_signed_edited"], "Fill", VALID),
    "credentials_signed_camera": Finding(SIGNALS["credentials_signed_camera"], None, VALID),
    "credentials_signed": Finding(SIGNALS["credentials_signed"], None, VALID),
    "credentials_untrusted_ai": Finding(SIGNALS["credentials_untrusted_ai"], "Forger", UNKNOWN),
    "credentials_untrusted_edited": Finding(SIGNALS["credentials_untrusted_edited"], None, UNKNOWN),
    "credentials_untrusted": Finding(SIGNALS["credentials_untrusted"], None, UNKNOWN),
    "credentials_invalid": Finding(SIGNALS["credentials_invalid"], None, {"state": "invalid"}),
    "credentials_remote": Finding(SIGNALS["credentials_remote"], None, {"state": "remote, not read"}),
    "credentials": Finding(SIGNALS["credentials"], None, {"state": "not checked", "why": "x"}),
}
TOLD_OF = {
    "credentials_signed_edited": "signed_edited",
    "credentials_signed_camera": "signed_camera",
    "credentials_signed": "signed_silent",
    "credentials_untrusted_ai": "credentials_untrusted",
    "credentials_untrusted_edited": "credentials_untrusted",
    "credentials_untrusted": "credentials_untrusted",
    "credentials_invalid": "credentials_invalid",
    "credentials_remote": "credentials_remote",
    "credentials": "credentials_not_checked",
}
"""What each adds to the reasons where it did not itself decide."""

WHY = ("between_thresholds", "views_disagree", "too_small", "flat")
MODEL = [("ai", None), ("real", None), *(("uncertain", why) for why in WHY)]
AS_MODEL = "as the model"

# (model's label, an unsigned claim of AI, the credentials) → label, because, decided by, first reason.
# Credentials: signed for AI, signed by a camera, AI by an unknown signer, or any other state and none.
TRUTH = {
    ("ai", False, "other"): ("ai", None, "model", None),
    ("real", False, "other"): ("real", None, "model", None),
    ("uncertain", False, "other"): ("uncertain", AS_MODEL, "model", None),
    ("ai", True, "other"): ("ai", None, "model", "claim_agrees"),
    ("real", True, "other"): ("uncertain", "conflict", "metadata", "conflict"),
    ("uncertain", True, "other"): ("ai", None, "metadata", "claim_decides"),
    ("ai", False, "unknown"): ("ai", None, "model", "claim_agrees"),
    ("real", False, "unknown"): ("uncertain", "conflict", "metadata", "conflict"),
    ("uncertain", False, "unknown"): ("ai", None, "metadata", "claim_decides"),
    ("ai", True, "unknown"): ("ai", None, "model", "claim_agrees"),
    ("real", True, "unknown"): ("uncertain", "conflict", "metadata", "conflict"),
    ("uncertain", True, "unknown"): ("ai", None, "metadata", "claim_decides"),
    ("ai", False, "signed ai"): ("ai", None, "credentials", "signed_agrees"),
    ("real", False, "signed ai"): ("ai", None, "credentials", "signed_conflict"),
    ("uncertain", False, "signed ai"): ("ai", None, "credentials", "signed_decides"),
    ("ai", True, "signed ai"): ("ai", None, "credentials", "signed_agrees"),
    ("real", True, "signed ai"): ("ai", None, "credentials", "signed_conflict"),
    ("uncertain", True, "signed ai"): ("ai", None, "credentials", "signed_decides"),
    ("ai", False, "signed camera"): ("uncertain", "conflict", "credentials", "camera_conflict"),
    ("real", False, "signed camera"): ("real", None, "model", None),
    ("uncertain", False, "signed camera"): ("uncertain", AS_MODEL, "model", None),
    ("ai", True, "signed camera"): ("uncertain", "conflict", "credentials", "camera_conflict"),
    ("real", True, "signed camera"): ("uncertain", "conflict", "credentials", "camera_conflict"),
    ("uncertain", True, "signed camera"): ("uncertain", "conflict", "credentials", "camera_conflict"),
}
CLASS = {
    "credentials_signed_ai": "signed ai",
    "credentials_signed_camera": "signed camera",
    "credentials_untrusted_ai": "unknown",
}


def codes(fused: Fused) -> list[str]:
    return [reason.code for reason in fused.reasons]


@pytest.mark.parametrize("credentials", [None, *CREDENTIALS])
@pytest.mark.parametrize(
    ("model", "claims"), list(product(MODEL, [(), (AI,), (UNNAMED,), (AI, UNNAMED)]))
)
@pytest.mark.parametrize("others", [(), HARMLESS], ids=["alone", "beside others"])
def test_truth_table(model: tuple, claims: tuple, credentials: str | None, others: tuple) -> None:
    label, because = model
    row = (label, bool(claims), CLASS.get(credentials or "", "other"))
    expected_label, expected_because, decided_by, first = TRUTH[row]
    signed = (CREDENTIALS[credentials],) if credentials else ()
    fused = fuse(label, because, signed + claims + others)
    assert fused.label == expected_label
    assert fused.because == (because if expected_because == AS_MODEL else expected_because)
    assert fused.decided_by == decided_by
    told = [TOLD_OF[credentials]] if credentials in TOLD_OF and decided_by != "credentials" else []
    if others:
        told += ["claim_edited", "claim_not_ai", "camera_named"]
    assert codes(fused) == ([first] if first else []) + told


def test_the_table_has_all_rows_and_every_state_of_credentials() -> None:
    classes = ("other", "unknown", "signed ai", "signed camera")
    assert set(TRUTH) == set(product(("ai", "real", "uncertain"), (False, True), classes))
    assert set(CREDENTIALS) == {key for key, s in SIGNALS.items() if s.kind == "credentials"}


@pytest.mark.parametrize(
    "finding",
    [*HARMLESS, *(f for key, f in CREDENTIALS.items() if key not in CLASS)],
    ids=lambda finding: finding.signal.key,
)
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


def test_a_signed_statement_names_its_signer_and_what_it_speaks_against() -> None:
    signed = CREDENTIALS["credentials_signed_ai"]
    (reason,) = fuse("real", None, (signed,)).reasons
    assert reason.params == {
        "signer": "Maker Ltd", "signed_at": "2026-01-02T03:04:05Z", "generator": "Dream Machine",
        "model": "real",
    }  # fmt: skip
    assert "Maker Ltd" in reason.text and "Dream Machine" in reason.text
    assert "the model firmly says the opposite" in reason.text
    camera = CREDENTIALS["credentials_signed_camera"]
    (reason,) = fuse("ai", None, (camera,)).reasons
    assert reason.params["against"] == ["model"] and "the model says AI" in reason.text
    (reason,) = fuse("real", None, (camera, AI)).reasons
    assert reason.params["against"] == ["claim"] and "another claim" in reason.text
    (reason,) = fuse("ai", None, (camera, AI)).reasons
    assert reason.params["against"] == ["model", "claim"] and "say AI" in reason.text


def test_a_claim_signed_by_somebody_unknown_is_not_called_unsigned() -> None:
    for label, because in MODEL:
        reason = fuse(label, because, (CREDENTIALS["credentials_untrusted_ai"],)).reasons[0]  # type: ignore[arg-type]
        assert "signed by somebody who is not trusted" in reason.text
        reason = fuse(label, because, (CREDENTIALS["credentials_untrusted_ai"], AI)).reasons[0]  # type: ignore[arg-type]
        assert "unsigned" in reason.text


def test_a_claim_of_no_ai_against_the_answer_is_told_as_such() -> None:
    assert fuse("ai", None, (NOT_AI,)).reasons[0].params["against"] is True
    assert "against what the model sees" in fuse("ai", None, (NOT_AI,)).reasons[0].text
    assert fuse("real", None, (NOT_AI,)).reasons[0].params["against"] is False
    signed = CREDENTIALS["credentials_signed_ai"]
    reason = fuse("real", None, (signed, NOT_AI)).reasons[1]
    assert reason.params["against"] is True and "against the signed statement" in reason.text


def test_one_kind_of_news_is_told_once() -> None:
    composite = Finding(SIGNALS["iptc_composite"], None, {"value": "compositeSynthetic"})
    assert codes(fuse("real", None, (composite, EDITED))) == ["claim_edited"]


def test_a_long_name_does_not_push_the_caveat_out_of_sight() -> None:
    long = "A" * 300
    claim = Finding(SIGNALS["iptc_ai_system"], long)
    camera = Finding(SIGNALS["camera"], None, {"make": long, "model": long, "maker_note": "no"})
    edit = Finding(SIGNALS["google_edited"], long)
    forged = Finding(SIGNALS["credentials_untrusted_ai"], long, {**UNKNOWN, "signer": long})
    for label, because in MODEL:
        for reason in fuse(label, because, (claim, camera, edit, forged)).reasons:  # type: ignore[arg-type]
            assert len(reason.text) < 300
            assert any(word in reason.text for word in ("unsigned", "forged", "anybody can make"))
