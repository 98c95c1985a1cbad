"""Mutations of bytes: each is a function of a seed alone, so that a finding can be made again."""

from __future__ import annotations

import random
from collections.abc import Sequence

_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, 1 << 63)
_WORDS = (
    b"NaN", b"-1", b"1e999", b"null", b"true", b"[]", b"{}", b'""', b"0", b"99999999999999999999", b"-0.0", b"1.5",
    b"1" + 400 * b"0",
    b"\xff\xfe", b"\x00", b"\\ud800", b"../../x", b'"' + b"x" * 3000 + b'"', b"[" * 3000, b'{"a":' * 3000, b"(" * 200,
)  # fmt: skip


def mutate(samples: Sequence[bytes], random_: random.Random) -> bytes:
    """Returns one sample with one to four mutations."""
    data = bytearray(random_.choice(samples))
    for _ in range(random_.choice((1, 1, 1, 2, 2, 3, 4))):
        random_.choice(_ALL)(data, random_, samples)
    return bytes(data)


def _flip(data: bytearray, random_: random.Random, _: Sequence[bytes]) -> None:
    if data:
        data[_place(data, random_)] ^= 1 << random_.randrange(8)


def _set_byte(data: bytearray, random_: random.Random, _: Sequence[bytes]) -> None:
    if data:
        data[_place(data, random_)] = random_.choice((*_BYTES, random_.randrange(256)))


def _set_number(data: bytearray, random_: random.Random, _: Sequence[bytes]) -> None:
    width, order = random_.choice((2, 4, 8)), random_.choice(("little", "big"))
    number = random_.choice(_NUMBERS) & ((1 << 8 * width) - 1)
    at = _place(data, random_)
    data[at : at + width] = number.to_bytes(width, order)


def _cut(data: bytearray, random_: random.Random, _: Sequence[bytes]) -> None:
    del data[random_.randrange(len(data) + 1) :]


def _remove(data: bytearray, random_: random.Random, _: Sequence[bytes]) -> None:
    at = _place(data, random_)
    del data[at : at + random_.choice((1, 2, 4, 8, 64, 512))]


def _repeat(data: bytearray, random_: random.Random, _: Sequence[bytes]) -> None:
    at = _place(data, random_)
    piece = data[at : at + random_.choice((1, 4, 16, 64))]
    data[at:at] = piece * random_.choice((1, 2, 16))


def _insert(data: bytearray, random_: random.Random, _: Sequence[bytes]) -> None:
    at = _place(data, random_)
    data[at:at] = random_.randbytes(random_.choice((1, 2, 4, 16)))


def _replace_word(data: bytearray, random_: random.Random, _: Sequence[bytes]) -> None:
    """Replaces what stands between two delimiters, as in JSON, TOML and the header of an array."""
    at = _place(data, random_)
    start = max(data.rfind(sign, 0, at) for sign in b",:=[({ \n") + 1
    stops = [stop for stop in (data.find(sign, at) for sign in b",]})\n") if stop >= 0]
    data[start : min(stops, default=at)] = random_.choice(_WORDS)


def _splice(data: bytearray, random_: random.Random, samples: Sequence[bytes]) -> None:
    other = random_.choice(samples)
    data[_place(data, random_) :] = other[random_.randrange(len(other) + 1) :]


def _place(data: bytearray, random_: random.Random) -> int:
    """Returns a position; headers, which lie in front, are hit as often as all the rest."""
    reach = len(data) if random_.random() < 0.5 else min(len(data), 256)
    return random_.randrange(reach) if reach else 0


_ALL = (_flip, _set_byte, _set_number, _cut, _remove, _repeat, _insert, _replace_word, _splice)
