"""A real HTTP(S) server on loopback, for tests of everything that fetches."""

import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[["Handler"], None]

PATIENCE = 60.0
"""Seconds until a server that drips gives up. Clients that have a deadline are gone within half of it
on the busiest machine."""


class Handler(BaseHTTPRequestHandler):
    """Runs the answer that the test gave for the path; notes every request."""

    protocol_version = "HTTP/1.1"
    timeout = 2 * PATIENCE
    server: "Origin"

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers.items())))
        answer = self.server.answers.get(self.path.partition("?")[0])
        if answer is None:
            self.reply(b"no such page", status=404)
        else:
            answer(self)

    def reply(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer; `headers` come beside, or instead of, Content-Length."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self, piece: bytes, seconds: float) -> None:
        """Sends `piece` again and again, `seconds` apart, until the client or the server leaves.

        After `PATIENCE` it gives up, so that a client without a deadline fails its test and does not
        hang.
        """
        self.close_connection = True
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not self.server.stopping.wait(seconds):
            self.wfile.write(piece)
            self.server.sent += len(piece)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Origin(ThreadingHTTPServer):
    """`with Origin() as origin: origin.serve("/a.png", data); fetch(origin.url("/a.png"))`.

    With `certificate` (a file with key and certificate, see `self_signed`) it speaks TLS.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: str = "127.0.0.1", certificate: Path | None = None, port: int = 0
    ) -> None:
        super().__init__((address, port), Handler)
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.sent = 0
        """Bytes sent by `Handler.drip`."""
        self.server_names: list[str | None] = []
        """What TLS clients called the server (SNI)."""
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.port: int = self.server_address[1]
        self.scheme = "http"
        if certificate is not None:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            context.sni_callback = lambda _socket, name, _context: self.server_names.append(name)
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "Origin":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def serve(
        self,
        path: str,
        body: bytes = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Answers `path` with these; returns its URL."""
        return self.answer(path, lambda handler: handler.reply(body, status, headers))

    def redirect(self, path: str, target: str, status: int = 302) -> str:
        return self.serve(path, status=status, headers={"Location": target})

    def answer(self, path: str, answer: Answer) -> str:
        """Answers `path` by calling `answer` in the thread of the connection; returns its URL."""
        self.answers[path] = answer
        return self.url(path)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: clients that hang up in mid-answer or refuse the certificate are what tests do."""


_PORTS = random.SystemRandom().sample(range(20_000, 32_000), 12_000)
"""None that a system gives to whoever asks for any, nor one that browsers refuse."""


def closed_port() -> int:
    """A port of 127.0.0.1 where nothing listens, nor will, unless the test does: each is given once."""
    while True:
        port = _PORTS.pop()
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def self_signed(folder: Path, *names: str) -> Path:
    """A PEM file with a new key and a certificate for `names` (host names or addresses) in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "origin.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
