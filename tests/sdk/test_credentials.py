"""Content Credentials signed here, then tampered with one by one: what is said of each, and that
nothing is ever sent."""

import contextlib
import datetime
import http.server
import io
import re
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import c2pa
import pytest
from cryptography import x509
from PIL import Image

from aidetect._errors import ConfigurationError
from aidetect._image import decode
from aidetect._provenance import (
    Finding,
    _credentials,
    claims_from_dicts,
    find_claims,
    trust_fingerprint,
)
from aidetect._provenance._signals import SIGNALS

from .signed_files import (
    CAPTURED,
    FORMS,
    MADE_BY_AI,
    TRUSTED,
    Party,
    action,
    authority,
    picture,
    signed,
    signer,
)

EDITED_BY_AI = action("edited", "compositeWithTrainedAlgorithmicMedia", "Fill")
OPENED = action("opened")


@pytest.fixture(autouse=True)
def anchors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tests' own authority is trusted, but no other."""
    path = tmp_path / "anchors.pem"
    path.write_bytes(authority(TRUSTED).pem)
    monkeypatch.setenv("AIDETECT_TRUST_ANCHORS", str(path))
    return path


def finding(data: bytes, form: str = "JPEG") -> Finding:
    (found,) = find_claims(data, form)
    (again,) = claims_from_dicts([found.to_dict()])
    assert again == found and again.details == found.details
    return found


def key(data: bytes, form: str = "JPEG") -> str:
    return finding(data, form).signal.key.removeprefix("credentials")


@pytest.mark.parametrize("form", FORMS)
def test_a_signed_statement_is_read_in_every_format(form: str) -> None:
    data = signed(MADE_BY_AI, form=form)
    assert decode(data).format == form
    found = finding(data, form)
    assert (found.signal.key, found.says) == ("credentials_signed_ai", "ai")
    assert found.generator == "Dream Machine"
    assert found.details == {
        "state": "valid", "signer": "Maker Ltd", "source_type": "trainedAlgorithmicMedia",
        "made_with": "Test Kit 1",
    }  # fmt: skip
    evidence = found.to_evidence()
    assert (evidence.kind, evidence.details["signed"]) == ("credentials", True)


