"""Every code that a part of aidetect can answer with has its words, in every language."""

import ast
import functools
import json
import re
from pathlib import Path

import pytest

from aidetect._provenance._signals import SIGNALS

ROOT = Path(__file__).resolve().parents[2]
LOCALES = ROOT / "extension" / "_locales"
LANGUAGES = ("en", "id")
SOURCES = ("sdk", "server", "worker")
PLACEHOLDER = re.compile(r"\$(\w+)\$")


@functools.cache
def messages(language: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(
        (LOCALES / language / "messages.json").read_text("utf-8")
    )
    return found


@functools.cache
def trees() -> list[ast.Module]:
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    return [ast.parse(path.read_text(encoding="utf-8")) for path in files]


def reason_codes() -> set[str]:
    """The first argument of every Reason, where it is written out; else those of docs/evidence.md."""
    calls = (node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call))
    made = [call.args[0] for call in calls if getattr(call.func, "id", "") == "Reason" and call.args]
    text = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    told = text.partition("The reasons have the codes")[2].partition("\n\n")[0]
    return set(filter(None, map(constant, made))) | set(re.findall("`([a-z_]+)`", told))


def error_codes() -> set[str]:
    """What is called `code` in a class, a call or a dictionary, and the codes made from a status."""
    values: list[ast.expr | None] = []
    for node in (node for tree in trees() for node in ast.walk(tree)):
        if isinstance(node, ast.keyword):
            values += [node.value] if node.arg == "code" else []
        elif isinstance(node, ast.Assign):
            values += [node.value for one in node.targets if getattr(one, "id", "") == "code"]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            values += [value for name, value in pairs if constant(name) == "code"]
    made = {"http_3xx", "http_4xx", "http_5xx", "connection", "timeout", "tls"}
    return made | set(filter(None, map(constant, values)))


def constant(node: ast.expr | None) -> str:
    value = node.value if isinstance(node, ast.Constant) else ""
    return value if isinstance(value, str) else ""


def test_codes_are_found() -> None:
    assert {"too_small", "conflict", "views", "signed_agrees"} <= reason_codes()
    assert {"dns", "not_an_image", "rate_limited", "queue_full", "internal"} <= error_codes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_its_words(language: str) -> None:
    wanted = {f"reason_{code}" for code in reason_codes()}
    wanted |= {f"error_{code}" for code in error_codes()}
    wanted |= {f"signal_{key}" for key in SIGNALS} | {f"claims_{one.says}" for one in SIGNALS.values()}
    because = ("between_thresholds", "views_disagree", "too_small", "flat", "conflict")
    wanted |= {f"because_{code}" for code in because}
    assert not sorted(wanted - set(messages(language)))


def placeholders(entry: dict[str, object]) -> set[str]:
    return {name.lower() for name in PLACEHOLDER.findall(str(entry["message"]))}


def test_languages_say_the_same_things() -> None:
    english, others = messages("en"), [messages(language) for language in LANGUAGES[1:]]
    for other in others:
        assert other.keys() == english.keys()
        for key in english:
            assert placeholders(other[key]) == placeholders(english[key]), key
            assert other[key].get("placeholders") == english[key].get("placeholders"), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_messages_are_of_chromes_form(language: str) -> None:
    for key, entry in messages(language).items():
        assert re.fullmatch(r"[A-Za-z0-9_]+", key)
        assert isinstance(entry["message"], str) and entry["message"].strip() == entry["message"] != ""
        assert placeholders(entry) == set(entry.get("placeholders", {})), key  # type: ignore[call-overload]


def test_scripts_and_page_name_messages_that_exist() -> None:
    folders = (ROOT / "extension", ROOT / "server" / "aidetect_server" / "static")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".js", ".html")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    named = set(re.findall(r"""\bt\(\s*["']([a-z][a-z0-9_]+)["']""", text))
    named |= set(re.findall(r"""data-t=["']([a-z0-9_]+)["']""", text))
    assert "page_title" in named and len(named) > 60
    assert not sorted(named - set(messages("en")))
