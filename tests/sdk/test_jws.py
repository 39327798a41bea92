"""Signed verdicts: what a signature covers, and everything that must not pass for one."""

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from aidetect import ConfigurationError, SignatureError, Verdict
from aidetect._jws import ALGORITHM, MAX_TOKEN, TYPE, UNSIGNED, Keys, sign

from .verdicts import AI, verdict

KEY = OKPKey.generate_key("Ed25519")
OTHER = OKPKey.generate_key("Ed25519")
KEYS = Keys({KEY.thumbprint(): KEY})
TOKEN = sign(AI, KEY)
HEADER = {"alg": ALGORITHM, "kid": KEY.thumbprint(), "typ": TYPE}
PAYLOAD = json.dumps({"aidetect": 1, "verdict": {"label": "real"}}).encode()


def encoded(data: bytes | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed_by(key: OKPKey, header: dict[str, Any]) -> str:
    """A token of `PAYLOAD` under this header, made without the library that would refuse it."""
    signed = f"{encoded(header)}.{encoded(PAYLOAD)}"
    return f"{signed}.{encoded(key.get_op_key('sign').sign(signed.encode()))}"


def wire() -> dict[str, Any]:
    """The verdict as it comes over the network."""
    found: dict[str, Any] = json.loads(json.dumps(AI.to_dict()))
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON value, containers too."""
    yield path
    if isinstance(value, dict):
        for name, each in value.items():
            yield from places(each, (*path, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*path, index))


SIGNED = [path for path in places(wire()) if path and path[0] not in UNSIGNED]


def other(value: Any) -> Any:
    """Another value of the same kind, as near as can be."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 1e-12
    if isinstance(value, str):
        return value + "\N{ZERO WIDTH SPACE}"
    if isinstance(value, list):
        return [*value, None]
    return {**value, "new": None} if isinstance(value, dict) else 0


def test_a_signed_verdict_verifies_as_object_and_as_wire_form() -> None:
    KEYS.verify(AI, TOKEN)
    KEYS.verify(wire(), TOKEN)
    KEYS.verify(Verdict.from_dict(wire()), TOKEN)
    assert KEYS.claims(TOKEN)["image"]["sha256"] == AI.image.sha256


@pytest.mark.parametrize("name", sorted(UNSIGNED))
def test_how_the_verdict_was_got_is_not_signed(name: str) -> None:
    changed = {**wire(), name: "something else"}
    KEYS.verify(changed, TOKEN)
    assert name not in KEYS.claims(TOKEN)


@pytest.mark.parametrize("path", SIGNED, ids=lambda path: ".".join(map(str, path)))
def test_a_change_of_any_value_is_found(path: tuple[Any, ...]) -> None:
    changed = wire()
    inside = changed
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = other(inside[path[-1]])
    with pytest.raises(SignatureError, match=str(path[0])):
        KEYS.verify(changed, TOKEN)


@pytest.mark.parametrize("name", sorted(wire().keys() - UNSIGNED))
def test_a_missing_field_is_found(name: str) -> None:
    changed = wire()
    del changed[name]
    with pytest.raises(SignatureError, match=name):
        KEYS.verify(changed, TOKEN)


def test_a_field_that_was_not_signed_is_found() -> None:
    with pytest.raises(SignatureError, match="extra"):
        KEYS.verify({**wire(), "extra": 1}, TOKEN)


@pytest.mark.parametrize(
    ("signed", "stated"), [(1, True), (0, False), (True, 1), (None, False), ("1", 1)]
)
def test_values_that_python_may_hold_for_equal_are_not(signed: Any, stated: Any) -> None:
    original = wire()
    original["evidence"][0]["details"]["x"] = signed
    token = jws.serialize_compact(
        HEADER,
        json.dumps({"aidetect": 1, "verdict": {k: original[k] for k in original.keys() - UNSIGNED}}),
        KEY,
        algorithms=[ALGORITHM],
    )
    KEYS.verify(original, token)
    changed = copy.deepcopy(original)
    changed["evidence"][0]["details"]["x"] = stated
    with pytest.raises(SignatureError, match="evidence"):
        KEYS.verify(changed, token)


def test_another_verdicts_signature_is_refused() -> None:
    with pytest.raises(SignatureError, match="label"):
        KEYS.verify(verdict("real", evidence=AI.evidence), TOKEN)


def test_another_key_is_refused_and_named_as_such() -> None:
    with pytest.raises(SignatureError, match="trusted keys"):
        KEYS.claims(sign(AI, OTHER))


def test_a_signature_by_another_key_under_a_trusted_id_is_refused() -> None:
    token = jws.serialize_compact(HEADER, PAYLOAD, OTHER, algorithms=[ALGORITHM])
    with pytest.raises(SignatureError, match="does not hold"):
        KEYS.claims(token)


def test_no_algorithm_is_no_signature() -> None:
    for header in ({**HEADER, "alg": "none"}, {**HEADER, "alg": "None"}, {**HEADER, "alg": ""}):
        for signature in ("", TOKEN.rsplit(".", 1)[1]):
            with pytest.raises(SignatureError):
                KEYS.claims(f"{encoded(header)}.{encoded(PAYLOAD)}.{signature}")


def test_the_public_key_is_no_shared_secret() -> None:
    public = KEY.as_dict(private=False)
    pem = KEY.as_pem(private=False)
    for secret in (base64.urlsafe_b64decode(str(public["x"]) + "="), pem, json.dumps(public).encode()):
        signed = f"{encoded({**HEADER, 'alg': 'HS256'})}.{encoded(PAYLOAD)}"
        mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        with pytest.raises(SignatureError):
            KEYS.claims(f"{signed}.{encoded(mac)}")
    token = jws.serialize_compact({**HEADER, "alg": "HS256"}, PAYLOAD, OctKey.import_key(b"x" * 32))
    with pytest.raises(SignatureError):
        KEYS.claims(token)


@pytest.mark.parametrize(
    "more",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"alg": "EdDSA"},
        {"alg": ["Ed25519"]},
        {"kid": "../../etc/passwd"},
        {"kid": "unknown"},
        {"kid": None},
        {"kid": ["a"]},
        {"kid": {"a": 1}},
    ],
    ids=str,
)
def test_a_header_of_another_kind_is_refused(more: dict[str, Any]) -> None:
    header = {name: value for name, value in {**HEADER, **more}.items() if value is not None}
    with pytest.raises(SignatureError):
        KEYS.claims(signed_by(KEY, header))