@pytest.mark.parametrize("form", FORMS)
def test_a_pixel_changed_after_signing_makes_it_invalid(form: str) -> None:
    data = bytearray(signed(MADE_BY_AI, form=form))
    untouched = picture(form)
    at = data.find(untouched[len(untouched) * 3 // 5 :][:16])
    assert at > 0
    data[at + 7] ^= 1
    found = finding(bytes(data), form)
    assert (found.signal.key, found.says) == ("credentials_invalid", "unclear")
    assert "Hash.mismatch" in found.details["failures"]
    assert found.generator is None and found.to_evidence().details["signed"] is False


def changed(data: bytes, old: bytes, new: bytes, which: int = 0) -> bytes:
    assert len(old) == len(new) and data.count(old) > which
    at = -1
    for _ in range(which + 1):
        at = data.index(old, at + 1)
    return data[:at] + new + data[at + len(old) :]


def test_whoever_changes_an_assertion_or_the_claim_breaks_the_signature() -> None:
    data = signed(MADE_BY_AI)
    capture = changed(data, b"trainedAlgorithmicMedia", b"digitalCapture_________")
    assert key(capture) == "_invalid"
    assert "assertion.hashedURI.mismatch" in finding(capture).details["failures"]
    assert key(changed(data, b"Test Kit", b"Best Kit")) == "_invalid"
    assert key(changed(data, b"Dream Machine", b"Human Painter")) == "_invalid"


def test_credentials_moved_into_another_file_are_invalid() -> None:
    data = signed(MADE_BY_AI, form="PNG")
    end = 8 + 25
    length = int.from_bytes(data[end : end + 4], "big")
    assert data[end + 4 : end + 8] == b"caBX"
    other = picture("PNG")
    moved = other[:end] + data[end : end + 12 + length] + other[end:]
    assert find_claims(moved, "PNG")[0].signal.key == "credentials_signed_ai"  # the same pixels
    noise = bytearray(moved)
    noise[-40] ^= 1
    assert key(bytes(noise), "PNG") == "_invalid"


def soon_expired() -> tuple[Party, bytes]:
    """A signer, and an image signed while it was valid: nothing signs with one that has expired, so
    where that took too long, another has more time."""
    for seconds in (2, 10, 60):
        party = signer(f"Old {seconds}", seconds=seconds)
        with contextlib.suppress(c2pa.C2paError):
            return party, signed(MADE_BY_AI, party=party)
    raise AssertionError("an image took more than a minute to sign")


def test_an_expired_signer_is_not_trusted() -> None:
    """Without a timestamp nobody knows whether it signed before. The image is as it was signed, though,
    and what it says stays a claim."""
    party, data = soon_expired()
    while datetime.datetime.now(datetime.UTC) <= party.certificate.not_valid_after_utc:
        time.sleep(0.2)
    time.sleep(1.1)
    found = finding(data)
    assert (found.signal.key, found.details["state"]) == ("credentials_untrusted_ai", "untrusted signer")
    assert "expired" in found.details["failures"]
    data = changed(data, b"Dream Machine", b"Human Painter")
    assert key(data) == "_invalid"


def test_the_signature_of_somebody_else_is_told_as_such() -> None:
    data = signed(MADE_BY_AI, party=signer("OpenAI", by="Own CA"))
    found = finding(data)
    assert (found.signal.key, found.says) == ("credentials_untrusted_ai", "ai")
    assert found.details["state"] == "untrusted signer"
    assert found.to_evidence().details["signed"] is False
    assert key(signed(CAPTURED, party=signer("Camera", by="Own CA"))) == "_untrusted"
    stranger = signer("Editor", by="Own CA")
    edited = signed(OPENED, EDITED_BY_AI, party=stranger, ingredients=[("parentOf", picture())])
    assert (key(edited), finding(edited).says) == ("_untrusted_edited", "edited")


def test_the_published_trust_list_is_there_and_knows_no_strangers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AIDETECT_TRUST_ANCHORS")
    assert key(signed(MADE_BY_AI)) == "_untrusted_ai"
    text = _credentials._TRUST_LIST.read_text(encoding="utf-8")
    assert re.search(r"as of 20\d\d-\d\d-\d\d", text) and "CC BY 4.0" in text
    certificates = x509.load_pem_x509_certificates(text.encode())
    assert len(certificates) == 30
    constraints = [c.extensions.get_extension_for_class(x509.BasicConstraints) for c in certificates]
    assert all(constraint.value.ca for constraint in constraints)


def test_credentials_of_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(Image.open(io.BytesIO(picture("PNG")))).save(file, quality=80)
    data = signed(MADE_BY_AI, form="HEIF", data=file.getvalue())
    assert key(data, "HEIF") == "_signed_ai"
    assert key(data[:-20] + b"x" + data[-19:], "HEIF") == "_invalid"


def test_a_manifest_without_actions_around_an_ai_image_is_that_image() -> None:
    """The form of GPT-4o's images in 2025."""
    made = signed(MADE_BY_AI, party=signer("OpenAI", by="Own CA"))
    wrapped = signed(ingredients=[("componentOf", made)], party=signer("OpenAI", by="Own CA"))
    assert (key(wrapped), finding(wrapped).generator) == ("_untrusted_ai", "Dream Machine")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_anywhere_never_keeps_its_signed_statement(form: str) -> None:
    data = signed(MADE_BY_AI, form=form)
    said = set()
    for end in range(1, len(data), max(1, len(data) // 40)):
        said |= {f.signal.key for f in find_claims(data[:end], form)}
    assert said <= {"credentials_invalid"}


def test_a_photograph_that_ai_edited_is_not_an_ai_image() -> None:
    camera = signed(CAPTURED, party=signer("Camera"))
    assert key(camera) == "_signed_camera"
    edited = signed(OPENED, EDITED_BY_AI, ingredients=[("parentOf", camera)])
    assert (key(edited), finding(edited).generator) == ("_signed_edited", "Fill")
    assert finding(edited).details["ingredients"] == "1"
    plain = signed(OPENED, action("cropped"), ingredients=[("parentOf", camera)])
    assert key(plain) == "_signed"  # what an editor put in is nobody's capture
    whole = signed(action("created", "compositeSynthetic"))
    assert key(whole) == "_signed_edited"


def test_a_version_of_an_ai_image_is_one_and_a_collage_with_one_holds_ai() -> None:
    made = signed(MADE_BY_AI)
    version = signed(OPENED, action("converted"), ingredients=[("parentOf", made)])
    assert (key(version), finding(version).generator) == ("_signed_ai", "Dream Machine")
    collage = signed(
        action("created", "digitalCreation"), action("placed"), ingredients=[("componentOf", made)]
    )
    assert key(collage) == "_signed_edited"
    asked = signed(CAPTURED, ingredients=[("inputTo", made)])
    assert key(asked) == "_signed"


def test_a_statement_of_an_unknown_signer_gains_nothing_from_a_trusted_one_on_top() -> None:
    """Otherwise anybody could sign 'made by AI' for a photograph, and have an editor countersign."""
    forged = signed(MADE_BY_AI, party=signer("Nobody", by="Own CA"))
    assert key(signed(OPENED, ingredients=[("parentOf", forged)])) == "_signed"
    tampered = changed(signed(CAPTURED), b"digitalCapture", b"digitalFeature")
    assert key(signed(OPENED, ingredients=[("parentOf", tampered)])) == "_signed"


def test_presence_alone_is_never_ai() -> None:
    for actions in ([action("created", "digitalCreation")], [action("created")], [CAPTURED]):
        assert finding(signed(*actions)).says != "ai"
    assert key(signed(action("created", "algorithmicMedia"))) == "_signed"


class _Listener(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    do_POST = do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and what it was asked."""
    asked: list[str] = []
    handler = type("Listener", (_Listener,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", asked
        finally:
            server.shutdown()
            thread.join()


def test_no_address_in_a_file_is_ever_asked(listener: tuple[str, list[str]]) -> None:
    address, asked = listener
    elsewhere = signed(MADE_BY_AI, remote=address + "manifest", embed=False)
    both = signed(MADE_BY_AI, remote=address + "manifest")
    revocable = signed(MADE_BY_AI, party=signer("Revocable", ocsp=address + "ocsp"))
    found = finding(elsewhere)
    assert (found.signal.key, found.details["state"]) == ("credentials_remote", "remote, not read")
    assert key(both) == key(revocable) == "_signed_ai"
    broken = changed(both, b"jumdc2pa", b"jumdc2pq") + b"jumdc2pa"
    find_claims(broken, "JPEG")
    _credentials.check_credentials(elsewhere, "JPEG", 1)
    assert asked == []
    # What the library does by default, so that this test can fail:
    with pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/jpeg", io.BytesIO(elsewhere))
    assert asked == ["/manifest"]


def test_many_threads_check_at_once() -> None:
    files = [signed(MADE_BY_AI), signed(CAPTURED), signed(MADE_BY_AI, form="PNG")] * 20
    forms = ["JPEG", "JPEG", "PNG"] * 20
    with ThreadPoolExecutor(8) as pool:
        found = [keys[0].signal.key for keys in pool.map(find_claims, files, forms)]
    expected = ["credentials_signed_ai", "credentials_signed_camera", "credentials_signed_ai"]
    assert found == expected * 20


def test_without_the_extra_their_presence_is_still_said(monkeypatch: pytest.MonkeyPatch) -> None:
    data = signed(MADE_BY_AI)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = finding(data)
    assert (found.signal.key, found.says) == ("credentials", "unclear")
    assert found.details["state"] == "not checked" and "credentials" in found.details["why"]


def test_a_store_beyond_the_bound_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_credentials, "STORE_LIMIT", 1000)
    for form in FORMS:
        found = finding(signed(MADE_BY_AI, form=form), form)
        assert found.signal.key == "credentials" and "larger" in found.details["why"]


def test_a_file_that_is_read_over_and_over_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_credentials, "_READ_LIMIT", 1)
    assert key(signed(MADE_BY_AI)) == "_invalid"


@pytest.mark.parametrize("text", [None, "no certificate", "\udcff", "-----BEGIN CERTIFICATE-----\nx"])
def test_anchors_that_cannot_be_used_are_said_and_not_ignored(text: str | None, anchors: Path) -> None:
    if text is None:
        anchors.unlink()
    else:
        anchors.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match="AIDETECT_TRUST_ANCHORS"):
        find_claims(signed(MADE_BY_AI), "JPEG")
    assert find_claims(picture(), "JPEG") == ()


def test_the_fingerprint_names_the_anchors(anchors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trust_fingerprint()
    anchors.write_bytes(authority("Another CA").pem)
    assert trust_fingerprint() != first
    monkeypatch.delenv("AIDETECT_TRUST_ANCHORS")
    assert trust_fingerprint() != first
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert trust_fingerprint() == "unchecked"


def test_strings_of_a_manifest_are_harmless_to_show() -> None:
    nasty = "\x1b[2J\u202e<script>=cmd()" + "A" * 5000
    made = MADE_BY_AI | {"softwareAgent": {"name": nasty}}
    found = finding(signed(made, generator=nasty))
    assert found.generator is not None and len(found.generator) <= 320
    for text in (found.generator, *found.details.values()):
        assert text.isprintable() and "\u202e" not in text


def test_every_state_has_its_signal() -> None:
    named = {name for name in SIGNALS if name.startswith("credentials")}
    assert {name for name in named if SIGNALS[name].signed} == {
        "credentials_signed_ai", "credentials_signed_edited", "credentials_signed_camera",
        "credentials_signed",
    }  # fmt: skip
    assert not {s.key for s in SIGNALS.values() if s.signed and s.key not in named}
