"""The wire under the safe fetch: an adapter that connects to public addresses only, and in time.

A host name is resolved once, every address of the answer is checked, and the socket connects to those
very addresses: there is no second look-up that could answer differently (DNS rebinding). The deadline
covers the look-up, connecting and the TLS handshake, and is set anew on the socket before each
receive, so a server that sends one byte now and then gains no time. All bytes received count against
an allowance, so that endless headers or chunk sizes, which are no part of the body, end too.

`_new_conn` is a private method of urllib3: the tests fail if a release stops calling it.
"""

import queue
import socket
import ssl
import threading
import time
from functools import cache
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection

from ._addresses import is_public
from ._errors import BlockedAddressError, TooLargeError, UnreachableError


class Running(threading.local):
    """What the fetch under way in this thread may still do; outside of a fetch, nothing."""

    name = ""
    """What messages call the URL."""
    deadline = 0.0
    max_bytes = 0
    allowance = 0
    """Bytes that may yet arrive, headers and framing included."""
    allow_private = False

    def start(self, timeout: float, max_bytes: int, allow_private: bool) -> None:
        self.deadline = time.monotonic() + timeout
        self.max_bytes, self.allow_private = max_bytes, allow_private
        self.allowance = max_bytes + max_bytes // 4 + 1_000_000

    def stop(self) -> None:
        self.deadline, self.max_bytes, self.allowance, self.allow_private = 0.0, 0, 0, False

    def time_left(self) -> float:
        """Seconds to the deadline; raises TimeoutError when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def received(self, count: int) -> int:
        self.allowance -= count
        if self.allowance < 0:
            raise self.too_large()
        return count

    def too_large(self) -> TooLargeError:
        return TooLargeError(
            f"{self.name}: larger than the limit of {self.max_bytes:,} bytes. Use a smaller copy, or "
            "raise the limit.",
            input=self.name,
        )


running = Running()


class _Socket(socket.socket):
    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(running.time_left())
        return running.received(super().recv_into(buffer, nbytes, flags))


class _TLSSocket(ssl.SSLSocket):
    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(running.time_left())
        return running.received(super().recv_into(buffer, nbytes, flags))


def _resolve(host: str, port: int) -> list[tuple[Any, ...]]:
    """`getaddrinfo` that keeps the deadline: it cannot be interrupted, so it runs beside."""
    answers: queue.SimpleQueue[list[tuple[Any, ...]] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=look_up, name="aidetect-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=running.time_left())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception) or not answer:
        raise UnreachableError(
            f"{running.name}: its host name was not found. Check the spelling and the network.",
            code="dns",
            input=running.name,
        )
    return answer


def _connect(host: str, port: int, options: Any) -> socket.socket:
    """A socket connected to one of the checked addresses of `host`, each tried in turn."""
    addresses = _resolve(host, port)
    if not (running.allow_private or all(is_public(str(entry[4][0])) for entry in addresses)):
        raise BlockedAddressError(
            f"{running.name}: its host is not on the public internet. Download the image and check "
            "the file, or allow private addresses if you trust this one.",
            input=running.name,
        )
    failure: OSError = ConnectionError()
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = None
        try:
            sock = _Socket(family, kind, protocol)
            for option in options or ():
                sock.setsockopt(*option)
            sock.settimeout(running.time_left() / (len(addresses) - tried))
            sock.connect(address)
            sock.settimeout(running.time_left())
            return sock
        except OSError as error:
            failure = error
            if sock is not None:
                sock.close()
    raise failure


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self.host, self.port, self.socket_options)


class _TLSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self.host, self.port, self.socket_options)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


@cache
def _tls_context() -> ssl.SSLContext:
    context = urllib3.util.ssl_.create_urllib3_context()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    context.sslsocket_class = _TLSSocket
    return context


class Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_tls_context(), **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the context holds the trusted roots, read once and not for each connection."""
