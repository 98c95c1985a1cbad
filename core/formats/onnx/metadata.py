"""The outermost fields of an ONNX file, read and written without the onnx package, which devices do not have.

An ONNX file is a protobuf message `ModelProto` (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pocketvae.errors import ManifestError

# Field numbers in ModelProto of onnx.proto.
IR_VERSION, PRODUCER_NAME, PRODUCER_VERSION, MODEL_VERSION, DOC_STRING = 1, 2, 3, 5, 6
GRAPH, OPSET_IMPORT, METADATA_PROPS = 7, 8, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a message.

    Attributes:
        number: Which field.
        raw: With its tag, as it stands in the file.
        value: Of a field of bytes.
        integer: Of a field that is a number.
    """

    number: int
    raw: bytes
    value: bytes = b""
    integer: int = 0


def fields(content: bytes) -> Iterator[Field]:
    """Yields the fields of a message in their order.

    Raises:
        ManifestError: the bytes are not a protobuf message.
    """
    at = 0
    while at < len(content):
        tag, after = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        value, integer = b"", 0
        if kind == _VARINT:
            integer, stop = _varint(content, after)
        elif kind == _BYTES:
            size, start = _varint(content, after)
            stop = start + size
            value = content[start:stop]
        elif kind in (_FIXED32, _FIXED64):
            stop = after + (4 if kind == _FIXED32 else 8)
        else:
            raise ManifestError("the file is not an ONNX file: it is not a protobuf message")
        if number == 0 or stop > len(content):
            raise ManifestError("the file is not an ONNX file, or is truncated")
        yield Field(number=number, raw=content[at:stop], value=value, integer=integer)
        at = stop


def metadata_entries(content: bytes) -> dict[str, bytes]:
    """Returns the file's metadata, `metadata_props`, by key.

    Raises:
        ManifestError: the file is not an ONNX file, or is truncated.
    """
    return dict(entry_of(field) for field in fields(content) if field.number == METADATA_PROPS)


def entry_of(field: Field) -> tuple[str, bytes]:
    """Returns key and value of one field `metadata_props`."""
    parts = {part.number: part.value for part in fields(field.value)}
    return parts.get(1, b"").decode("utf-8", errors="replace"), parts.get(2, b"")


def encode_bytes(number: int, value: bytes) -> bytes:
    """Returns a field of bytes, text or a message."""
    return _encode_varint(number << 3 | _BYTES) + _encode_varint(len(value)) + value


def encode_integer(number: int, value: int) -> bytes:
    """Returns a field that is a number of at least 0."""
    return _encode_varint(number << 3 | _VARINT) + _encode_varint(value)


def encode_entry(key: str, value: bytes) -> bytes:
    """Returns one field `metadata_props`."""
    return encode_bytes(METADATA_PROPS, encode_bytes(1, key.encode()) + encode_bytes(2, value))


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ManifestError("the file is not an ONNX file, or is truncated")


def _encode_varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
