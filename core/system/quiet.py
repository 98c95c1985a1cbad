"""Suppression of output of native libraries on stderr, which would bury pocketvae's messages."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

# The descriptor belongs to the process: two threads that replaced it at once would restore each other's replacement.
_LOCK = threading.RLock()


class Held:
    """What native code wrote to stderr in a block, as text; empty until the block is left."""

    text: str = ""


@contextlib.contextmanager
def captured_stderr() -> Iterator[Held]:
    """Keeps what native code writes to stderr, for who wants to read it; nothing of it is printed."""
    kept = Held()
    with _LOCK, tempfile.TemporaryFile() as file:
        saved = _saved()
        if saved is None:
            yield kept
            return
        os.dup2(file.fileno(), 2)
        try:
            yield kept
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            kept.text = file.read().decode("utf-8", "replace")


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Holds back what native code writes to stderr, and prints it if the block fails."""
    with _LOCK, tempfile.TemporaryFile() as held:
        saved = _saved()
        if saved is None:
            yield
            return
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _saved() -> int | None:
    """Returns a copy of stderr's descriptor; None in a program without one, as of `pythonw`."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        return os.dup(2)
    except OSError:
        return None
