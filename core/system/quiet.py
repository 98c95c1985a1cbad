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
        sys.stderr.flush()
        saved = os.dup(2)
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
        sys.stderr.flush()
        saved = os.dup(2)
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