@pytest.mark.parametrize(
    "more",
    [
        {"crit": ["exp"], "exp": 1},
        {"b64": False, "crit": ["b64"]},
        {"jwk": OTHER.as_dict(private=False)},
        {"jku": "https://example.org/jwks.json"},
        {"x5u": "https://example.org/"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_header_cannot_bring_its_own_key_or_rules(more: dict[str, Any]) -> None:
    """Signed by another key, which the header offers or makes critical."""
    with pytest.raises(SignatureError):
        KEYS.claims(signed_by(OTHER, {**HEADER, **more}))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"aidetect":2,"verdict":{}}',
        b'{"aidetect":1,"verdict":[]}',
        b"\xff",
    ],
)
def test_a_payload_of_another_form_is_refused(payload: bytes) -> None:
    token = jws.serialize_compact(HEADER, payload, KEY, algorithms=[ALGORITHM])
    with pytest.raises(SignatureError):
        KEYS.claims(token)


def test_a_signature_for_a_model_is_none_for_a_verdict() -> None:
    """Both are Ed25519: what is signed begins differently."""
    body = encoded(PAYLOAD)
    signature = KEY.get_op_key("sign").sign(b"aidetect model manifest, version 1\0" + PAYLOAD)
    with pytest.raises(SignatureError):
        KEYS.claims(f"{encoded(HEADER)}.{body}.{encoded(signature)}")


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("ABab01-_.=+/ \n\x00é"))
def test_no_changed_character_passes(index: int, character: str) -> None:
    changed = TOKEN[:index] + character + TOKEN[index + 1 :]
    if changed == TOKEN:
        return
    try:
        KEYS.verify(AI, changed)
    except SignatureError:
        return
    # The last character of a part holds bits that belong to no byte; the bytes are then the same.
    same = [base64.urlsafe_b64decode(part + "==") for part in changed.split(".")]
    assert same == [base64.urlsafe_b64decode(part + "==") for part in TOKEN.split(".")]


@given(st.text(max_size=300))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(SignatureError):
        KEYS.claims(text)


def test_an_endless_token_is_refused_unread() -> None:
    with pytest.raises(SignatureError, match="too long"):
        KEYS.claims("A" * (MAX_TOKEN + 1))


def test_keys_are_read_from_a_jwk_set_and_from_pem() -> None:
    jwks = json.dumps({"keys": [KEY.as_dict(private=False), OTHER.as_dict(private=False)]}).encode()
    pem = KEY.as_pem(private=False) + OTHER.as_pem(private=False)
    for data in (jwks, pem):
        keys = Keys.read(data)
        assert len(keys) == 2 and KEY.thumbprint() in keys
        keys.verify(AI, TOKEN)
        keys.verify(AI, sign(AI, OTHER))


def test_an_id_in_a_jwk_set_is_not_believed() -> None:
    """Keys go by their thumbprints, so no entry can take another's place."""
    listed = [KEY.as_dict(private=False), {**OTHER.as_dict(private=False), "kid": KEY.thumbprint()}]
    keys = Keys.read(json.dumps({"keys": listed}).encode())
    keys.verify(AI, TOKEN)
    forged = jws.serialize_compact(HEADER, PAYLOAD, OTHER, algorithms=[ALGORITHM])
    with pytest.raises(SignatureError):
        keys.claims(forged)


RSA_JWK = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"keys": 1}',
        b'{"keys": [1, null, {}]}',
        json.dumps({"keys": [RSA_JWK, {"kty": "oct", "k": "AAAA"}]}).encode(),
        json.dumps({"keys": [{"kty": "OKP", "crv": "X25519", "x": "A" * 43}]}).encode(),
        json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "short"}]}).encode(),
        json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": 7}]}).encode(),
        json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519"}]}).encode(),
        b"[" * 100_000,
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        Ed25519PrivateKey.generate().private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
        ),
    ],
    ids=range(13),
)
def test_what_holds_no_public_key_is_said_to(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        Keys.read(data, "keys.json")
