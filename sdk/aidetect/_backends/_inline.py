"""Puts a graph's external weights into its own bytes, for a runtime that takes them only from there.

ONNX files are protocol buffers (field numbers: onnx.proto3), and this is the one change needed,
made on the wire format, so that no protocol buffer library has to be installed.
"""

from collections.abc import Iterator

from .._errors import ModelIntegrityError

_GRAPH, _INITIALIZER = 7, 5  # of ModelProto, of GraphProto
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14  # of TensorProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Field = tuple[int, memoryview, memoryview]
"""Number, the whole field on the wire, and its content (of a field of bytes)."""


def with_weights(graph: bytes, name: str, weights: bytes) -> bytes:
    """`graph` with each tensor that lies in the external file `name` filled from `weights`.

    Raises ModelIntegrityError if the graph is no ONNX file, or names another file or bytes that
    are not there.
    """
    try:
        return b"".join(_model(memoryview(graph), name, memoryview(weights)))
    except (IndexError, ValueError, KeyError):
        raise ModelIntegrityError(
            "the model's graph is not a valid ONNX file: export it again"
        ) from None


def _model(model: memoryview, name: str, weights: memoryview) -> Iterator[bytes | memoryview]:
    for number, whole, content in _fields(model):
        if number != _GRAPH:
            yield whole
            continue
        parts = [part for field in _fields(content) for part in _graph_field(field, name, weights)]
        yield _head(_GRAPH, sum(map(len, parts)))
        yield from parts


def _graph_field(field: Field, name: str, weights: memoryview) -> list[bytes | memoryview]:
    number, whole, content = field
    if number != _INITIALIZER:
        return [whole]
    kept: list[bytes | memoryview] = []
    place: dict[str, str] = {}
    for inner, part, value in _fields(content):
        if inner == _EXTERNAL_DATA:
            key, entry = (bytes(v).decode() for _, _, v in _fields(value))
            place[key] = entry
        elif inner != _DATA_LOCATION:
            kept.append(part)
    if not place:
        return [whole]
    offset, length = int(place["offset"]), int(place["length"])
    if place["location"] != name or offset < 0 or length < 0 or offset + length > len(weights):
        raise ModelIntegrityError(
            "the model's graph names weights that are not in its file: export it again"
        )
    kept += [_head(_RAW_DATA, length), weights[offset : offset + length]]
    return [_head(_INITIALIZER, sum(map(len, kept))), *kept]


def _fields(message: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        kind, content = tag & 7, message[:0]
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _BYTES:
            length, at = _varint(message, at)
            content = message[at : at + length]
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(message):
            raise IndexError("field past the end")
        yield tag >> 3, message[start:at], content


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _head(number: int, length: int) -> bytes:
    """Tag and length of a field of bytes."""
    encoded = bytearray()
    for value in (number << 3 | _BYTES, length):
        while value >= 0x80:
            encoded.append(value & 0x7F | 0x80)
            value >>= 7
        encoded.append(value)
    return bytes(encoded)
