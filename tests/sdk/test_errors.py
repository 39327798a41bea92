"""Errors as values: they cross processes."""

import copy
import pickle
from collections.abc import Callable

import pytest

import aidetect
from aidetect import AidetectError, HTTPStatusError, UnreachableError

ERRORS = [
    kind("it went wrong", input="a\udce9.jpg")
    for kind in vars(aidetect).values()
    if isinstance(kind, type) and issubclass(kind, AidetectError) and kind is not HTTPStatusError
]
ERRORS += [
    HTTPStatusError("later", status=503, input="http://example.org/a.jpg"),
    HTTPStatusError("much later", status=429, retry_after=60.0),
    UnreachableError("no such host", code="dns"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "again",
    [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deep"],
)
def test_errors_can_be_pickled_and_copied(
    error: AidetectError, again: Callable[[AidetectError], AidetectError]
) -> None:
    other = again(error)
    assert type(other) is type(error) and str(other) == str(error)
    assert (other.to_dict(), other.retryable) == (error.to_dict(), error.retryable)
