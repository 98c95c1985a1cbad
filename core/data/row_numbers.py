"""The numbers of a table's rows: one range of millions, unless empty lines or cells of several lines lie between."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# They rise; nearly always by one.
RowNumbers = range | npt.NDArray[np.int64]


def joined(parts: Sequence[RowNumbers]) -> RowNumbers:
    """Returns the numbers of rows that follow one another, as a range where each is one more than the last."""
    firsts = [int(part[0]) for part in parts if len(part)]
    count = sum(map(len, parts))
    if not firsts:
        return range(0)
    follows = all(int(part[-1]) - int(part[0]) == len(part) - 1 for part in parts if len(part))
    if follows and firsts == [firsts[0] + before for before in _offsets(parts)]:
        return range(firsts[0], firsts[0] + count)
    return np.concatenate([np.asarray(part, np.int64) for part in parts])


def _offsets(parts: Sequence[RowNumbers]) -> list[int]:
    """Returns how many rows lie before each part that has some."""
    lengths = [len(part) for part in parts if len(part)]
    return [0, *itertools.accumulate(lengths[:-1])]
