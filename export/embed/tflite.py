"""Adding of metadata to a TFLite file without changing a byte of the model.

A new root table is put before the file. It points at the parts of the old one and at lists of metadata and buffers
that are longer by what is added. The file that follows stays as the converter wrote it, moved by a multiple of 16
bytes, so that every weight keeps its alignment; the old root table is left behind unused.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pocketvae.errors import ExportError
from pocketvae.formats.tflite.metadata import (
    BUFFERS_FIELD,
    IDENTIFIER,
    METADATA_FIELD,
    FlatTable,
    metadata_ranges,
    root_table,
    vector_targets,
)

_ALIGNMENT = 16
# Fields of the table Model up to `signature_defs`; the first is the schema's version, the others are offsets.
_KNOWN_FIELDS = 8


def add_metadata(content: bytes, entries: Mapping[str, bytes]) -> bytes:
    """Returns a TFLite file with more metadata.

    Args:
        content: The file.
        entries: Values by name, added after those of the file.

    Raises:
        ManifestError: `content` is not a TFLite file, or is damaged.
        ExportError: the file already has such an entry, or a root table of an unknown kind.
    """
    taken = metadata_ranges(content).keys() & entries.keys()
    root = root_table(content)
    if taken:
        raise ExportError(f"the file already has metadata named {', '.join(sorted(taken))}")
    if any(root.field(index) is not None for index in range(_KNOWN_FIELDS, root.field_count)):
        raise ExportError("the file's root table has fields that pocketvae does not know; metadata cannot be added")
    front = _Front()
    _write_root(front, content, root, entries)
    return front.followed_by(content)


class _Front:
    """The bytes that go before the file; offsets into the file are filled in when their length is known."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._into_file: list[tuple[int, int]] = []

    def align(self, size: int, ahead: int = 0) -> None:
        """Adds zeros until the position `ahead` bytes further on is a multiple of `size`."""
        self._data += bytes(-(len(self._data) + ahead) % size)

    def add(self, data: bytes) -> int:
        """Adds bytes and returns where they lie."""
        at = len(self._data)
        self._data += data
        return at

    def add_block(self, data: bytes, alignment: int = 4) -> int:
        """Adds a vector of bytes whose first byte is aligned."""
        self.align(alignment, ahead=4)
        return self.add(struct.pack("<I", len(data)) + data)

    def add_string(self, text: str) -> int:
        """Adds a string, which ends in a zero that its length leaves out."""
        at = self.add_block(text.encode())
        self.add(b"\0")
        return at

    def add_table(self, fields: list[int]) -> tuple[int, list[int]]:
        """Adds a table whose present fields take four bytes each; returns where it and they lie.

        Args:
            fields: 1 for a field that is there, 0 for one that is not.
        """
        self.align(4)
        size, present = 4 + 2 * len(fields), [4 + 4 * sum(fields[:index]) for index in range(len(fields))]
        offsets = [place if there else 0 for place, there in zip(present, fields, strict=True)]
        vtable = self.add(struct.pack(f"<HH{len(fields)}H", size, 4 + 4 * sum(fields), *offsets))
        self.align(4)
        table = self.add(bytes(4 + 4 * sum(fields)))
        struct.pack_into("<i", self._data, table, table - vtable)
        return table, [table + place for place in present]

    def add_vector(self, count: int) -> list[int]:
        """Adds a vector of offsets and returns where its elements lie, the vector itself being 4 bytes before."""
        self.align(4)
        at = self.add(struct.pack("<I", count) + bytes(4 * count))
        return [at + 4 + 4 * index for index in range(count)]

    def set_number(self, at: int, value: int) -> None:
        """Fills in a number."""
        struct.pack_into("<I", self._data, at, value)

    def point(self, at: int, target: int) -> None:
        """Fills in an offset to something that lies further on in these bytes."""
        self.set_number(at, target - at)

    def point_into_file(self, at: int, target: int) -> None:
        """Notes an offset to a position in the file that follows."""
        self._into_file.append((at, target))

    def followed_by(self, content: bytes) -> bytes:
        """Returns these bytes and the file behind them."""
        self.align(_ALIGNMENT)
        for at, target in self._into_file:
            self.set_number(at, len(self._data) + target - at)
        return bytes(self._data) + content


def _write_root(front: _Front, content: bytes, root: FlatTable, entries: Mapping[str, bytes]) -> None:
    start = front.add(bytes(4) + IDENTIFIER)
    present = [int(root.field(index) is not None or index in (BUFFERS_FIELD, METADATA_FIELD)) for index in range(8)]
    table, places = front.add_table(present)
    front.point(start, table)
    for index, place in enumerate(places):
        at, target = root.field(index), root.target(index)
        if index == 0 and at is not None:
            front.set_number(place, struct.unpack_from("<I", content, at)[0])
        elif target is not None and index not in (BUFFERS_FIELD, METADATA_FIELD):
            front.point_into_file(place, target)
    old_buffers = vector_targets(content, root.target(BUFFERS_FIELD))
    buffers = _lengthened(front, places[BUFFERS_FIELD], old_buffers, len(entries))
    old_metadata = vector_targets(content, root.target(METADATA_FIELD))
    metadata = _lengthened(front, places[METADATA_FIELD], old_metadata, len(entries))
    for number, (name, value) in enumerate(entries.items()):
        _write_entry(front, metadata[number], buffers[number], name, value, len(old_buffers) + number)


def _lengthened(front: _Front, field: int, old: list[int], more: int) -> list[int]:
    """Writes a list of offsets to the old elements and `more` new ones; returns where the new offsets lie."""
    elements = front.add_vector(len(old) + more)
    front.point(field, elements[0] - 4)
    for at, target in zip(elements, old, strict=False):
        front.point_into_file(at, target)
    return elements[len(old) :]


def _write_entry(front: _Front, metadata: int, buffer: int, name: str, value: bytes, number: int) -> None:
    table, (name_field, buffer_field) = front.add_table([1, 1])
    front.point(metadata, table)
    front.set_number(buffer_field, number)
    front.point(name_field, front.add_string(name))
    table, (data_field,) = front.add_table([1])
    front.point(buffer, table)
    front.point(data_field, front.add_block(value, _ALIGNMENT))
