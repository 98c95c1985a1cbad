"""Temporary folders that do not stay behind, even when the process is ended from another thread.

What is left by a process that was killed is removed by the next one that makes such a folder.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pocketvae.system import leftovers
from pocketvae.system.locks import Lock, new_held_folder, remove_abandoned

_NAME = re.compile(r"pocketvae-[0-9a-f]{16}")


class TemporaryFolder:
    """A folder that stays until `remove`, for what does not end with a block.

    Attributes:
        path: The folder.
    """

    def __init__(self, parent: Path | None = None) -> None:
        """Makes the folder.

        Args:
            parent: Where; by default among the system's temporary ones.
        """
        parent = parent or Path(tempfile.gettempdir())
        _clear(parent)
        self.path = parent / f"pocketvae-{secrets.token_hex(8)}"
        self._lock: Lock | None = None
        self._number = leftovers.register(self.remove)
        self._lock = new_held_folder(self.path)

    def remove(self) -> None:
        """Removes the folder with all that is in it; doing so twice is allowed."""
        shutil.rmtree(self.path, ignore_errors=True)
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
        leftovers.forget(self._number)


@contextlib.contextmanager
def temporary_directory(parent: Path | None = None) -> Iterator[Path]:
    """Yields an empty folder, which is removed however the block ends; see `TemporaryFolder`."""
    folder = TemporaryFolder(parent)
    try:
        yield folder.path
    finally:
        folder.remove()


@functools.cache
def _clear(parent: Path) -> None:
    """Removes, once in this process, what processes that were killed have left."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                remove_abandoned(Path(entry.path))
