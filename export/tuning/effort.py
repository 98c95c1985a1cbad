"""How long searches may go on, counted in the work that they do: a busy machine finds what a quiet one finds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# Of the time limit of a conversion: what is left is for the end of an attempt, and for finishing the file.
_SEARCHED_SHARE = 0.5


class Effort:
    """The work of one conversion's searches so far.

    Work is counted in seconds that it would take on one core of an ordinary machine, as estimated from sizes alone.
    Time itself only counts where a conversion would be ended without a file.
    """

    def __init__(self, time_limit_s: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins to count.

        Args:
            time_limit_s: Wall time after which the conversion is ended from outside.
            clock: What measures it.
        """
        self._clock, self._end_s = clock, clock() + _SEARCHED_SHARE * time_limit_s
        self._done_s, self._cut = 0.0, False

    @property
    def done_s(self) -> float:
        """The work so far."""
        return self._done_s

    @property
    def was_cut(self) -> bool:
        """Whether a search was ended by the time limit: on a faster or less busy machine it would have gone on."""
        return self._cut

    def spend(self, work_s: float) -> None:
        """Counts a piece of work that is being done."""
        self._done_s += work_s

    def limit(self, longest_s: float) -> Callable[[], bool]:
        """Returns whether a search that begins now has done so much that it must end with what it has found.

        Args:
            longest_s: The work that it may do.
        """
        end_s = self._done_s + longest_s

        def is_over() -> bool:
            if self._done_s > end_s:
                return True
            late = self._clock() > self._end_s
            self._cut = self._cut or late
            return late

        return is_over
