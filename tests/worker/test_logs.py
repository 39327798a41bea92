"""Lines of the log, as text and as JSON: nothing secret in them."""

import json
import logging

import pytest

from aidetect_worker._logs import Json, Text, scrubbed


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("got https://a.org/b.png?token=s3cret.", "got https://a.org/b.png?…"),
        ("<https://a.org/b?x=1> and 'HTTP://c.org/#frag'", "<https://a.org/b?…> and 'HTTP://c.org/?…'"),
        ("redis://user:s3cret@host:6379/0", "redis://…@host:6379/0"),
        ("wss://u:s<3cret@a.org/b?x=<s3cret>x", "wss://…@a.org/b?…"),
        ("nothing to hide at https://a.org/b.png", "nothing to hide at https://a.org/b.png"),
    ],
)
def test_queries_and_passwords_are_cut_out(said: str, written: str) -> None:
    assert scrubbed(said) == written


def test_a_long_line_takes_no_longer_for_what_it_holds() -> None:
    """Read anew from each of these, it would take hours."""
    assert scrubbed(500_000 * "://") == 500_000 * "://"


@pytest.mark.parametrize("form", [Json(), Text()], ids=["json", "text"])
def test_a_record_with_a_traceback(form: logging.Formatter) -> None:
    try:
        raise ValueError("https://a.org/?token=s3cret")
    except ValueError as error:
        record = logging.LogRecord(
            "aidetect.worker", logging.ERROR, "", 1, "no %s", ("https://b.org/?k=s3cret",),
            (ValueError, error, error.__traceback__),
        )  # fmt: skip
    record.job = "0123"
    line = form.format(record)
    assert "s3cret" not in line and "ValueError" in line and "https://b.org/?…" in line
    if isinstance(form, Json):
        read = json.loads(line)
        assert read["job"] == "0123" and read["level"] == "error" and "\n" not in line
