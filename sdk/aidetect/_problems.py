"""The errors that a server's problem details stand for."""

from collections.abc import Iterator, Mapping
from typing import Any

from . import _errors
from ._errors import AidetectError, HTTPStatusError, InputError, UnreachableError

_REACHING = {"dns", "connection", "tls", "timeout", "unreachable"}
_MESSAGE_LIMIT = 5000


def error_of(problem: Mapping[str, Any]) -> AidetectError:
    """The error of the tree that has the problem's `code`; an InputError with that code where this
    version knows none.

    Takes problem details (RFC 9457, with `code` and `detail`) and the wire form of errors (`message`).
    """
    code = str(problem.get("code") or "input")[:100]
    message = str(problem.get("detail") or problem.get("message") or "The server gives no reason.")
    message = message[:_MESSAGE_LIMIT]
    named = problem.get("input")
    name = named if isinstance(named, str) else None
    if code in _REACHING:
        return UnreachableError(message, code=code, input=name)
    if code.startswith("http_") and code[5:6].isdigit():
        status = problem.get("upstream_status", problem.get("status"))
        known = isinstance(status, int) and f"http_{status // 100}xx" == code
        return HTTPStatusError(message, status=status if known else int(code[5]) * 100, input=name)
    kind = _BY_CODE.get(code)
    if kind is not None:
        return kind(message, input=name)
    error = InputError(message, input=name)
    error.code = code
    error.retryable = problem.get("retryable") is True
    return error


def _kinds(root: type[InputError]) -> Iterator[type[InputError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == _errors.__name__:
            yield kind
            yield from _kinds(kind)


_BY_CODE = {
    kind.code: kind
    for kind in _kinds(InputError)
    if not issubclass(kind, UnreachableError | HTTPStatusError)
}
