"""What the arguments of `aidetect check` stand for: files, folders, URLs, standard input."""

import os
from pathlib import Path

import pytest

from aidetect import InputError, InputNotFoundError
from aidetect._cli._inputs import expand


def names(folder: Path, *arguments: str, recursive: bool = False) -> list[str]:
    """What the arguments expand to, relative to the folder; errors may not be among them."""
    found = expand([str(folder / one) for one in arguments] or [str(folder)], recursive=recursive)
    assert not [one for one in found if isinstance(one, InputError)]
    return [Path(str(one)).relative_to(folder).as_posix() for one in found]


def error_of(folder: Path, *, recursive: bool = False) -> InputError:
    (found,) = expand([str(folder)], recursive=recursive)
    assert isinstance(found, InputError)
    assert found.input is not None and Path(found.input).is_relative_to(folder)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images, other files, hidden ones and subfolders, made in an order that is not the sorted one."""
    for name in [
        "b.PNG", "a.jpg", "c.tiff", "notes.txt", "jpg", ".hidden.jpg", "d.jpeg.part",
        "sub/z.webp", "sub/deeper/y.heic", "sub/deeper/readme.md", ".git/x.png", "album.jpg/w.gif",
    ]:  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def test_a_folder_stands_for_its_images_sorted(folder: Path) -> None:
    assert names(folder) == ["a.jpg", "b.PNG", "c.tiff"]


def test_recursive_goes_into_subfolders_but_not_hidden_ones(folder: Path) -> None:
    expected = ["a.jpg", "b.PNG", "c.tiff", "album.jpg/w.gif", "sub/z.webp", "sub/deeper/y.heic"]
    assert names(folder, recursive=True) == expected


def test_what_is_named_itself_is_taken_as_it_is(folder: Path) -> None:
    assert names(folder, "notes.txt", "gone.jpg", ".hidden.jpg") == [
        "notes.txt",
        "gone.jpg",
        ".hidden.jpg",
    ]
    assert names(folder, ".git") == [".git/x.png"]


def test_order_is_that_of_the_arguments(folder: Path) -> None:
    assert names(folder, "sub", "b.PNG", "album.jpg", "a.jpg") == [
        "sub/z.webp",
        "b.PNG",
        "album.jpg/w.gif",
        "a.jpg",
    ]


@pytest.mark.parametrize(
    "argument",
    [
        "https://example.org/a.jpg",
        "HTTP://example.org",
        "file:///etc/passwd",
        "ftp://example.org/a.png",
        "-",
    ],
)
def test_urls_and_standard_input_are_left_alone(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.makedirs("-")
    os.makedirs(argument.replace("//", "/").lstrip("/"), exist_ok=True)
    assert expand([argument], recursive=True) == [argument]


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    error = error_of(tmp_path)
    assert isinstance(error, InputNotFoundError)
    assert "no images" in error.message and "--recursive" not in error.message
    assert isinstance(error_of(tmp_path, recursive=True), InputNotFoundError)


def test_a_folder_with_images_further_down_only_says_recursive(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").write_bytes(b"x")
    assert "--recursive" in error_of(tmp_path).message


def test_an_error_of_a_folder_stands_in_its_place(folder: Path) -> None:
    (folder / "empty").mkdir()
    found = expand([str(folder / one) for one in ("a.jpg", "empty", "b.PNG")], recursive=False)
    assert [type(one) for one in found] == [str, InputNotFoundError, str]


def test_a_folder_with_a_nasty_name_is_named_harmless(tmp_path: Path) -> None:
    nasty = tmp_path / "a\x1b[2J\u202e"
    nasty.mkdir()
    assert error_of(nasty).message.isprintable()


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs permissions that bind"
)
def test_a_folder_that_cannot_be_read_is_an_error_beside_the_others(folder: Path) -> None:
    (folder / "sub").chmod(0)
    try:
        found = expand([str(folder)], recursive=True)
    finally:
        (folder / "sub").chmod(0o700)
    assert [one for one in found if isinstance(one, str)] and isinstance(found[-1], InputError)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_links_are_followed_to_files_but_not_into_folders_and_pipes_are_left_out(folder: Path) -> None:
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "sub" / "a-link.jpg").symlink_to(folder / "a.jpg")
    (folder / "sub" / "broken.jpg").symlink_to(folder / "nothing")
    os.mkfifo(folder / "sub" / "pipe.jpg")
    expected = ["sub/a-link.jpg", "sub/broken.jpg", "sub/z.webp", "sub/deeper/y.heic"]
    assert names(folder, "sub", recursive=True) == expected


def test_undecodable_names_are_found(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    except (OSError, UnicodeError):
        pytest.skip("this file system has no undecodable names")
    assert names(tmp_path) == ["caf\udce9.jpg"]
