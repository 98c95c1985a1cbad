"""Signals that ask the program to end: they become an exception, and the process ends in time even in native code.

Python runs a signal's handler in the main thread between two instructions, so nothing happens as long as that thread is
inside a runtime or a converter. The C handler writes the signal's number to a socket at once, and a thread that waits
there ends the process if the main thread has not done so within a few seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType

from pocketvae.system import leftovers

# What a shell reports for a process that a signal ended.
_FIRST_EXIT_CODE = 128
# People and supervisors are promised 5 seconds.
_UNWIND_S = 4.0
# SIGBREAK is of Windows, which has no SIGHUP.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Interruption(KeyboardInterrupt):
    """A signal asked the program to end.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        """Keeps the number."""
        super().__init__()
        self.number = number


def exit_code(error: KeyboardInterrupt) -> int:
    """Returns 128 and the signal's number; 130, that of Ctrl-C, where there is none."""
    return _FIRST_EXIT_CODE + number_of(error)


def number_of(error: KeyboardInterrupt) -> int:
    """Returns the signal's number; that of Ctrl-C where there is none."""
    return error.number if isinstance(error, Interruption) else int(signal.SIGINT)


def summary(notes: list[str]) -> str:
    """Returns the line for the user.

    Args:
        notes: What was left behind on purpose.
    """
    return f"pocketvae: interrupted; {'; '.join(notes) or 'no half-written files were left'}"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raises an `Interruption` in the block at the first signal that asks the program to end.

    A supervisor's SIGTERM and a terminal that is closed must clean up like Ctrl-C does. Further signals are ignored:
    they would break off the cleaning up. Signals that are ignored already, as by nohup, stay so. In other threads than
    the main one, which alone gets signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not seen:
            seen.append(number)
            raise Interruption(number)

    previous = {number: signal.signal(number, interrupt) for number in _handled()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def end_in_time() -> None:
    """From now on, ends the process a few seconds after a signal, if it still runs; whatever is unfinished is settled.

    This is for programs: it ends the interpreter.
    """
    # Windows can make a socket non-blocking, and no pipe.
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
    # A copy, because what native libraries print is held back at times.
    try:
        stderr = os.dup(2)
    except OSError:  # closed
        stderr = os.open(os.devnull, os.O_WRONLY)
    threading.Thread(target=_end_after_signal, args=(receiver, stderr), name="signals", daemon=True).start()


def leave() -> None:
    """Settles what an interruption at an unlucky moment left, and lets signals end the process without a traceback."""
    leftovers.settle_all()
    for number in _handled():
        signal.signal(number, signal.SIG_DFL)


def _handled() -> list[signal.Signals]:
    """Returns the signals that ask a program to end, of those that this system has and that nobody ignores."""
    known = [number for number in signal.Signals if number.name in _NAMES]
    # None stands for a handler that Python did not set and cannot set again.
    return [number for number in known if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def _end_after_signal(receiver: socket.socket, stderr: int) -> None:
    known = {int(number) for number in signal.Signals if number.name in _NAMES}
    number = 0
    while number not in known:
        number = receiver.recv(1)[0]
    time.sleep(_UNWIND_S)
    notes = leftovers.settle_all()
    # The main thread may hold the locks of Python's streams.
    with contextlib.suppress(OSError):
        os.write(stderr, f"{summary(notes)}\n".encode())
    os._exit(_FIRST_EXIT_CODE + number)
