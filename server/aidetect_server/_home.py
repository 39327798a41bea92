"""The private folder of one user's `aidetect up`: secrets, keys, the queue's data, logs."""

import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from aidetect._errors import ConfigurationError
from aidetect._text import printable

_FOLDER, _FILE = 0o700, 0o600


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """AIDETECT_HOME, else `aidetect` where this system keeps the data of one user's programs."""
    given = environ.get("AIDETECT_HOME", "").strip()
    if given:
        return Path(given).expanduser().absolute()
    # The XDG Base Directory Specification has programs ignore a relative path.
    data = environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(data):
        return Path(data, "aidetect")
    try:
        home = Path.home()
    except RuntimeError:
        raise ConfigurationError(
            "there is no home folder to keep keys in; name a folder in AIDETECT_HOME"
        ) from None
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "aidetect"
    return home / ".local" / "share" / "aidetect"


class Home:
    """That folder, made where it is missing, with mode 0700; what is written there has 0600.

    Raises ConfigurationError where it cannot be used, or is somebody else's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._usable(folder)

    def folder_of(self, name: str) -> Path:
        """A folder in it, made where it is missing."""
        folder = self.folder / name
        self._usable(folder)
        return folder

    def read(self, name: str) -> str:
        """The text kept under `name`; empty where there is none."""
        path = self.folder / name
        try:
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(path, error) from None

    def keep(self, name: str, make: Callable[[], str]) -> str:
        """The text kept under `name`; where there is none, what `make` returns is kept from now on."""
        kept = self.read(name)
        if not kept:
            kept = make()
            self.write(name, kept)
        return kept

    def write(self, name: str, text: str) -> Path:
        """Replaces the file whole: whoever is killed in between leaves the old one."""
        path = self.folder / name
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE), "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise _unusable(path, error) from None
        return path

    @contextmanager
    def lock(self, name: str) -> Iterator[int | None]:
        """The descriptor of a lock that ends with the processes that hold it; None while others do.

        A child that inherits the descriptor holds the lock as well.
        """
        import fcntl  # not on Windows, where `up` does not run

        path = self.folder / name
        try:
            held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE)
        except OSError as error:
            raise _unusable(path, error) from None
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield held
        finally:
            os.close(held)

    @staticmethod
    def _usable(folder: Path) -> None:
        try:
            folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
            found = folder.stat()
            if found.st_uid != os.getuid():
                raise ConfigurationError(
                    f"{printable(str(folder))} belongs to another user; name a folder of your own in "
                    "AIDETECT_HOME"
                )
            if stat.S_IMODE(found.st_mode) != _FOLDER:
                folder.chmod(_FOLDER)
        except OSError as error:
            raise _unusable(folder, error) from None


def _unusable(path: Path, error: OSError | UnicodeDecodeError) -> ConfigurationError:
    why = error.strerror if isinstance(error, OSError) else "it is not text"
    return ConfigurationError(
        f"{printable(str(path))} cannot be used ({why}); name another folder in AIDETECT_HOME"
    )
