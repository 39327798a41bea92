"""The Host allow-list, against DNS rebinding: a page whose own name is made to point to this server is
of the same origin for the browser, but its requests still carry that name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address

from flask import Flask, request

from ._problems import RequestError

EXEMPT = ("/healthz", "/readyz")
"""Asked by load balancers under whatever address a machine has; they tell nothing of anybody."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?")


@dataclass(frozen=True)
class Hosts:
    """The names under which this server answers. `any`: it answers under every name."""

    names: frozenset[tuple[str, str | None]]
    any: bool = False

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "Hosts":
        """From `example.org` (on any port), `example.org:8443`, `[::1]` or `*`; else ValueError."""
        names, any = set(), False
        for entry in entries:
            host = _split(entry)
            if host is None and entry != "*":
                raise ValueError(f"{entry!r} is no host; give names such as example.org or [::1], or *")
            any = any or host is None
            if host is not None:
                names.add(host)
        return cls(frozenset(names), any)

    def allow(self, header: str | None) -> bool:
        """Whether a Host header is one of the names, whatever its case, port or trailing dot."""
        host = _split(header or "")
        if host is None:
            return False
        return self.any or host in self.names or (host[0], None) in self.names


def _split(text: str) -> tuple[str, str | None] | None:
    """Host in its normal form, and port."""
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    name, port = match.groups()
    name = name.lower().removesuffix(".")
    if name.startswith("["):
        try:
            name = f"[{IPv6Address(name[1:-1])}]"
        except ValueError:
            return None
    return (name, port) if name else None


def init_hosts(app: Flask, hosts: Hosts) -> None:
    @app.before_request
    def check_host() -> None:
        if request.path not in EXEMPT and not hosts.allow(request.environ.get("HTTP_HOST")):
            raise RequestError(
                "This server does not answer under this name. Its operator can add the name to "
                "AIDETECT_ALLOWED_HOSTS.",
                status=421,
                code="host_not_allowed",
            )
