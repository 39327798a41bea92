"""The extension without a browser: its modules under node, types, lint, package, and no text in code."""

import json
import posixpath
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ..npm import modules, node

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "extension"
UNIT = Path(__file__).parent / "unit"
SCRIPTS = sorted(path for path in EXTENSION.rglob("*.js"))
PAGES = sorted((EXTENSION / "pages").glob("*.html"))
MESSAGES: dict[str, Any] = json.loads((EXTENSION / "_locales/en/messages.json").read_text("utf-8"))


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("file", sorted(path.name for path in UNIT.glob("*.test.mjs")))
def test_unit(file: str) -> None:
    done = run(node(), "--test", UNIT / file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types() -> None:
    """`tsc --checkJs`, strict, with Chrome's own types."""
    tools = modules()
    done = run(
        node(),
        tools / "typescript/bin/tsc",
        "-p",
        EXTENSION,
        "--typeRoots",
        tools / "@types",
        "--pretty",
        "false",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_lint_of_what_loads_unpacked() -> None:
    """No error; the one warning is that Firefox leaves Chrome's background alone."""
    options = ["--source-dir", EXTENSION, "--no-config-discovery", "--output", "json"]
    done = run(node(), modules() / "web-ext/bin/web-ext.js", "lint", *options)
    found = json.loads(done.stdout)
    assert not found["errors"] and not found["notices"], found
    assert [one["code"] for one in found["warnings"]] == ["BACKGROUND_SERVICE_WORKER_IGNORED"], found


def pack(folder: Path) -> list[Path]:
    done = run(sys.executable, EXTENSION / "package.py", folder)
    assert done.returncode == 0, done.stderr
    return sorted(folder.glob("*.zip"))


def test_packages_are_the_same_each_time_small_and_whole(tmp_path: Path) -> None:
    first, second = pack(tmp_path / "a"), pack(tmp_path / "b")
    assert [path.name.rpartition("-")[2] for path in first] == ["chrome.zip", "firefox.zip"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    for path in first:
        assert path.stat().st_size < 200_000
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            manifest = json.loads(archive.read("manifest.json"))
            for page in names & {f"pages/{one.name}" for one in PAGES}:
                for link in re.findall(r'(?:src|href)="([^"#]+)"', archive.read(page).decode()):
                    assert posixpath.normpath(f"pages/{link}") in names, link
            for script in [name for name in names if name.endswith(".js")]:
                assert archive.read(script) == (EXTENSION / script).read_bytes()
                for imported in re.findall(
                    r'(?:from|import) "(\.[^"]+)"', archive.read(script).decode()
                ):
                    assert posixpath.normpath(f"{script}/../{imported}") in names, imported
        assert not {name for name in names if not re.search(r"\.(js|json|html|css|png)$", name)}
        assert ("browser_specific_settings" in manifest) == path.name.endswith("firefox.zip")
        assert ("service_worker" in manifest["background"]) == path.name.endswith("chrome.zip")


def test_the_manifest_asks_for_no_more_than_it_needs() -> None:
    manifest = json.loads((EXTENSION / "manifest.json").read_text("utf-8"))
    assert sorted(manifest["permissions"]) == ["activeTab", "contextMenus", "scripting", "storage"]
    assert sorted(manifest["optional_host_permissions"]) == ["http://*/*", "https://*/*"]
    forbidden = {
        "content_scripts",
        "host_permissions",
        "web_accessible_resources",
        "externally_connectable",
    }
    assert not forbidden & manifest.keys()
    assert (
        manifest["version"]
        == re.search(r'__version__ = "([\d.]+)', (ROOT / "sdk/aidetect/__init__.py").read_text("utf-8"))[
            1
        ]
    )  # type: ignore[index]


class Texts(HTMLParser):
    """Texts of a page that a person would read, and not in their language."""

    SPOKEN = ("title", "alt", "aria-label", "placeholder")

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "input", "img"):
            self.inside.append(tag)
        self.found += [value for name, value in attrs if name in self.SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        self.inside.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and self.inside[-1] != "script":
            self.found.append(data.strip())


SAME_IN_ALL = {"aidetect", "aidetect up", "https://", "English", "Bahasa Indonesia"}
"""A name, a command, the beginning of an address, and the languages by their own names."""


def test_no_page_has_text_of_its_own() -> None:
    for page in PAGES:
        texts = Texts()
        texts.feed(page.read_text("utf-8"))
        assert set(texts.found) <= SAME_IN_ALL, page.name


STRING = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`""", re.DOTALL
)
SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:]? [A-Za-z]{2,}|^[A-Z][a-z]{2,}$")
NO_TEXT = re.compile(
    r"use strict|Escape|Bearer.*|Authorization|name word|report name|body pictured|.*\dpx.*"
)
"""Names of keys and headers, ids, classes and values of CSS."""


def prose(script: str) -> list[str]:
    """String literals that look like words for people."""
    strings = ("".join(part or "" for part in match.groups()) for match in STRING.finditer(script))
    bare = (re.sub(r"\$\{.*?\}", "", text) for text in strings)
    return [one for one in bare if SENTENCE.search(one) and not NO_TEXT.fullmatch(one)]


def test_no_script_has_text_of_its_own() -> None:
    found = {
        path.name: prose(path.read_text("utf-8")) for path in SCRIPTS if path.name != "card-style.js"
    }
    assert not {name: texts for name, texts in found.items() if texts}


def test_text_in_code_would_be_found() -> None:
    assert prose('told("Not connected yet."); // a comment, "as said"') == ["Not connected yet."]
    assert prose("x = `Hello ${name}, dear friend`") and prose("button.textContent = 'Cancel'")
    assert not prose('t("ext_options"); h("div", { class: "head" })')


def test_every_message_of_the_extension_is_used() -> None:
    texts = "\n".join(
        path.read_text("utf-8") for path in [*SCRIPTS, *PAGES, EXTENSION / "manifest.json"]
    )
    made = ("ext_kind_", "connect_")  # with what is appended in code
    own = [key for key in MESSAGES if key.startswith(("ext_", "connect_")) and not key.startswith(made)]
    assert len(own) > 40
    assert not [key for key in own if not re.search(rf"\b(?:__MSG_)?{key}(?:__)?\b", texts)]


MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|DOMParser|"
    r"setHTML|createContextualFragment"
)


def test_strings_become_text_only() -> None:
    assert not [path.name for path in SCRIPTS if MARKUP.search(path.read_text("utf-8"))]
    inline = re.compile(r"<script(?![^>]*\bsrc=)|\son\w+=|javascript:|<style|\sstyle=")
    assert not [page.name for page in PAGES if inline.search(page.read_text("utf-8"))]
    assert not [
        page.name
        for page in PAGES
        if re.search(r"(?:src|href)=\"(?:https?:)?//", page.read_text("utf-8"))
    ]


def test_the_documentation_calls_things_as_the_extension_does() -> None:
    text = (ROOT / "docs" / "extension.md").read_text("utf-8")
    plain = re.sub(r"```.*?```|`[^`]*`|\*\*.*?\*\*", "", text, flags=re.DOTALL)
    named = {" ".join(words.split()) for words in re.findall(r"\*([^*]+)\*", plain)}
    messages = [message["message"] for message in MESSAGES.values()]
    assert len(named) > 20
    assert not [words for words in named if not any(one.startswith(words) for one in messages)]
    manifest = json.loads((EXTENSION / "manifest.json").read_text("utf-8"))
    table = text.partition("## What it may do, and why")[2].partition("## Limits")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    wanted = manifest["permissions"] + manifest["optional_host_permissions"]
    assert {name for row in rows for name in re.findall("`(.*?)`", row)} == set(wanted)
    gecko = manifest["browser_specific_settings"]["gecko"]["strict_min_version"].split(".")[0]
    assert f"from version {manifest['minimum_chrome_version']}," in text.replace("\n", " ")
    assert f"Firefox from version {gecko}." in text
