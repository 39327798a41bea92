import ipaddress

import pytest

from aidetect._addresses import is_public

PUBLIC_V4 = ["1.1.1.1", "8.8.8.8", "126.0.0.1", "128.0.0.1", "223.255.255.255"]
BESIDE_PRIVATE = ["9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.0.1"]
BESIDE_SPECIAL = ["100.63.255.255", "100.128.0.0", "169.253.255.255", "198.17.0.1", "198.20.0.0"]
PUBLIC_V6 = ["2606:4700:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2003::1", "2a00:1450::1"]


@pytest.mark.parametrize("address", [*PUBLIC_V4, *BESIDE_PRIVATE, *BESIDE_SPECIAL, *PUBLIC_V6])
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(address)


HOST = ["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254"]
PRIVATE = ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1"]
CARRIER_GRADE_NAT = ["100.64.0.1", "100.100.100.200", "100.127.255.255"]
METADATA = ["169.254.0.1", "169.254.169.254", "168.63.129.16", "192.0.0.192"]
DOCUMENTATION = ["192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255"]
NOT_UNICAST = ["192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"]


@pytest.mark.parametrize(
    "address",
    [*HOST, *PRIVATE, *CARRIER_GRADE_NAT, *METADATA, *DOCUMENTATION, *NOT_UNICAST],
)
def test_special_ipv4_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "::",
        "::1",
        "::8.8.8.8",  # IPv4-compatible
        "::ffff:127.0.0.1",  # IPv4-mapped
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b::808:808",
        "64:ff9b:1::7f00:1",  # NAT64, local use
        "100::1",  # discard
        "2001::1",  # Teredo
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:20::1",  # ORCHID
        "2001:db8::1",  # documentation
        "2002:7f00:1::",  # 6to4
        "2002:808:808::1",
        "3fff::1",  # documentation
        "5f00::1",  # segment routing
        "fc00::1",  # unique local
        "fd00:ec2::254",  # cloud metadata
        "fe80::1",
        "fe80::1%1",
        "fec0::1",  # site-local
        "ff02::1",  # multicast
        "ff0e::1",
        "2606:4700:4700::1111%1",
    ],
)
def test_special_ipv6_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_nothing_that_the_standard_library_calls_private_is_public() -> None:
    """One address out of each /12 (IPv4) and each /16 (IPv6)."""
    v4 = [ipaddress.IPv4Address((block << 20) + 258) for block in range(1 << 12)]
    v6 = [ipaddress.IPv6Address((block << 112) + 1) for block in range(1 << 16)]
    public = [address for address in [*v4, *v6] if is_public(str(address))]
    assert len(public) > 10_000
    assert [address for address in public if not address.is_global or address.is_multicast] == []
