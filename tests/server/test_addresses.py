"""Whose request it is: behind proxies too, whatever the client writes into X-Forwarded-For."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aidetect_server._addresses import UNKNOWN, client_address

PROXY = "10.0.0.1"


def address(forwarded: str | None, hops: int, peer: str | None = PROXY) -> str:
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    return client_address({name: value for name, value in environ.items() if value is not None}, hops)


def test_without_proxies_the_header_is_not_believed() -> None:
    assert address("203.0.113.9", 0, "198.51.100.7") == "198.51.100.7"


@pytest.mark.parametrize(
    ("forwarded", "hops", "expected"),
    [
        ("203.0.113.9", 1, "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9", 1, "203.0.113.9"),
        ("1.1.1.1,2.2.2.2 ,203.0.113.9, 10.0.0.2", 2, "203.0.113.9"),
        ("203.0.113.9:4711", 1, "203.0.113.9"),
        ("[2001:db8:1:2:3::4]:4711", 1, "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::9", 1, "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", 1, "203.0.113.9"),
        ("fe80::1%eth0", 1, "fe80::/64"),
        ("203.0.113.9", 2, PROXY),  # fewer entries than proxies: it did not come through them
        ("unknown", 1, PROXY),
        ("", 1, PROXY),
        (None, 1, PROXY),
        ("1.1.1.1, ", 1, PROXY),
        ("٢٠٣.٠.١١٣.٩", 1, PROXY),
        ("203.0.113.9" + " " * 100, 1, "203.0.113.9"),
        ("1" * 5000, 1, PROXY),
    ],
)
def test_the_entry_that_the_outermost_proxy_wrote_counts(
    forwarded: str | None, hops: int, expected: str
) -> None:
    assert address(forwarded, hops) == expected


@pytest.mark.parametrize(
    "forged", ['"', '6.6.6.6, "', "6.6.6.6;", "\\", '6.6.6.6, "\\', "(", "6.6.6.6,,", "<"]
)
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_quotes_and_commas_forge_nothing(forged: str, hops: int) -> None:
    """A parser that honours quotes would merge what the proxies append with what the client wrote."""
    proxies = ["203.0.113.9", *(f"10.0.0.{n}" for n in range(2, hops + 1))]
    assert address(", ".join([forged, *proxies]), hops) == "203.0.113.9"


@given(st.text(max_size=200), st.integers(1, 4))
def test_no_client_chooses_its_own_address(forged: str, hops: int) -> None:
    proxies = ["203.0.113.9", *(f"10.0.0.{n}" for n in range(2, hops + 1))]
    assert address(f"{forged}, {', '.join(proxies)}", hops) == "203.0.113.9"


@given(st.text(max_size=80), st.text(max_size=80), st.integers(0, 4))
def test_any_text_ends_in_a_short_harmless_name(forwarded: str, peer: str, hops: int) -> None:
    found = address(forwarded, hops, peer)
    assert found == UNKNOWN or (len(found) < 50 and set(found) <= set("0123456789abcdef.:/"))


def test_neighbours_in_one_ipv6_network_are_one_customer() -> None:
    assert address(None, 0, "2001:db8::1") == address(None, 0, "2001:db8::ffff:2")
    assert address(None, 0, "2001:db8::1") != address(None, 0, "2001:db8:0:1::1")


def test_a_unix_socket_has_no_address() -> None:
    assert address(None, 0, "") == address(None, 0, None) == UNKNOWN
