"""What the operator does in a terminal: keys, pairing, reports; as processes would, on a real Redis."""

import csv
import io
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from aidetect import ConfigurationError, ImageInfo
from aidetect._cli._parsing import Parser
from aidetect_server._commands import add_keys, add_pair
from aidetect_server._home import Home
from aidetect_server._keys import KeyStore
from aidetect_server._pairing import Pairings
from aidetect_server._report_commands import add_parser as add_reports
from aidetect_server._report_commands import cell
from aidetect_server._reports import ReportStore
from aidetect_server._settings import ServerSettings
from aidetect_server._signing import Signer

from ..sdk.verdicts import AI
from ..worker.workers import PATIENCE, until
from .conftest import SECRET

NASTY = '=HYPERLINK("http://evil.example","x")\x1b[2J\u202e<script>alert(1)</script>\n,"\x00'


@pytest.fixture
def run(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line with the server's environment: status, output, what it said beside it."""
    monkeypatch.setenv("AIDETECT_REDIS_URL", settings.redis_url)
    monkeypatch.setenv("AIDETECT_SECRET", SECRET)
    monkeypatch.setenv("AIDETECT_SIGNING_FOLDER", settings.signing_folder)

    def command(*arguments: str) -> tuple[int, str, str]:
        parser = Parser(prog="aidetect")
        commands = parser.add_subparsers(required=True)
        for add in (add_keys, add_pair, add_reports):
            add(commands)
        options = parser.parse_args(list(arguments))
        status: int = options.run(options)
        return status, *capsys.readouterr()

    return command


@pytest.fixture
def store(redis: Redis, settings: ServerSettings) -> ReportStore:
    return ReportStore(redis, settings)


def test_a_key_is_printed_once_and_alone_on_stdout(
    run: Callable[..., tuple[int, str, str]], redis: Redis
) -> None:
    status, out, said = run("keys", "create", "laptop", "--scope", "metrics", "--limit", "5/minute")
    assert status == 0 and re.fullmatch(r"[0-9a-f]{12}\.[\w-]{43}\n", out)
    info = KeyStore(redis, SECRET).find(f"Bearer {out.strip()}")
    assert info is not None and info.scopes == ("metrics",) and info.limit == "5/60 seconds"
    secret = out.strip().split(".")[1]
    assert secret not in said and info.id in said
    assert secret not in run("keys", "list")[1] + run("keys", "list", "--json")[1]


def test_keys_are_listed_and_revoked(run: Callable[..., tuple[int, str, str]], redis: Redis) -> None:
    assert "keys create" in run("keys", "list")[2]
    text = run("keys", "create", NASTY.replace("\x00", ""))[1].strip()
    listed = run("keys", "list")[1]
    assert listed.count("\n") == 1 and "\x1b" not in listed and "\u202e" not in listed
    assert json.loads(run("keys", "list", "--json")[1])["scopes"] == ["check", "report"]
    # Whoever pastes the whole key instead of its id means that key.
    assert run("keys", "revoke", text)[0] == 0
    assert KeyStore(redis, SECRET).find(f"Bearer {text}") is None
    with pytest.raises(ConfigurationError, match="no key"):
        run("keys", "revoke", "0" * 12)


def test_a_key_to_be_revoked_is_not_repeated_in_an_error(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    with pytest.raises(ConfigurationError) as error:
        run("keys", "revoke", f"{'0' * 12}.{'S' * 43}")
    assert "S" * 10 not in error.value.message


def test_the_signing_key_is_rotated(
    run: Callable[..., tuple[int, str, str]], settings: ServerSettings
) -> None:
    signer = Signer(Path(settings.signing_folder))
    before = signer.kid
    status, _, said = run("keys", "rotate-signing")
    assert status == 0 and signer.kid != before and signer.kid in said


def test_pair_waits_until_its_code_is_used(
    run: Callable[..., tuple[int, str, str]], redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda _: 1234)
    answers: list[tuple[int, str, str]] = []
    thread = threading.Thread(target=lambda: answers.append(run("pair", "--name", "my browser")))
    thread.start()
    until(lambda: redis.exists("aidetect:pairings"))
    assert Pairings(redis, SECRET).redeem("001234") is not None
    thread.join(PATIENCE)
    ((status, out, said),) = answers
    assert status == 0 and out == "001234\n" and "paired" in said
    assert KeyStore(redis, SECRET).list()[0].name == "my browser"


def test_pair_ends_when_its_code_does(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aidetect_server._pairing.SECONDS", 1)
    status, out, said = run("pair")
    assert status == 1 and re.fullmatch(r"[0-9]{6}\n", out) and "not used" in said


def keep(store: ReportStore, n: int, note: str = "", image: bytes | None = None) -> str:
    verdict = replace(AI, image=ImageInfo(f"{n:064x}", 640, 480, "JPEG", 10))
    return store.keep(verdict, f"key{n}", "real", note, image)


def test_reports_are_listed_harmlessly(
    run: Callable[..., tuple[int, str, str]], store: ReportStore
) -> None:
    assert run("reports", "list") == (0, "", "aidetect: there are no reports\n")
    ids = [keep(store, 1, NASTY, b"image"), keep(store, 2)]
    status, out, _ = run("reports", "list")
    lines = out.splitlines()
    assert status == 0 and len(lines) == 2 and {line.split()[0] for line in lines} == set(ids)
    assert "\x1b" not in out and "\u202e" not in out and "\x00" not in out
    assert "ai (0.97), should be real  with image" in out


def test_reports_are_exported_without_formulas(
    run: Callable[..., tuple[int, str, str]], store: ReportStore
) -> None:
    keep(store, 1, NASTY)
    keep(store, 2, "  @SUM(A1)")
    keep(store, 3, "fine, -1 is not first")
    _, out, _ = run("reports", "export")
    rows = {row["sha256"][-1]: row for row in csv.DictReader(io.StringIO(out))}
    assert rows["1"]["note"].startswith("'=HYPERLINK") and "\\x1b[2J" in rows["1"]["note"]
    assert rows["2"]["note"].startswith("'") and rows["3"]["note"] == "fine, -1 is not first"
    assert out.count("\n") == 4 and "\x1b" not in out and "\x00" not in out
    lines = [json.loads(line) for line in run("reports", "export", "--format", "json")[1].splitlines()]
    assert next(line for line in lines if line["sha256"][-1] == "1")["note"] == NASTY


@pytest.mark.parametrize(
    "first", ["=", "+", "-", "@", "\t=", "\r=", "＝", "＋", "－", "＠", "\n=", " ="]
)
def test_no_cell_begins_as_a_formula(first: str) -> None:
    assert cell(f"{first}1+1")[0] in "'\\"


def test_images_are_exported_by_id(
    run: Callable[..., tuple[int, str, str]], store: ReportStore, tmp_path: Path
) -> None:
    id = keep(store, 1, "x", b"an image")
    keep(store, 2)
    folder = tmp_path / "new" / "images"
    assert run("reports", "export", "--images", str(folder))[0] == 0
    assert [path.name for path in folder.iterdir()] == [f"{id}.img"]
    assert (folder / f"{id}.img").read_bytes() == b"an image"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--images"):
        run("reports", "export", "--images", str(tmp_path / "file"))


def test_a_report_is_confirmed_and_deleted(
    run: Callable[..., tuple[int, str, str]], store: ReportStore, redis: Redis
) -> None:
    id = keep(store, 1)
    assert run("reports", "confirm", id)[0] == 0
    assert store.marks() == {f"{1:064x}": "real"} and "confirmed" in run("reports", "list")[1]
    redis.delete(f"aidetect:report:{id}")
    assert f"{1:064x}  disputed: should be real" in run("reports", "list")[1]
    assert run("reports", "delete", f"{1:064x}")[0] == 0 and store.marks() == {}
    for action in ("confirm", "delete"):
        with pytest.raises(ConfigurationError, match="no report"):
            run("reports", action, "\x1b[2J")


def test_without_a_server_it_says_what_to_do(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIDETECT_REDIS_URL", f"unix://{tmp_path}/none.sock")
    with pytest.raises(ConfigurationError, match="aidetect up"):
        run("keys", "list")
    monkeypatch.delenv("AIDETECT_REDIS_URL")
    monkeypatch.delenv("AIDETECT_SECRET")
    monkeypatch.setenv("AIDETECT_HOME", str(tmp_path / "nothing"))
    with pytest.raises(ConfigurationError, match="aidetect up"):
        run("keys", "list")
    assert not (tmp_path / "nothing").exists()


def test_a_running_aidetect_up_is_found(
    run: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: ServerSettings,
    redis: Redis,
) -> None:
    monkeypatch.delenv("AIDETECT_REDIS_URL")
    monkeypatch.delenv("AIDETECT_SECRET")
    monkeypatch.setenv("AIDETECT_HOME", str(tmp_path))
    home = Home(tmp_path)
    home.write("secret", SECRET)
    home.write("redis.url", settings.redis_url)
    text = run("keys", "create", "found")[1].strip()
    assert KeyStore(redis, SECRET).find(f"Bearer {text}") is not None
