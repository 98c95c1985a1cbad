"""Signals that ask the program to end: they become an exception, and the process ends in time whatever it does.

Python runs a signal's handler in the main thread between two instructions, so nothing happens as long as that thread is
inside a runtime or a converter. The C handler writes the signal's number to a socket at once, and a thread that waits
there ends the process if the main thread has not done so within a few seconds.

The exception may be lost: a module that is interrupted while it is imported raises an ImportError in its place, and
Python drops what is raised in a destructor. It is raised again once it is gone, but not while it unwinds the stack.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from types import FrameType

from pocketvae.system import leftovers

# What a shell reports for a process that a signal ended.
_FIRST_EXIT_CODE = 128
# People and supervisors are promised 5 seconds.
_UNWIND_S = 4.0
_LOOK_S = 0.1
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
    _state.clear()
    previous = {number: signal.signal(number, _interrupt) for number in _handled()}
    try:
        yield
    finally:
        _state.accept()
        for number, handler in previous.items():
            signal.signal(number, handler)
        _state.clear()


def check(error: Exception | None = None) -> None:
    """Raises an interruption that did not come this far; to be called before a result or an error is believed.

    Args:
        error: The error that it may have become; its notes are kept.

    Raises:
        Interruption: there was a signal, and nobody dealt with it.
    """
    if _state.is_open and threading.current_thread() is threading.main_thread():
        interruption = Interruption(_state.number)
        for note in getattr(error, "__notes__", []):
            interruption.add_note(note)
        raise interruption


def accept() -> None:
    """Takes note that the signal is told the user: it is not raised again, and later ones are ignored."""
    _state.accept()
    _state.is_told = True


class _State:
    """The signal that came first, and the exception that it became."""

    def __init__(self) -> None:
        self.is_told = False
        self.clear()

    def clear(self) -> None:
        self.number, self.is_accepted = 0, False
        self._error: weakref.ref[Interruption] | None = None

    def begin(self, error: Interruption) -> None:
        self.number, self._error = error.number, weakref.ref(error)

    def accept(self) -> None:
        self.is_accepted = True

    @property
    def is_open(self) -> bool:
        """Whether there was a signal that nobody has dealt with."""
        return self.number != 0 and not self.is_accepted

    @property
    def is_lost(self) -> bool:
        """Whether the exception of such a signal is gone: as long as it unwinds the stack, something holds it."""
        return self.is_open and (self._error is None or self._error() is None)


_state = _State()


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _state.is_accepted or (_state.is_open and not _state.is_lost):
        return
    error = Interruption(_state.number or number)
    _state.begin(error)
    try:
        raise error
    finally:
        # The traceback holds this frame: a name in it would keep the exception alive for good.
        del error


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
    if sys.platform != "win32":
        # The main thread takes them, which a library may have blocked for a moment.
        signal.pthread_sigmask(signal.SIG_BLOCK, known)
    number = 0
    while number not in known:
        number = receiver.recv(1)[0]
    deadline = time.monotonic() + _UNWIND_S
    while time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        if _state.is_lost:
            _raise_again(_state.number)
    notes = leftovers.settle_all()
    # The main thread may hold the locks of Python's streams.
    if not _state.is_told:
        with contextlib.suppress(OSError):
            os.write(stderr, f"{summary(notes)}\n".encode())
    os._exit(_FIRST_EXIT_CODE + number)


def _raise_again(number: int) -> None:
    """Sends the main thread a signal once more."""
    main = threading.main_thread().ident
    if sys.platform != "win32" and main is not None:
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main(signal.Signals(number))
