"""The Host allow-list: every spelling of an allowed name, and none of another."""

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from aidetect import ConfigurationError
from aidetect_server._hosts import Hosts
from aidetect_server._settings import ServerSettings

HOSTS = Hosts.parse(["localhost", "127.0.0.1", "[::1]", "Example.org", "api.example.org:8443"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "localhost:8787",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8787",
        "[0:0:0:0:0:0:0:1]",
        "example.org:443",
        "EXAMPLE.org.:80",
        "api.example.org:8443",
    ],
)
def test_an_allowed_name_however_spelt(host: str) -> None:
    assert HOSTS.allow(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        ".",
        ":8787",
        "evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "sub.example.org",
        "example.org..",
        "api.example.org",
        "api.example.org:443",
        "localhost:8787:9",
        "localhost:",
        "localhost:١",
        "localhost:123456",
        "localhost,evil.example",
        "localhost evil.example",
        "localhost/",
        "localhost@evil.example",
        "evil.example@localhost",
        "user:localhost",
        "localhost\n",
        "localhost\x00",
        "localhost#",
        "local%68ost",
        "ⅼocalhost",
        "localhost\N{FULLWIDTH FULL STOP}",
        "127.1",
        "0x7f000001",
        "2130706433",
        "127.0.0.1.nip.example",
        "::1",
        "[::1",
        "[::1]x",
        "[::2]",
        "[::ffff:127.0.0.1]",
        "[::1%25lo]",
        "[:::1]",
        "a" * 300,
    ],
)
def test_another_name(host: str | None) -> None:
    assert not HOSTS.allow(host)


@given(st.text(max_size=60))
def test_any_text_is_refused_without_a_word(text: str) -> None:
    assert not HOSTS.allow(text + ".evil.example")


def test_a_star_allows_every_name_that_is_one() -> None:
    hosts = Hosts.parse(["*"])
    assert hosts.allow("anything.example") and not hosts.allow("a b") and not hosts.allow("")


@pytest.mark.parametrize(
    "text", ["http://example.org", "example.org/path", "a b", "exämple.org", "[::1", "*.org"]
)
def test_a_setting_that_names_no_host_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="AIDETECT_ALLOWED_HOSTS"):
        ServerSettings.from_environment({"AIDETECT_ALLOWED_HOSTS": f"localhost,{text}"})


def test_a_rebound_name_gets_nothing_but_health(client: FlaskClient) -> None:
    for path in ("/", "/v1/server", "/openapi.json", "/.well-known/jwks.json", "/nothing"):
        answer = client.get(path, headers={"Host": "evil.example:8787"})
        assert answer.status_code == 421 and answer.json["code"] == "host_not_allowed", path
    preflight = {"Host": "evil.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/checks", headers=preflight).status_code == 421
    assert client.get("/healthz", headers={"Host": "10.1.2.3"}).status_code == 200
    assert client.get("/v1/server", headers={"Host": "localhost:8787"}).status_code == 200


def test_a_forwarded_host_is_not_believed(client: FlaskClient) -> None:
    forged = {"Host": "evil.example", "X-Forwarded-Host": "localhost", "Forwarded": "host=localhost"}
    assert client.get("/v1/server", headers=forged).status_code == 421
