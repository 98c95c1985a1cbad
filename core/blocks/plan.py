"""The blocks that work is divided into, which depend on the work alone and not on who does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

# The apps compute with up to 256 items at once: a block that is no multiple of this would divide their items elsewhere.
_STEP = 256
_MOST_ITEMS = 1024
_MOST_BYTES = 64 << 20

# Columns by name, a row for each item; text as numpy's `U`.
Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
# The column of what could not be read, a row for each such item or block, which the items of the others do not have.
SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some items of the work that follow one another.

    Attributes:
        index: Its number.
        first: Its first item.
        last: The item behind its last.
    """

    index: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"block {self.index} (items {self.first} to {self.last - 1})"


Compute: TypeAlias = Callable[[Block], Arrays]


class Job(Protocol):
    """What is computed of every block. It is pickled, and opened once by each worker."""

    def open(self) -> AbstractContextManager[Compute]:
        """Opens what computing takes and yields the function that computes a block; the same block, the same arrays."""


def block_items(item_bytes: int) -> int:
    """Returns how many items a block has.

    Args:
        item_bytes: Of one item, as it is read.
    """
    fitting = _MOST_BYTES // max(1, item_bytes) // _STEP * _STEP
    return max(_STEP, min(_MOST_ITEMS, fitting))


def plan(count: int, size: int) -> list[Block]:
    """Returns the blocks of `count` items, `size` in each but the last."""
    return [
        Block(index=index, first=first, last=min(first + size, count))
        for index, first in enumerate(range(0, count, size))
    ]
