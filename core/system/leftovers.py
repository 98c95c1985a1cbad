"""What must not stay behind when this process ends: half-written files, child processes.

Whoever makes such a thing registers how it is settled before it exists. An error or an interruption settles it while
the stack unwinds. A main thread inside native code does not unwind; then the command line settles everything from
another thread before it ends the process.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

# Removes, ends or puts back; must be harmless when there is nothing left to do. Returns what there is to tell the user.
Settle = Callable[[], str | None]

_numbers = itertools.count()
# Single operations on a dict are atomic, so threads need no lock, which a thread that is stuck could hold.
_registered: dict[int, Settle] = {}


@contextlib.contextmanager
def settled_on_error(settle: Settle) -> Iterator[None]:
    """Settles something if the block does not end well, or if the process is ended within it.

    What there is to say becomes a note of the exception.
    """
    number = register(settle)
    try:
        yield
    except BaseException as e:
        if note := settle():
            e.add_note(note)
        raise
    finally:
        forget(number)


def register(settle: Settle) -> int:
    """Registers what to do if the process is ended before `forget`; returns a number for that."""
    number = next(_numbers)
    _registered[number] = settle
    return number


def forget(number: int) -> None:
    """Drops what was registered; doing so twice is allowed."""
    _registered.pop(number, None)


def settle_all() -> list[str]:
    """Settles everything that is registered, the latest first: a child ends before the folder that it writes to goes.

    Returns:
        What there is to say.
    """
    notes = []
    for number in sorted(_registered, reverse=True):
        settle = _registered.pop(number, None)
        # One that fails must not keep the others from being settled.
        with contextlib.suppress(Exception):
            note = settle() if settle is not None else None
            if note:
                notes.append(note)
    return notes
