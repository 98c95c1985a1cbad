"""Iteration over large arrays in chunks of a few samples, so that intermediate results stay in the CPU's cache."""

from __future__ import annotations

from collections.abc import Iterator

_VALUES_AT_ONCE = 1 << 15


def chunks(count: int, values_per_sample: int) -> Iterator[slice]:
    """Yields consecutive slices that cover all samples.

    Args:
        count: N, the number of samples.
        values_per_sample: Values per sample of the largest array that is iterated over.
    """
    step = max(1, _VALUES_AT_ONCE // max(1, values_per_sample))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
