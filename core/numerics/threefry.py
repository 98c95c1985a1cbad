"""Threefry-2x32 with 20 rounds: a stateless random generator made of additions, rotations and exclusive ors.

Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (the Random123 library). A key and a counter of two
32-bit words each give two words that pass every test of TestU01, so any value of any stream can be computed directly
and independently, and identically on every machine that has 32-bit integers.

The algorithm is written once for any arithmetic: numpy here, and the graphs that export builds.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

ROUNDS = 20
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_ROUNDS_PER_KEY = 4

Words = npt.NDArray[np.uint32]
_Word = TypeVar("_Word")


class Arithmetic(Protocol[_Word]):
    """Operations on 32-bit words; an `int` is a constant from 0 to 2^32 - 1."""

    def add(self, word: _Word, other: _Word | int) -> _Word:
        """Returns the sum modulo 2^32."""

    def xor(self, word: _Word, other: _Word | int) -> _Word:
        """Returns the exclusive or."""

    def rotate(self, word: _Word, bits: int) -> _Word:
        """Returns the word with its upper `bits` bits, 1 to 31 of them, moved to the lower end."""


class NumpyArithmetic:
    """Words as numpy arrays of uint32, which wrap around."""

    def add(self, word: Words, other: Words | int) -> Words:
        """See `Arithmetic.add`."""
        return word + np.uint32(other)

    def xor(self, word: Words, other: Words | int) -> Words:
        """See `Arithmetic.xor`."""
        return word ^ np.uint32(other)

    def rotate(self, word: Words, bits: int) -> Words:
        """See `Arithmetic.rotate`."""
        return (word << np.uint32(bits)) | (word >> np.uint32(32 - bits))


def threefry2x32(
    arithmetic: Arithmetic[_Word], key: tuple[_Word, _Word | int], counter: tuple[_Word, _Word]
) -> tuple[_Word, _Word]:
    """Returns the two random words of a key and a counter.

    Args:
        arithmetic: Operations on the words.
        key: Two words; the second may be a constant.
        counter: Two words, of shapes that broadcast with the key's.
    """

    def add(word: _Word, other: _Word | int) -> _Word:
        # Adding 0 would still make a graph one operator larger.
        return word if isinstance(other, int) and other == 0 else arithmetic.add(word, other)

    def xor(word: _Word, other: _Word | int) -> _Word:
        return word if isinstance(other, int) and other == 0 else arithmetic.xor(word, other)

    keys: tuple[_Word | int, ...] = (*key, xor(xor(key[0], key[1]), _PARITY))
    x0, x1 = add(counter[0], key[0]), add(counter[1], key[1])
    for number in range(ROUNDS):
        x0 = add(x0, x1)
        x1 = xor(arithmetic.rotate(x1, _ROTATIONS[number % len(_ROTATIONS)]), x0)
        injection, rest = divmod(number + 1, _ROUNDS_PER_KEY)
        if rest == 0:
            x0 = add(x0, keys[injection % 3])
            x1 = add(add(x1, keys[(injection + 1) % 3]), injection)
    return x0, x1
