"""A pipe whose end the system tells a child of: when this process is killed, its child is ended at once.

A child that waits for its parent to disappear looks for it now and then, which it cannot do while it imports modules or
is in native code. Linux sends a signal when the last writer of a pipe has gone, and that ends any program. What
`prctl(PR_SET_PDEATHSIG)` does would not do: it goes by the thread that started the child, which may end before.
"""

from __future__ import annotations

import os
import sys


class Lifeline:
    """One pipe for one child; on other systems than Linux it does nothing, and children look for themselves.

    Attributes:
        descriptors: What the child must inherit.
    """

    def __init__(self) -> None:
        """Opens the pipe."""
        self._ends: tuple[int, ...] = os.pipe() if sys.platform == "linux" else ()
        self.descriptors: tuple[int, ...] = self._ends[:1]

    def hold(self, process_id: int) -> None:
        """Has the child sent SIGIO, which ends it, when the writing end is closed: by this process or with it."""
        if sys.platform == "linux":
            import fcntl

            reader = self._ends[0]
            fcntl.fcntl(reader, fcntl.F_SETOWN, process_id)
            fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | os.O_ASYNC)

    def close(self) -> None:
        """Closes the pipe, after the child has ended; doing so twice is allowed."""
        ends, self._ends = self._ends, ()
        for descriptor in ends:
            os.close(descriptor)
