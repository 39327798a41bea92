"""Whose signed verdicts are believed: keys that the caller has, or those that a server had at first.

Trust on first use is what SSH does: the keys of a server's first answer are written down, and later
answers have to be signed by one of them. It protects whoever reached the right server the first time.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

from ._client import Client
from ._errors import ConfigurationError, ServiceError, SignatureError
from ._jws import Keys
from ._text import printable

FIRST_USE = "first-use"
_MAX_FILE = 10_000_000


class Trust:
    """Verifies one server's verdicts. `keys`: a file with its public keys (PEM, or the JWK Set of its
    /.well-known/jwks.json), or "first-use"."""

    def __init__(self, keys: "str | os.PathLike[str]", client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._first_use = keys == FIRST_USE
        self._keys = None if self._first_use else _read(Path(keys))

    def verify(self, wire: Any, signature: Any) -> None:
        """Raises SignatureError unless a trusted key signed exactly this verdict."""
        with self._lock:
            if self._keys is None:
                self._keys = self._known()
        if not isinstance(wire, dict) or not isinstance(signature, str):
            raise SignatureError(
                f"{self._client.name}: its verdict is not signed. Ask whoever runs it to sign, or do not"
                " ask for verification."
            )
        try:
            self._keys.verify(wire, signature)
        except SignatureError as error:
            first = f" Those trusted at first are in {known_servers()}." if self._first_use else ""
            raise SignatureError(f"{self._client.name}: {error.message}{first}") from None

    def _known(self) -> Keys:
        """The keys written down for this server; those it has now where there are none."""
        path, url = known_servers(), self._client.url
        listed = _listed(path)
        if url not in listed:
            answer = self._client.call("GET", "/.well-known/jwks.json")
            try:
                Keys.read(answer.body, f"{self._client.name}'s key set")
            except ConfigurationError as error:
                raise ServiceError(error.message) from None
            listed[url] = answer.data
            _write(path, listed)
        return Keys.read(json.dumps(listed[url]).encode(), str(path))


def known_servers() -> Path:
    """Where the keys of first uses are kept: AIDETECT_KNOWN_SERVERS, or in the user's configuration."""
    if named := os.environ.get("AIDETECT_KNOWN_SERVERS"):
        return Path(named)
    if os.name == "nt":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "aidetect" / "known_servers.json"


def _listed(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(_MAX_FILE))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{printable(str(path))}: cannot be read ({error}). Mend or remove it."
        ) from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{printable(str(path))}: is no list of servers. Mend or remove it.")
    return found


def _write(path: Path, listed: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_text(json.dumps(listed, indent=1), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise ConfigurationError(
            f"{printable(str(path))}: cannot be written ({error.strerror}). Name another file in"
            " AIDETECT_KNOWN_SERVERS."
        ) from None


def _read(path: Path) -> Keys:
    try:
        with open(path, "rb") as file:
            return Keys.read(file.read(_MAX_FILE), str(path))
    except OSError as error:
        raise ConfigurationError(
            f"{printable(str(path))}: cannot be read ({error.strerror}). Give a file with the server's"
            " public keys."
        ) from None
