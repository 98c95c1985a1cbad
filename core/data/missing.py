"""Missing values in recordings: short runs are filled in by straight lines, longer ones are refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pocketvae.data.rows import Collector, Floats, Rows, blocks


class NotFilledError(ValueError):
    """A run of missing values cannot be filled in.

    Attributes:
        step: The first time step of it.
        channel: Number of its channel.
        reason: Why not.
    """

    def __init__(self, step: int, channel: int, reason: str) -> None:
        """Keeps where it is and why."""
        super().__init__(reason)
        self.step, self.channel, self.reason = step, channel, reason


def has_missing(rows: Rows) -> bool:
    """Whether a value is NaN."""
    return any(bool(np.isnan(block).any()) for block in blocks(rows))


def filled(rows: Rows, most: int, collector: Collector) -> Rows:
    """Returns rows with each missing value on the line between the last and the next known one of its channel.

    Args:
        rows: `[T, C]`, NaN where a value is missing.
        most: Time steps of the longest run that is filled in.
        collector: Takes the rows that are returned.

    Raises:
        NotFilledError: a run is longer, or there is no known value before or behind it.
    """
    pending, base = np.empty((0, rows.shape[1]), np.float32), 0
    for block in blocks(rows):
        pending = np.concatenate([pending, block])
        complete = np.flatnonzero(~np.isnan(pending).any(axis=1))
        if not len(complete):
            continue
        # From the last row that lacks nothing, lines may begin that end in the next block.
        last = int(complete[-1])
        collector.add(_with_lines(pending[: last + 1], base, most)[:last])
        pending, base = pending[last:], base + last
    collector.add(_with_lines(pending, base, most))
    return collector.rows()


def _with_lines(values: Floats, base: int, most: int) -> Floats:
    found = values.copy()
    for channel in np.flatnonzero(np.isnan(values).any(axis=0)).tolist():
        is_missing = np.isnan(values[:, channel])
        for first, behind in _runs(is_missing):
            if behind - first > most:
                raise NotFilledError(base + first, channel, f"{behind - first} time steps, more than {most},")
            if first == 0 or behind == len(values):
                end = "before" if first == 0 else "behind"
                raise NotFilledError(base + first, channel, f"the {behind - first} with no value {end} them")
        known = np.flatnonzero(~is_missing)
        places = np.flatnonzero(is_missing)
        found[places, channel] = np.interp(places, known, values[known, channel].astype(np.float64))
    return found


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Returns, of each run of set flags, the first and the one behind the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(behind)) for first, behind in edges.reshape(-1, 2)]
