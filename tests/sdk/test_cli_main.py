"""The command line as a whole, before anything is checked: usage, versions, commands of others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aidetect
from aidetect._cli import main
from aidetect._views import PROFILES


def aidetect_process(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200"}
    if path is not None:
        old = os.environ.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(path), *([old] if old else [])])
    command = [sys.executable, "-W", "error", "-m", "aidetect", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"aidetect {aidetect.__version__}\n"


def test_help_lists_commands_and_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "check" in shown and "models" in shown
    assert main(["check", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {status} " in shown for status in (0, 1, 2, 3, 130))


def test_help_is_instant_and_loads_nothing_heavy() -> None:
    program = (
        "import sys, json; from aidetect._cli import main\n"
        "main(['--help']); main(['check', '--help']); print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"numpy", "PIL", "requests", "onnxruntime", "torch", "cryptography"}
    assert min(_processor_seconds() for _ in range(5)) <= 0.3


def _processor_seconds() -> float:
    """Of `aidetect --help`, whatever else the machine does; `tests/bench/sdk.py` has its wall time."""
    before = os.times()
    assert aidetect_process("--help").returncode == 0
    after = os.times()
    user, system = "children_user", "children_system"
    return sum(getattr(after, part) - getattr(before, part) for part in (user, system))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "COMMAND"),
        (["chekc", "a.jpg"], "chekc"),
        (["servee"], "'serve'"),
        (["check"], "no inputs"),
        (["check", "--json"], "no inputs"),
        (["check", "a.jpg", "--jsn", "b.jpg"], "there is no option --jsn"),
        (["check", "--js", "a.jpg"], "--js"),
        (["check", "a.jpg", "--fail-on", "real"], "real"),
        (["check", "a.jpg", "--threads", "0"], "whole number above zero"),
        (["check", "a.jpg", "--threads", "two"], "whole number above zero"),
        (["check", "a.jpg", "--timeout", "nan"], "seconds above zero"),
        (["check", "a.jpg", "--timeout", "inf"], "seconds above zero"),
        (["check", "a.jpg", "--timeout", "1e300"], "is more than 9223372036 seconds"),
        (["watch", ".", "--interval", "1e300"], "is more than 9223372036 seconds"),
        (["check", "a.jpg", "--views", "all"], "all"),
        (["check", "-", "-"], "twice"),
        (["models", "keygen"], "FILE"),
        (["models", "sign", "x"], "--key"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("aidetect: ") and shown.err.count("\n") == 1
    assert problem in shown.err


def test_wrong_usage_is_shown_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "a.jpg", "--\x1b]0;owned\x07"]) == 2
    assert main(["\x1b[2J\u202e"]) == 2
    assert capsys.readouterr().err.replace("\n", "").isprintable()


def test_options_and_inputs_may_be_mixed_and_all_after_two_dashes_are_inputs() -> None:
    from aidetect._cli._check import add_parser
    from aidetect._cli._parsing import Parser

    parser = Parser()
    add_parser(parser.add_subparsers())
    words = ["check", "a", "--json", "b", "-", "--fail-on", "ai", "c", "--fail-on", "uncertain"]
    options = parser.parse_args([*words, "--", "-d", "--json", "--"])
    assert options.inputs == ["a", "b", "-", "c", "-d", "--json", "--"]
    assert options.json and options.fail_on == ["ai", "uncertain"]
    assert parser.parse_args(["check", "--", "-d"]).inputs == ["-d"]


@pytest.mark.parametrize("name", ["-dash.jpg", "-rash.jpg", "--views.png"])
def test_a_file_that_was_taken_for_options_is_told_how_to_be_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", name]) == 2
    assert "./" not in capsys.readouterr().err, "there is no such file"
    Path(name).write_bytes(b"x")
    assert main(["check", name]) == 2
    shown = capsys.readouterr().err
    assert f"given as ./{name}, or after --" in shown and shown.count("\n") == 1
    for right in ([f"./{name}"], ["--", name]):
        assert main(["claims", *right]) == 1
        assert f"{name} is" in capsys.readouterr().err, "read, and no image"


def test_views_are_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--help"])
    assert "{" + ",".join(PROFILES) + "}" in capsys.readouterr().out


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder with an installed distribution that has two commands, one of which lacks a part."""
    (tmp_path / "plugin_commands.py").write_text(
        "def add_parser(commands):\n"
        "    parser = commands.add_parser('greet', help='says hello')\n"
        "    parser.add_argument('name')\n"
        "    parser.set_defaults(run=lambda options: print('hello', options.name) or 7)\n"
    )
    (tmp_path / "plugin_broken.py").write_text("import absent_part_of_an_extra\n")
    information = tmp_path / "plugin_for_tests-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: plugin-for-tests\nVersion: 1.0\n"
    )
    (information / "entry_points.txt").write_text(
        "[aidetect.commands]\n"
        "greet = plugin_commands:add_parser\n"
        "lacking = plugin_broken:add_parser\n"
        "check = plugin_broken:add_parser\n"
    )
    return tmp_path


def test_commands_of_other_packages_are_found_and_run(plugins: Path) -> None:
    done = aidetect_process("greet", "Ada", path=plugins)
    assert (done.returncode, done.stdout, done.stderr) == (7, "hello Ada\n", "")
    assert aidetect_process("greet", path=plugins).returncode == 2


def test_help_lists_them_and_says_which_lack_a_part(plugins: Path) -> None:
    shown = aidetect_process("--help", path=plugins).stdout
    assert "says hello" in shown
    assert "lacking" in shown and "not installed" in shown


def test_a_command_that_lacks_a_part_is_one_sentence(plugins: Path) -> None:
    done = aidetect_process("lacking", "--option", path=plugins)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "absent_part_of_an_extra" in done.stderr and "extra" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "module", "extra"),
    [
        (["up"], "redis", "server"),
        (["serve"], "flask", "server"),
        (["keys", "list"], "redis", "server"),
        (["pair"], "flask", "server"),
        (["reports", "list"], "redis", "server"),
        (["worker"], "redis", "worker"),
    ],
)
def test_a_command_without_its_extra_says_in_one_sentence_how_to_have_it(
    arguments: list[str], module: str, extra: str, tmp_path: Path
) -> None:
    missing = f'raise ModuleNotFoundError("No module named {module!r}", name="{module}")\n'
    (tmp_path / f"{module}.py").write_text(missing)
    done = aidetect_process(*arguments, path=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"pip install '.[{extra}]'" in done.stderr and module in done.stderr


def test_nobody_takes_the_place_of_a_built_in_command(plugins: Path) -> None:
    done = aidetect_process("check", "--help", path=plugins)
    assert done.returncode == 0 and "--fail-on" in done.stdout


@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_leaves_ends_it_quietly(buffered: bool) -> None:
    command = [sys.executable, "-W", "error", "-m", "aidetect", "models", "list"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("buffered", [True, False])
def test_output_that_cannot_be_written_is_one_sentence(buffered: bool) -> None:
    command = [sys.executable, "-W", "error", "-m", "aidetect", "models", "list"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, env=environment
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "No space left" in done.stderr
