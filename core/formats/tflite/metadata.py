"""The metadata entries of a TFLite file: named blocks of bytes next to the model, found without its schema.

A TFLite file is a FlatBuffer (https://flatbuffers.dev/internals/). Of its root table only two fields matter here: the
list of metadata entries, each a name and the number of a buffer, and the list of buffers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pocketvae.errors import ManifestError

IDENTIFIER = b"TFL3"
# Positions in the table Model of schema.fbs; they can never change, or old files would not load.
BUFFERS_FIELD, METADATA_FIELD = 4, 6


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """Bytes `start` to `stop` of a file."""

    start: int
    stop: int


class FlatTable:
    """One table of a FlatBuffer."""

    def __init__(self, content: bytes, position: int) -> None:
        """Finds the table's list of fields; `position` is where the table lies."""
        self._content = content
        self.position = position
        self._fields = position - _read(content, position, "<i")
        self.field_count = (_read(content, self._fields, "<H") - 4) // 2

    def field(self, index: int) -> int | None:
        """Returns where a field's value lies; None where it has its default."""
        if index >= self.field_count:
            return None
        offset = _read(self._content, self._fields + 4 + 2 * index, "<H")
        return self.position + offset if offset else None

    def target(self, index: int) -> int | None:
        """Returns what a field that is an offset points at."""
        at = self.field(index)
        return None if at is None else follow(self._content, at)


def root_table(content: bytes) -> FlatTable:
    """Returns the table Model.

    Raises:
        ManifestError: the file is not a TFLite file, or ends early.
    """
    if content[4:8] != IDENTIFIER:
        raise ManifestError(f"the file is not a TFLite file: the identifier {IDENTIFIER.decode()!r} is missing")
    return FlatTable(content, follow(content, 0))


def metadata_ranges(content: bytes) -> dict[str, ByteRange]:
    """Returns every metadata entry's name and where its bytes lie.

    Raises:
        ManifestError: the file is not a TFLite file, or is damaged.
    """
    root = root_table(content)
    entries, buffers = (vector_targets(content, root.target(field)) for field in (METADATA_FIELD, BUFFERS_FIELD))
    found = {}
    for entry in (FlatTable(content, position) for position in entries):
        name, number = entry.target(0), entry.field(1)
        index = _read(content, number, "<I") if number is not None else 0
        if name is None or index >= len(buffers):
            raise ManifestError("the file's list of metadata is damaged: an entry has no name or no buffer")
        data = FlatTable(content, buffers[index]).target(0)
        found[_text(content, name)] = _vector_bytes(content, data) if data is not None else ByteRange(start=0, stop=0)
    return found


def vector_targets(content: bytes, vector: int | None) -> list[int]:
    """Returns the targets of a vector of offsets; a missing vector has none."""
    if vector is None:
        return []
    count = _read(content, vector, "<I")
    if vector + 4 + 4 * count > len(content):
        raise ManifestError("the TFLite file is truncated: one of its lists extends beyond its end")
    return [follow(content, vector + 4 + 4 * index) for index in range(count)]


def follow(content: bytes, at: int) -> int:
    """Returns what the offset at a position points at."""
    return at + int(_read(content, at, "<I"))


def _text(content: bytes, vector: int) -> str:
    found = _vector_bytes(content, vector)
    return content[found.start : found.stop].decode("utf-8", errors="replace")


def _vector_bytes(content: bytes, vector: int) -> ByteRange:
    start, size = vector + 4, int(_read(content, vector, "<I"))
    if start + size > len(content):
        raise ManifestError("the TFLite file is truncated: one of its blocks extends beyond its end")
    return ByteRange(start=start, stop=start + size)


def _read(content: bytes, at: int, kind: str) -> int:
    if at < 0 or at + struct.calcsize(kind) > len(content):
        raise ManifestError("the TFLite file is truncated or damaged: an offset points beyond its end")
    value: int = struct.unpack_from(kind, content, at)[0]
    return value
