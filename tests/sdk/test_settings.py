"""Settings: the environment read once, wrong values named, the table that documentation shows."""

from dataclasses import dataclass

import pytest

from aidetect import ConfigurationError
from aidetect._settings import Settings, setting, table


@dataclass(frozen=True)
class Ours(Settings):
    address: str = setting("127.0.0.1", "OURS_ADDRESS", "Where it listens.")
    waiters: int = setting(64, "OURS_WAITERS", "Requests that may wait at once.", least=1, most=100)
    timeout: float = setting(2.5, "OURS_TIMEOUT", "Seconds.", least=0)
    private: bool = setting(False, "OURS_PRIVATE", "Allow private hosts.")
    hosts: tuple[str, ...] = setting((), "OURS_HOSTS", "Names it answers to.")
    secret: str | None = setting(
        None, "OURS_SECRET", "At least 4 characters.", secret=True, parse=lambda s: s
    )


@dataclass(frozen=True)
class More(Ours):
    model: str = setting("default", "OURS_MODEL", "The model.")


def test_nothing_set_gives_the_defaults() -> None:
    assert Ours.from_environment({}) == Ours()


def test_every_kind_is_read_from_text() -> None:
    environ = {
        "OURS_ADDRESS": " ::1 ",
        "OURS_WAITERS": "7",
        "OURS_TIMEOUT": "0.5",
        "OURS_PRIVATE": "yes",
        "OURS_HOSTS": "a.example, b.example,",
        "OURS_SECRET": "s3cret",
        "OURS_MODEL": "other",
    }
    assert More.from_environment(environ) == More(
        "::1", 7, 0.5, True, ("a.example", "b.example"), "s3cret", "other"
    )


def test_what_is_given_counts_more_than_the_environment_and_empty_is_not_set() -> None:
    assert Ours.from_environment({"OURS_WAITERS": "7", "OURS_ADDRESS": ""}, waiters=9) == Ours(waiters=9)
    assert Ours.from_environment({"OURS_WAITERS": "wrong"}, waiters=9) == Ours(waiters=9)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OURS_WAITERS", "many"),
        ("OURS_WAITERS", "0"),
        ("OURS_WAITERS", "101"),
        ("OURS_TIMEOUT", "-1"),
        ("OURS_PRIVATE", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_variable(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable}: '{text}' cannot be used"):
        Ours.from_environment({variable: text})


def test_a_secret_is_in_no_message_and_no_repr() -> None:
    def refuse(text: str) -> str:
        raise ValueError("too short")

    @dataclass(frozen=True)
    class Secret(Settings):
        key: str | None = setting(None, "OURS_KEY", "A key.", secret=True, parse=refuse)

    with pytest.raises(ConfigurationError, match="OURS_KEY: its value cannot be used: too short"):
        Secret.from_environment({"OURS_KEY": "hunter2"})
    assert "hunter2" not in repr(Ours(secret="hunter2"))


def test_an_escape_sequence_in_the_environment_reaches_no_terminal() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Ours.from_environment({"OURS_WAITERS": "\x1b[2J"})
    assert "\x1b" not in str(caught.value)


def test_the_table_has_each_setting_once() -> None:
    lines = table(Ours, More).splitlines()
    assert lines[0] == "| variable | default | meaning |"
    assert "| `OURS_WAITERS` | `64` | Requests that may wait at once. |" in lines
    assert "| `OURS_PRIVATE` | `0` | Allow private hosts. |" in lines
    assert "| `OURS_HOSTS` | – | Names it answers to. |" in lines
    assert len(lines) == 2 + 7
