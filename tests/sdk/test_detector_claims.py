"""Claims of a file in the verdict: through `Detector`, in every form of input, and on the terminal."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect import Detector, Verdict
from aidetect._cli._show import card, json_line, line
from aidetect._engine import Engine

from .image_files import chunk, save
from .metadata_files import INFOTEXT, jpeg, png, with_credentials
from .signed_files import CAPTURED, MADE_BY_AI, TRUSTED, authority, signed
from .verdicts import verdict

CLAIM = chunk(b"tEXt", b"parameters\0" + INFOTEXT.encode())


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(views="fast")


@pytest.fixture(scope="module")
def plain(photograph: Path) -> bytes:
    with Image.open(photograph) as image:
        return save(image, "PNG")


@pytest.fixture(scope="module")
def claiming(plain: bytes) -> bytes:
    return plain[:33] + CLAIM + plain[33:]


def always(z: float, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the model say the same log-odds of every image."""
    fixed = replace(
        engine._calibration,
        both=(0, 0, z),
        alone=(0, z),
        texture=(0, 0),
        floor=0.01,
        real_to=0.1,
        ai_from=0.9,
    )
    monkeypatch.setattr(engine, "_calibration", fixed)


def as_the_rules_say(without: Verdict, with_claim: Verdict) -> None:
    expected = {
        "ai": ("ai", "model", None, "claim_agrees"),
        "real": ("uncertain", "metadata", "conflict", "conflict"),
        "uncertain": ("ai", "metadata", None, "claim_decides"),
    }[without.label]
    got = with_claim
    assert (got.label, got.decided_by, got.uncertain_because, got.reasons[0].code) == expected
    assert got.probability == without.probability
    assert got.evidence[0] == without.evidence[0]
    assert got.reasons[1:] == without.reasons


def test_a_claim_counts_by_the_rules_whatever_the_model_says(
    detector: Detector, plain: bytes, claiming: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_the_rules_say(detector.check(plain), detector.check(claiming))
    labels = set()
    for z in (-3.0, 0.0, 3.0):
        always(z, detector._answering.engine, monkeypatch)
        without, with_claim = detector.check(plain), detector.check(claiming)
        labels.add(without.label)
        as_the_rules_say(without, with_claim)
    assert labels == {"real", "uncertain", "ai"}


def test_every_way_to_give_a_file_finds_the_claim_and_pixels_have_none(
    detector: Detector, claiming: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "claim.png"
    path.write_bytes(claiming)
    with open(path, "rb") as file:
        verdicts = [detector.check(x) for x in (claiming, path, str(path), file)]
    verdicts += [v for v in detector.check_many([claiming]) if isinstance(v, Verdict)]
    for one in verdicts:
        assert [e.kind for e in one.evidence] == ["model", "metadata"]
        assert one.evidence[1].details["generator"] == "Stable Diffusion web UI"
        assert one.evidence[1].details["signed"] is False
        assert Verdict.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert len(verdicts) == 5
    image = Image.open(io.BytesIO(claiming))
    for pixels in (image, np.asarray(image.convert("RGB"))):
        assert [e.kind for e in detector.check(pixels).evidence] == ["model"]


def test_a_claim_on_an_image_too_small_or_flat_for_the_model_decides(detector: Detector) -> None:
    small = save(Image.new("RGB", (20, 20), "red"), "PNG")
    flat = save(Image.new("RGB", (300, 300), "red"), "PNG")
    for plain, because in ((small, "too_small"), (flat, "flat")):
        assert detector.check(plain).uncertain_because == because
        got = detector.check(plain[:33] + CLAIM + plain[33:])
        assert (got.label, got.decided_by) == ("ai", "metadata")
        assert [reason.code for reason in got.reasons[:2]] == ["claim_decides", because]


def test_camera_and_credentials_change_no_label_and_are_told(detector: Detector) -> None:
    without = detector.check(jpeg())
    camera = detector.check(jpeg(make="Canon", model="EOS R5"))
    assert (camera.label, camera.decided_by) == (without.label, "model")
    assert camera.reasons[0].code == "camera_named"
    signed = detector.check(with_credentials("PNG"))
    assert signed.decided_by == "model"
    assert signed.reasons[0].code == "credentials_invalid"
    assert signed.evidence[1].details["state"] == "invalid"


def test_a_trusted_signature_decides_against_any_answer_of_the_model(
    detector: Detector, photograph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes(authority(TRUSTED).pem)
    data = photograph.read_bytes()
    by_ai, by_camera = signed(MADE_BY_AI, data=data), signed(CAPTURED, data=data)
    assert detector.check(by_ai).decided_by != "credentials"  # nobody here trusts that signer yet
    monkeypatch.setenv("AIDETECT_TRUST_ANCHORS", str(anchors))
    for z, label in ((-3.0, "real"), (0.0, "uncertain"), (3.0, "ai")):
        always(z, detector._answering.engine, monkeypatch)
        assert detector.check(data).label == label
        got = detector.check(by_ai)
        assert (got.label, got.decided_by, got.uncertain_because) == ("ai", "credentials", None)
        assert Verdict.from_dict(json.loads(json.dumps(got.to_dict()))) == got
        camera = detector.check(by_camera)
        assert camera.label == ("uncertain" if label == "ai" else label)
        assert camera.decided_by == ("credentials" if label == "ai" else "model")


def test_a_hostile_claim_is_harmless_on_the_terminal_and_in_json(detector: Detector) -> None:
    nasty = "\x1b[2J\u202egpj.exe" + "A" * 5000
    steps = f"\nSteps: 2, Sampler: {nasty}, CFG scale: 7, Seed: 1"
    for data in (png(parameters=steps), jpeg(make="\x1b[2J" + "M" * 400, model="x")):
        got = detector.check(data)
        shown = card(got, lambda text, _: text) + str(got) + line(got, lambda text, _: text)
        assert not {"\x1b", "\u202e"} & set(shown)
        wire = json_line(got)
        assert wire.isascii() and len(wire) < 6000
        assert len(got.evidence) == 2


def test_one_line_says_that_the_file_decided() -> None:
    claimed = verdict("ai", decided_by="metadata")
    assert "the file says so" in line(claimed, lambda text, _: text)
    assert "the file says so" not in line(verdict("ai"), lambda text, _: text)
    assert "signed to be so" in line(verdict("ai", decided_by="credentials"), lambda text, _: text)
    assert "conflict" in line(
        verdict("uncertain", decided_by="metadata", uncertain_because="conflict"), lambda text, _: text
    )
