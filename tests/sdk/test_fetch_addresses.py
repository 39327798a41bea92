"""Where the safe fetch may connect to. These tests fail if urllib3 stops calling `_new_conn`."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from aidetect import _transport
from aidetect._addresses import is_public
from aidetect._errors import BlockedAddressError, InvalidURLError, UnreachableError
from aidetect._fetch import Fetcher, fetch

from .origin import Origin

PUBLIC, OTHER_PUBLIC = "192.0.66.2", "192.0.66.3"
"""Stand-ins that `is_public` accepts; `attempts` sees to it that nothing is ever sent there."""


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        server.serve("/a.png", b"image")
        yield server


@pytest.fixture(autouse=True)
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were to be connected to; only loopback really is."""
    seen: list[str] = []
    connect = socket.socket.connect

    def note(sock: socket.socket, address: Any) -> None:
        seen.append(address[0])
        if not address[0].startswith("127."):
            raise ConnectionRefusedError
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", note)
    return seen


def answer_with(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Patches the resolver: the first look-up gets `answers[0]`, the last answer is repeated."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        addresses = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


LOOPBACK = ["127.0.0.1", "127.8.8.8", "localhost", "localhost.", "LOCALHOST", "127.0.0.1.", "0.0.0.0"]
DECIMAL = ["2130706433", "0", "127.1", "127.0.1"]
HEX_AND_OCTAL = ["0x7f000001", "0x7f.1", "0X7F.0.0.0x1", "0177.0.0.1", "017700000001"]
IPV6 = ["[::1]", "[::]", "[0:0::0:1]", "[fe80::1]", "[fec0::1]", "[fd00:ec2::254]", "[ff02::1]"]
IPV4_INSIDE = ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::ffff:a9fe:a9fe]"]
NAT64 = ["[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]"]
TUNNELS = ["[2002:7f00:1::]", "[2001:0:7f00:1::]"]
METADATA = ["169.254.169.254", "0xA9FEA9FE", "2852039166", "100.100.100.200", "168.63.129.16"]
SPECIAL = ["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "224.0.0.1", "255.255.255.255"]


@pytest.mark.parametrize(
    "host",
    [
        *(*LOOPBACK, *DECIMAL, *HEX_AND_OCTAL, *METADATA, *SPECIAL),
        *(*IPV6, *IPV4_INSIDE, *NAT64, *TUNNELS),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_hosts_that_are_not_on_the_public_internet(
    origin: Origin, attempts: list[str], scheme: str, host: str
) -> None:
    with pytest.raises(BlockedAddressError) as caught:
        fetch(f"{scheme}://{host}:{origin.port}/a.png?token=secret", timeout=5)
    assert not attempts
    assert not origin.connections
    assert "secret" not in str(caught.value)


ZONES = ["[fe80::1%25lo]", "[fe80::1%251]", "[fe80::1%lo]", "[::1%25lo]", "[2606:4700:4700::1111%25lo]"]
ENCODED = ["%31%32%37.0.0.1", "127.0.0.1%2f", "%6cocalhost", "localhost%2e", "localhost%00"]
UNICODE = ["\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1", "\u24db\u24de\u24d2alhost"]


@pytest.mark.parametrize("host", [*ZONES, *ENCODED, *UNICODE, "localhost\\@example.com"])
def test_hosts_in_disguise(origin: Origin, attempts: list[str], host: str) -> None:
    """Not even where private addresses are allowed: these spellings have no honest use."""
    with pytest.raises(InvalidURLError):
        fetch(f"http://{host}:{origin.port}/a.png", allow_private=True)
    assert not attempts


def test_allow_private_permits_loopback(origin: Origin, attempts: list[str]) -> None:
    url = origin.url("/a.png")
    assert fetch(url, allow_private=True).data == b"image"
    assert attempts == ["127.0.0.1"]
    with pytest.raises(BlockedAddressError) as caught:
        fetch(url)
    assert caught.value.code == "blocked_address"
    assert not caught.value.retryable
    assert "127.0.0.1" in str(caught.value) and "check the file" in str(caught.value)


def test_the_message_does_not_tell_what_an_internal_name_resolves_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer_with(monkeypatch, ["10.1.2.3"])
    with pytest.raises(BlockedAddressError) as caught:
        fetch("http://intranet.example/a.png")
    assert "10.1.2.3" not in str(caught.value)


@pytest.mark.parametrize("other", ["127.0.0.1", "::1", "10.0.0.1", "64:ff9b::7f00:1", "fe80::1%lo"])
@pytest.mark.parametrize("first", [True, False])
def test_one_address_that_is_not_public_is_enough(
    monkeypatch: pytest.MonkeyPatch, attempts: list[str], other: str, first: bool
) -> None:
    answer_with(monkeypatch, [other, PUBLIC] if first else [PUBLIC, other])
    with pytest.raises(BlockedAddressError):
        fetch("http://mixed.example/a.png")
    assert not attempts


def test_rebinding(monkeypatch: pytest.MonkeyPatch, origin: Origin, attempts: list[str]) -> None:
    """The name is public when it is checked and loopback ever after: there is no second look-up."""
    asked = answer_with(monkeypatch, [PUBLIC], ["127.0.0.1"])
    with pytest.raises(UnreachableError):
        fetch(origin.url("/a.png", "rebind.example"))
    assert asked == ["rebind.example"]
    assert attempts == [PUBLIC]
    with pytest.raises(BlockedAddressError):
        fetch(origin.url("/a.png", "rebind.example"))
    assert not origin.connections


def test_what_was_checked_is_what_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, origin: Origin, attempts: list[str]
) -> None:
    asked = answer_with(monkeypatch, ["127.0.0.1"], [PUBLIC])
    assert fetch(origin.url("/a.png", "rebind.example"), allow_private=True).data == b"image"
    assert (asked, attempts) == (["rebind.example"], ["127.0.0.1"])


def test_each_address_is_tried(
    monkeypatch: pytest.MonkeyPatch, origin: Origin, attempts: list[str]
) -> None:
    answer_with(monkeypatch, [PUBLIC, OTHER_PUBLIC, "127.0.0.1", "127.0.0.9"])
    assert fetch(origin.url("/a.png", "many.example"), allow_private=True).data == b"image"
    assert attempts == [PUBLIC, OTHER_PUBLIC, "127.0.0.1"]


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:{port}/a.png",
        "https://127.0.0.2:{port}/a.png",
        "http://0.0.0.0:{port}/a.png",
        "http://2130706434:{port}/a.png",
        "http://[::1]:{port}/a.png",
        "http://[::ffff:127.0.0.1]:{port}/a.png",
        "http://169.254.169.254/latest/meta-data/",
        "//10.0.0.1/",
    ],
)
def test_redirects_to_private_addresses(
    monkeypatch: pytest.MonkeyPatch, origin: Origin, attempts: list[str], target: str
) -> None:
    """The server's own 127.0.0.1 passes for public here, so that it can send us elsewhere."""
    monkeypatch.setattr(
        _transport, "is_public", lambda address: address == "127.0.0.1" or is_public(address)
    )
    url = origin.redirect("/old", target.format(port=origin.port))
    with pytest.raises(BlockedAddressError, match="redirected to"):
        fetch(url)
    assert attempts == ["127.0.0.1"]
    assert [path for path, _ in origin.requests] == ["/old"]


def test_permission_does_not_outlive_its_fetch(origin: Origin) -> None:
    with Fetcher(allow_private=True) as open_one, Fetcher() as strict:
        assert open_one.fetch(origin.url("/a.png")).data == b"image"
        with pytest.raises(BlockedAddressError):
            strict.fetch(origin.url("/a.png"))
        assert open_one.fetch(origin.url("/a.png")).data == b"image"
    assert not _transport.running.allow_private
    assert origin.connections == 1
