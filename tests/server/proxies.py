"""nginx and Caddy as docs/operating.md configures them, their names and times changed to fit a test."""

import os
import re
import socket
import ssl
import subprocess
import time
from pathlib import Path

from ..sdk.origin import closed_port, self_signed
from ..worker.workers import PATIENCE

HEADER_SECONDS = 2
NAME = "detect.example.org"


class Proxy:
    """A proxy in front of the server on `port`, with TLS, as `localhost` on `self.port`."""

    program = ""

    def __init__(self, folder: Path, page: str, port: int) -> None:
        self.port, self.certificate = closed_port(), self_signed(folder, "localhost")
        self._folder, self._server = folder, port
        command = self.command(page)
        environ = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self._log = folder / "proxy.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.end()
                time.sleep(0.05)

    def command(self, page: str) -> list[str]:
        """Writes the configuration of the page; what starts the proxy with it."""
        raise NotImplementedError

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return context.wrap_socket(connection, server_hostname="localhost")

    def end(self) -> str:
        self.process.terminate()
        self.process.wait(PATIENCE)
        return self._log.read_text(errors="replace")


class Nginx(Proxy):
    program = "nginx"

    def command(self, page: str) -> list[str]:
        folder = self._folder
        text = _changed(
            _block(page, "nginx"),
            {
                "server 127.0.0.1:8787;": f"server 127.0.0.1:{self._server};",
                "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
                f"server_name {NAME};": "server_name localhost;",
                f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(self.certificate),
                f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(self.certificate),
                "client_header_timeout 10s;": f"client_header_timeout {HEADER_SECONDS}s;",
            },
        )
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        file = folder / "nginx.conf"
        file.write_text(
            f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{text}}}\n"
        )
        return ["nginx", "-p", str(folder), "-c", str(file), "-e", str(folder / "early.log")]


class Caddy(Proxy):
    program = "caddy"

    def command(self, page: str) -> list[str]:
        text = _changed(
            _block(page, "caddy"),
            {
                "{\n    servers {": "{\n    admin off\n    auto_https disable_redirects\n    servers {",
                f"\n{NAME} {{": (
                    f"\nhttps://localhost:{self.port} {{\n"
                    f"    bind 127.0.0.1\n    tls {self.certificate} {self.certificate}"
                ),
                "reverse_proxy 127.0.0.1:8787": f"reverse_proxy 127.0.0.1:{self._server}",
                "read_header 10s": f"read_header {HEADER_SECONDS}s",
            },
        )
        file = self._folder / "Caddyfile"
        file.write_text(text)
        return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


def _block(page: str, kind: str) -> str:
    [text] = re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return str(text)


def _changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
