"""Large arrays a few samples at a time: what is computed of one part stays in the cache and takes no memory for all."""

from __future__ import annotations

from collections.abc import Iterator

_VALUES_AT_ONCE = 1 << 15


def chunks(count: int, values_per_sample: int) -> Iterator[slice]:
    """Yields slices of samples that together are all, in order.

    Args:
        count: Samples, N.
        values_per_sample: Of the largest array among those that are gone through.
    """
    step = max(1, _VALUES_AT_ONCE // max(1, values_per_sample))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
