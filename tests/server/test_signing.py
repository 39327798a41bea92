"""The signing key: made once, kept private, rotated under a running server; signatures in answers."""

import json
import os
import stat
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc.jwk import ECKey, OKPKey

from aidetect import ConfigurationError, Verdict
from aidetect._jws import Keys
from aidetect_server._settings import ServerSettings
from aidetect_server._signing import KEY, RETIRED, Signer, signing_folder

from .consumer import Consumer

URL = "https://example.org/cat.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "signing"


@pytest.fixture
def verdict(client: FlaskClient, consumer: Consumer) -> Verdict:
    return Verdict.from_dict(client.post("/v1/checks?wait=10", json={"url": URL}).json["verdict"])


def keys_of(signer: Signer) -> Keys:
    return Keys.read(json.dumps(signer.jwks()).encode())


def test_the_first_start_makes_a_key_that_only_its_owner_can_read(folder: Path) -> None:
    signer = Signer(folder)
    assert stat.S_IMODE((folder / KEY).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert os.listdir(folder) == [KEY]
    assert Signer(folder).kid == signer.kid


def test_no_private_part_is_published(folder: Path) -> None:
    signer = Signer(folder)
    signer.rotate()
    for key in signer.jwks()["keys"]:
        assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}
    assert '"d"' not in (folder / RETIRED).read_text()


def test_those_that_start_together_end_up_with_one_key(tmp_path: Path) -> None:
    """As gunicorn's processes do; threads, which race harder, stand for them."""
    with ThreadPool(8) as threads:
        for n in range(20):
            folder = tmp_path / str(n)
            kids = threads.map(lambda folder: Signer(folder).kid, [folder] * 8)
            assert len(set(kids)) == 1 and os.listdir(folder) == [KEY]


def test_a_rotation_is_seen_by_running_servers_and_old_verdicts_stay_verifiable(
    folder: Path, verdict: Verdict
) -> None:
    running, operator = Signer(folder), Signer(folder)
    signed = [running.sign(verdict)]
    kids = [running.kid]
    for _ in range(3):
        kids.append(operator.rotate())
        signed.append(running.sign(verdict))
    assert running.kid == kids[-1] and len(set(kids)) == 4
    assert [key["kid"] for key in running.jwks()["keys"]] == kids[::-1]
    for token in signed:
        keys_of(running).verify(verdict, token)
    assert stat.S_IMODE((folder / KEY).stat().st_mode) == 0o600


def test_a_rotation_cut_short_leaves_the_old_key_in_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = Signer(folder)
    kid = signer.kid
    monkeypatch.setattr(Signer, "_publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        signer.rotate()
    again = Signer(folder)
    assert again.kid == kid and [key["kid"] for key in again.jwks()["keys"]] == [kid]


def test_a_key_that_can_no_longer_be_read_goes_on_signing(folder: Path, verdict: Verdict) -> None:
    signer = Signer(folder)
    kid = signer.kid
    for broken in (b"", None):
        (folder / KEY).unlink()
        if broken is not None:
            (folder / KEY).write_bytes(broken)
        keys_of(signer).verify(verdict, signer.sign(verdict))
        assert signer.kid == kid


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs to be root")
def test_what_root_rotates_stays_the_servers_own(folder: Path) -> None:
    Signer(folder)
    os.chown(folder, 65534, 65534)
    os.chown(folder / KEY, 65534, 65534)
    Signer(folder).rotate()
    assert {path.stat().st_uid for path in folder.iterdir()} == {65534}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (KEY, b""),
        (KEY, b"not a key"),
        (KEY, OKPKey.generate_key("Ed448").as_pem(private=True)),
        (KEY, ECKey.generate_key("P-256").as_pem(private=True)),
        (KEY, OKPKey.generate_key("Ed25519").as_pem(private=False)),
        (RETIRED, b"{"),
        (RETIRED, b"[]"),
        (RETIRED, b'{"keys": [{"kty": "oct", "k": "AAAA"}]}'),
    ],
    ids=range(8),
)
def test_a_broken_file_is_named_and_not_replaced(folder: Path, name: str, content: bytes) -> None:
    Signer(folder)
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=name):
        Signer(folder).rotate()
    assert (folder / name).read_bytes() == content


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="AIDETECT_SIGNING_FOLDER"):
        Signer(tmp_path / "file" / "signing")


def test_where_the_key_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIDETECT_HOME", str(tmp_path))
    assert signing_folder(ServerSettings()) == tmp_path / "signing"
    assert signing_folder(ServerSettings(signing_folder="/etc/x")) == Path("/etc/x")


def test_an_answer_is_signed_and_verifies_with_the_published_keys(
    client: FlaskClient, consumer: Consumer, app: Flask
) -> None:
    check = client.post("/v1/checks?wait=10", json={"url": URL}).json
    published = app.test_client().get("/.well-known/jwks.json")
    assert published.status_code == 200 and "max-age" in published.headers["Cache-Control"]
    keys = Keys.read(published.data)
    keys.verify(check["verdict"], check["signature"])
    keys.verify(client.get(f"/v1/checks/{check['id']}").json["verdict"], check["signature"])
