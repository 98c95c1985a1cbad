"""The file format of compress, versions 1 and 2; docs/codec.md describes it."""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from pocketvae.errors import DataError

MAGIC = b"PVAE"
# Of files without names, and of those with them.
VERSION, VERSION_WITH_NAMES = 1, 2
ID_BYTES = 4
_HEAD = struct.Struct("<4sBBB4s4sI")
_CHECK = struct.Struct("<I")
# A header that claims more is damaged: compress never writes a file of that size.
_LARGEST_COUNT = 1 << 24
_LARGEST_LABEL = (1 << 31) - 1
_LARGEST_NAMES_BYTES = 1 << 28


class Coding(enum.IntEnum):
    """How the images are kept."""

    LATENTS = 0
    PIXELS = 1


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The parts of a compressed file.

    Attributes:
        coding: How the images are kept.
        quality: Quality of latents; 0 for pixels.
        tables_id: First 4 bytes of the SHA-256 of the tables that it was made with.
        decoder_id: First 4 bytes of the hash that identifies the decoder; zeros for pixels.
        content_check: CRC-32 of the decoded content: the latents, or the pixels.
        count: Number of images.
        labels: One per image, for a class-conditional VAE; empty otherwise.
        codes: The streams of the entropy coder.
        names: Of the images, as `pack_names` returns them; empty without.
    """

    coding: Coding
    quality: int
    tables_id: bytes
    decoder_id: bytes
    content_check: int
    count: int
    labels: tuple[int, ...]
    codes: tuple[bytes, ...]
    names: bytes = b""


def check_count(count: int) -> None:
    """Checks, before any work, that a file can hold so many images.

    Raises:
        DataError: there are more than 2^24.
    """
    if count > _LARGEST_COUNT:
        raise DataError(f"a file holds at most {_LARGEST_COUNT} images, got {count}: compress them in several files")


def pack(stream: Stream) -> bytes:
    """Returns the file's bytes: head, count, labels, lengths, codes and any names, and a CRC-32 of all of these."""
    head = _HEAD.pack(
        MAGIC,
        VERSION_WITH_NAMES if stream.names else VERSION,
        stream.coding,
        stream.quality,
        stream.tables_id,
        stream.decoder_id,
        stream.content_check,
    )
    numbers = (stream.count, len(stream.labels), *stream.labels, len(stream.codes), *map(len, stream.codes))
    body = head + b"".join(map(_varint, numbers)) + b"".join(stream.codes)
    if stream.names:
        body += _varint(len(stream.names)) + stream.names
    return body + _CHECK.pack(zlib.crc32(body))


def pack_names(names: Sequence[str]) -> bytes:
    """Returns names in a zlib stream, each in UTF-8 with a zero byte behind it; of what is not text, question marks.

    Raises:
        DataError: they are too long.
    """
    text = "".join(f"{name.replace(chr(0), '?')}\0" for name in names).encode("utf-8", errors="replace")
    if len(text) > _LARGEST_NAMES_BYTES:
        raise DataError(
            f"the names of {len(names)} items take {len(text)} bytes, and a file holds at most {_LARGEST_NAMES_BYTES}: "
            f"compress them in several files"
        )
    return zlib.compress(text, 9) if names else b""


def unpack_names(data: bytes, count: int) -> tuple[str, ...]:
    """Returns the names of `count` images; none of a file without names.

    Raises:
        DataError: they are damaged, or not as many.
    """
    if not data:
        return ()
    opened = zlib.decompressobj()
    try:
        # A small stream may unpack to more than the memory holds.
        text = opened.decompress(data, _LARGEST_NAMES_BYTES)
        found = text.count(0)
        if not opened.eof or opened.unused_data or not text.endswith(b"\0") or found != count:
            raise DataError(f"the stream is damaged: {found} names for {count} items")
        return tuple(text[:-1].decode().split("\0"))
    except (zlib.error, UnicodeDecodeError) as e:
        raise DataError("the stream is damaged: its names are no text") from e


def unpack(data: bytes, name: str) -> Stream:
    """Parses a file.

    Raises:
        DataError: it is of another kind, newer, truncated or damaged.
    """
    if data[:4] != MAGIC:
        raise DataError(f"{name} was not made by pocketvae compress: it must begin with {MAGIC.decode()}")
    if len(data) < _HEAD.size + _CHECK.size:
        raise DataError(f"{name} is truncated: only {len(data)} bytes are left")
    if data[4] not in (VERSION, VERSION_WITH_NAMES):
        raise DataError(
            f"{name} has format version {data[4]}, but this pocketvae reads versions {VERSION} and {VERSION_WITH_NAMES}"
        )
    body = data[: -_CHECK.size]
    if zlib.crc32(body) != _CHECK.unpack(data[-_CHECK.size :])[0]:
        raise DataError(f"{name} is damaged or truncated: its checksum does not match its content")
    _, _, coding, quality, tables_id, decoder_id, content_check = _HEAD.unpack_from(body)
    reader = _Reader(body, _HEAD.size, name)
    count = reader.number(_LARGEST_COUNT)
    labels = tuple(reader.number(_LARGEST_LABEL) for _ in range(reader.number(count)))
    lengths = [reader.number(len(body)) for _ in range(reader.number(count))]
    codes = tuple(reader.take(length) for length in lengths)
    names = reader.take(reader.number(len(body))) if data[4] == VERSION_WITH_NAMES else b""
    if reader.left or coding not in set(Coding) or count < 1 or len(labels) not in (0, count):
        raise DataError(f"{name} is damaged: its parts contradict each other")
    return Stream(
        coding=Coding(coding),
        quality=quality,
        tables_id=tables_id,
        decoder_id=decoder_id,
        content_check=content_check,
        count=count,
        labels=labels,
        codes=codes,
        names=names,
    )


class _Reader:
    """Reads numbers and bytes from the front."""

    def __init__(self, data: bytes, position: int, name: str) -> None:
        self._data, self._position, self._name = data, position, name

    @property
    def left(self) -> int:
        return len(self._data) - self._position

    def number(self, limit: int) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        if value > limit or byte >= 0x80:
            raise DataError(f"{self._name} is damaged: a number of {value} where at most {limit} is possible")
        return value

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise DataError(f"{self._name} is damaged: it ends inside its content")
        self._position += count
        return self._data[self._position - count : self._position]


def _varint(value: int) -> bytes:
    """Returns a number with seven bits per byte, lowest first; the eighth bit says that more follow."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
