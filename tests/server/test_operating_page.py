"""docs/operating.md: the server's settings as the code has them, and nginx as the page configures it."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from aidetect._settings import table
from aidetect_server._serve import ServeSettings
from aidetect_server._settings import ServerSettings

from ..sdk.origin import closed_port, self_signed
from .consumer import Consumer
from .gunicorn_server import GunicornServer, bearer
from .test_events import read

HEADER_SECONDS = 2


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "operating.md").read_text(encoding="utf-8")


def test_the_page_lists_every_setting_as_the_code_has_it(page: str) -> None:
    rows = table(ServerSettings, ServeSettings).splitlines()[2:]
    assert len(rows) > 20
    assert not [row for row in rows if row not in page]


class Nginx:
    """nginx with the page's configuration, its names and times changed to fit a test."""

    def __init__(self, folder: Path, text: str, server: GunicornServer) -> None:
        self.port, self.certificate = closed_port(), self_signed(folder, "localhost")
        changes = {
            "server 127.0.0.1:8787;": f"server 127.0.0.1:{server.port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "server_name detect.example.org;": "server_name localhost;",
            "/etc/letsencrypt/live/detect.example.org/fullchain.pem": str(self.certificate),
            "/etc/letsencrypt/live/detect.example.org/privkey.pem": str(self.certificate),
            "client_header_timeout 10s;": f"client_header_timeout {HEADER_SECONDS}s;",
        }
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{text}}}\n"
        )
        command = [
            "nginx",
            "-p",
            str(folder),
            "-c",
            str(folder / "nginx.conf"),
            "-e",
            str(folder / "early.log"),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.end()
                time.sleep(0.05)

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return context.wrap_socket(connection, server_hostname="localhost")

    def end(self) -> str:
        self.process.terminate()
        return self.process.communicate(timeout=20)[0].decode(errors="replace")


@pytest.fixture
def nginx(page: str, serve: Callable[..., GunicornServer], tmp_path: Path) -> Iterator[Nginx]:
    if not shutil.which("nginx"):
        pytest.skip("needs nginx")
    [text] = re.findall(r"^```nginx\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    server = serve(proxy_hops=1, allowed_hosts=("localhost",), address_limit="5/60 seconds")
    folder = tmp_path / "nginx"
    folder.mkdir()
    os.chmod(folder, 0o755)
    started = Nginx(folder, text, server)
    yield started
    started.end()


def test_checks_pass_through_nginx(nginx: Nginx, key: str, consumer: Consumer) -> None:
    address = f"https://localhost:{nginx.port}"
    with requests.Session() as session:
        session.verify, session.trust_env = str(nginx.certificate), False
        sent = session.post(
            f"{address}/v1/uploads?wait=20",
            data=b"x" * 3_000_000,
            headers=bearer(key, **{"Content-Type": "image/png"}),
            timeout=40,
        )
        assert sent.status_code == 200 and re.fullmatch("[0-9a-f]{32}", sent.headers["X-Request-Id"])
        follow = f"{address}/v1/checks/{sent.json()['id']}/events"
        with session.get(follow, headers=bearer(key), stream=True, timeout=20) as stream:
            states = list(read(stream.iter_lines(decode_unicode=True)))
        assert states[-1]["state"] == "done"
        over = session.post(
            f"{address}/v1/uploads",
            data=b"x" * 22_100_000,
            headers=bearer(key, **{"Content-Type": "image/png"}),
            timeout=40,
        )
        assert over.status_code == 413


def test_states_stream_through_nginx_as_they_come(nginx: Nginx, key: str, consumer: Consumer) -> None:
    consumer.hold.set()
    address = f"https://localhost:{nginx.port}/v1/checks"
    with requests.Session() as session:
        session.verify, session.trust_env = str(nginx.certificate), False
        session.headers.update(bearer(key))
        check = session.post(address, json={"url": "https://example.org/x"}, timeout=20).json()
        with session.get(f"{address}/{check['id']}/events", stream=True, timeout=20) as stream:
            states = read(stream.iter_lines(decode_unicode=True))
            assert next(states)["state"] == "queued"
            consumer.hold.clear()
            assert list(states)[-1]["state"] == "done"


def test_slow_headers_are_cut_by_nginx(nginx: Nginx) -> None:
    with nginx.connect() as connection:
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


def test_addresses_behind_nginx_are_told_apart_and_not_believed(nginx: Nginx) -> None:
    address = f"https://localhost:{nginx.port}/openapi.json"
    statuses = [
        requests.get(
            address,
            verify=str(nginx.certificate),
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
            timeout=20,
        ).status_code
        for number in range(8)
    ]
    assert statuses == [200] * 5 + [429] * 3
