"""A time limit for all that one thread does, of which each wait takes what is left, and programs that end in time."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

from pocketvae.system import leftovers

# What is left for each step of cleaning up once the time is over.
_CLEANUP_S = 20.0


class Deadline:
    """The moment at which work has to be over; another thread may bring it forward.

    Attributes:
        limit_s: How long the work may take.
        reason: Why it has to end, for what could not be done.
    """

    def __init__(self, limit_s: float) -> None:
        """Begins now.

        Args:
            limit_s: How long the work may take.
        """
        self.limit_s, self.reason = limit_s, f"its time limit of {limit_s:g} s was over"
        self._end = time.monotonic() + limit_s

    def cut(self, reason: str) -> None:
        """Ends the time now."""
        self.reason, self._end = reason, time.monotonic()

    @property
    def left_s(self) -> float:
        """Seconds that are left; 0 or less when it is over."""
        return self._end - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.left_s <= 0

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Makes it hold in the block, in this thread."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


# Each thread has its own.
_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def within(time_limit_s: float) -> float:
    """Returns a time limit, or what this thread's deadline leaves of it; when that is over, enough to clean up."""
    deadline = _current.get()
    if deadline is None:
        return time_limit_s
    left_s = deadline.left_s
    return min(time_limit_s, left_s if left_s > 0 else _CLEANUP_S)


def run_program(
    command: Sequence[str], time_limit_s: float, *, send: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program, which is ended with this process whatever thread it was started in.

    Args:
        command: Program and arguments.
        time_limit_s: See `within`.
        send: Its standard input; None for none.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer and was ended.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if send is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        number = leftovers.register(process.kill)
        try:
            out, err = process.communicate(send, timeout=within(time_limit_s))
        except BaseException:
            process.kill()
            raise
        finally:
            leftovers.forget(number)
    return subprocess.CompletedProcess(command, process.returncode, out, err)
