"""`Detector(url=…, trust=…)`: whose verdicts are believed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc.jwk import OKPKey

from aidetect import ConfigurationError, Detector, ServiceError, SignatureError, Verdict
from aidetect._cli import main
from aidetect._jws import sign

from .api_server import ApiServer
from .image_files import noise, save

PNG = save(noise(40, 40), "PNG")


@pytest.fixture
def key() -> OKPKey:
    return OKPKey.generate_key("Ed25519")


@pytest.fixture
def server(key: OKPKey) -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.sign = signer(key)
        server.jwks = jwks(key)
        yield server


@pytest.fixture(autouse=True)
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "configuration" / "known.json"
    monkeypatch.setenv("AIDETECT_KNOWN_SERVERS", str(path))
    return path


def signer(key: OKPKey) -> Callable[[dict[str, Any]], str]:
    return lambda wire: sign(Verdict.from_dict(wire), key)


def jwks(*keys: OKPKey) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), "kid": key.thumbprint()} for key in keys]}


def test_a_verdict_signed_by_a_given_key(server: ApiServer, key: OKPKey, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(jwks(key)))
    raw = key.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(raw)
    for name in ("keys.json", "key.pem"):
        verdict = Detector(url=server.url(""), trust=tmp_path / name).check(PNG)
        assert verdict.label == "ai"
    assert "GET /.well-known/jwks.json" not in server.paths


def unsigned(server: ApiServer, key: OKPKey) -> None:
    server.sign = None


def by_another(server: ApiServer, key: OKPKey) -> None:
    server.sign = signer(OKPKey.generate_key("Ed25519"))


def of_another_verdict(server: ApiServer, key: OKPKey) -> None:
    server.sign = lambda wire: sign(Verdict.from_dict({**wire, "probability": 0.999}), key)


@pytest.mark.parametrize("tamper", [unsigned, by_another, of_another_verdict])
def test_anything_else_is_refused(
    tamper: Callable[[ApiServer, OKPKey], None], server: ApiServer, key: OKPKey, tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(jwks(key)))
    tamper(server, key)
    detector = Detector(url=server.url(""), trust=tmp_path / "keys.json")
    with pytest.raises(SignatureError, match=r"127\.0\.0\.1"):
        detector.check(PNG)
    with pytest.raises(SignatureError):
        list(detector.check_many([PNG]))
    assert Detector(url=server.url("")).check(PNG).label == "ai"  # nobody asked to verify


def test_the_keys_of_the_first_use_are_kept(server: ApiServer, known: Path) -> None:
    for _ in range(2):
        Detector(url=server.url("/"), trust="first-use").check(PNG)
    assert server.paths.count("GET /.well-known/jwks.json") == 1
    assert list(json.loads(known.read_text())) == [server.url("")]
    other = OKPKey.generate_key("Ed25519")
    server.sign, server.jwks = signer(other), jwks(other)
    with pytest.raises(SignatureError, match=r"known\.json"):
        Detector(url=server.url("/"), trust="first-use").check(PNG)
    known.unlink()
    assert Detector(url=server.url("/"), trust="first-use").check(PNG).label == "ai"


def test_a_server_without_keys_is_not_trusted(server: ApiServer, known: Path) -> None:
    server.jwks = {"keys": []}
    with pytest.raises(ServiceError, match="no Ed25519"):
        Detector(url=server.url("/"), trust="first-use").check(PNG)
    assert not known.exists()


@pytest.mark.parametrize("content", [b"not JSON", b"[]", b'{"keys": []}', None])
def test_files_that_hold_no_keys(content: bytes | None, server: ApiServer, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"keys\.json"):
        Detector(url=server.url(""), trust=path)


def test_a_broken_list_of_servers_is_told(server: ApiServer, known: Path) -> None:
    known.parent.mkdir()
    known.write_text("{")
    with pytest.raises(ConfigurationError, match="Mend or remove"):
        Detector(url=server.url(""), trust="first-use").check(PNG)
    assert known.read_text() == "{"


def test_from_the_command_line(
    server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    ask = ["check", str(path), "--server", server.url(""), "--trust", "first-use"]
    assert main(ask) == 0
    assert "Probably AI-generated" in capsys.readouterr().out
    server.sign = None
    assert main(ask) == 2
    assert "not signed" in capsys.readouterr().err
    assert main([*ask[:4], "--views", "fast"]) == 2
    assert "views: with url" in capsys.readouterr().err
