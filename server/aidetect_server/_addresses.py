"""Whose request it is, by address, as far as that can be known."""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any

UNKNOWN = "unknown"


def client_address(environ: Mapping[str, Any], hops: int) -> str:
    """The address that a request is counted under; of IPv6 the /64, which is one customer's.

    With `hops` proxies in front it is the entry of X-Forwarded-For that the outermost of them wrote,
    counted from the right, since what stands further left is the client's own invention. The header
    is cut at every comma: a parser that honours quotes, such as Werkzeug's ProxyFix, can be made
    to merge entries, and then takes one of the client's. Where the entry is missing or no address,
    the request did not come through the proxies, and the peer's address counts.
    """
    peer = str(environ.get("REMOTE_ADDR") or "")
    if hops > 0:
        entries = str(environ.get("HTTP_X_FORWARDED_FOR") or "").split(",")
        if len(entries) >= hops:
            found = _normal(entries[-hops].strip(" \t"))
            if found is not None:
                return found
    return _normal(peer) or UNKNOWN


def _normal(text: str) -> str | None:
    if len(text) > 60 or not text.isascii():
        return None
    host = text
    if text.startswith("["):  # [2001:db8::1]:4711, as some proxies write
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)
