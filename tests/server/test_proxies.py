"""The proxies that docs/operating.md puts in front of the server, run as that page configures them."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from ..worker.workers import PATIENCE
from .consumer import Consumer
from .gunicorn_server import GunicornServer, bearer
from .proxies import HEADER_SECONDS, Caddy, Nginx, Proxy
from .test_events import read


@pytest.fixture(params=[Nginx, Caddy], ids=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, root: Path, serve: Callable[..., GunicornServer], tmp_path: Path
) -> Iterator[Proxy]:
    kind: type[Proxy] = request.param
    if not shutil.which(kind.program):
        pytest.skip(f"needs {kind.program}")
    page = (root / "docs" / "operating.md").read_text(encoding="utf-8")
    server = serve(proxy_hops=1, allowed_hosts=("localhost",), address_limit="5/1 day")
    folder = tmp_path / "proxy"
    folder.mkdir()
    os.chmod(folder, 0o755)
    started = kind(folder, page, server.port)
    yield started
    started.end()


def test_checks_pass_through(proxy: Proxy, key: str, consumer: Consumer) -> None:
    address = f"https://localhost:{proxy.port}"
    image = bearer(key, **{"Content-Type": "image/png"})
    with requests.Session() as session:
        session.verify, session.trust_env = str(proxy.certificate), False
        sent = session.post(
            f"{address}/v1/uploads?wait=20", data=b"x" * 3_000_000, headers=image, timeout=PATIENCE
        )
        assert sent.status_code == 200 and re.fullmatch("[0-9a-f]{16,32}", sent.headers["X-Request-Id"])
        follow = f"{address}/v1/checks/{sent.json()['id']}/events"
        with session.get(follow, headers=bearer(key), stream=True, timeout=PATIENCE) as stream:
            states = list(read(stream.iter_lines(decode_unicode=True)))
        assert states[-1]["state"] == "done"
        try:
            large = b"x" * 22_100_000
            over = session.post(f"{address}/v1/uploads", data=large, headers=image, timeout=PATIENCE)
            assert over.status_code == 413
        except requests.ConnectionError:
            assert proxy.program == "caddy", "it may hang up before all is sent"


def test_states_stream_as_they_come(proxy: Proxy, key: str, consumer: Consumer) -> None:
    consumer.hold.set()
    address = f"https://localhost:{proxy.port}/v1/checks"
    with requests.Session() as session:
        session.verify, session.trust_env = str(proxy.certificate), False
        session.headers.update(bearer(key))
        check = session.post(address, json={"url": "https://example.org/x"}, timeout=PATIENCE).json()
        with session.get(f"{address}/{check['id']}/events", stream=True, timeout=PATIENCE) as stream:
            states = read(stream.iter_lines(decode_unicode=True))
            assert next(states)["state"] == "queued"
            consumer.hold.clear()
            assert list(states)[-1]["state"] == "done"


def test_slow_headers_are_cut(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        started = time.monotonic()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        received = b""
        try:
            while time.monotonic() - started < 15:
                connection.sendall(b"X-Slow: yes\r\n")
                connection.settimeout(0.3)
                try:
                    part = connection.recv(1000)
                except TimeoutError:
                    continue
                if not part:
                    break
                received += part
        except OSError:
            pass  # it hung up
    assert time.monotonic() - started < HEADER_SECONDS + 8
    assert received == b"" or received.startswith(b"HTTP/1.1 408")


def test_addresses_are_told_apart_and_not_believed(proxy: Proxy) -> None:
    address = f"https://localhost:{proxy.port}/openapi.json"
    statuses = [
        requests.get(
            address,
            verify=str(proxy.certificate),
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
            timeout=PATIENCE,
        ).status_code
        for number in range(8)
    ]
    assert statuses == [200] * 5 + [429] * 3
