"""Temporary folders that do not stay behind, even when the process is ended from another thread."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pocketvae.system import leftovers
from pocketvae.system.leftovers import settled_on_error


class TemporaryFolder:
    """A folder that stays until `remove`, for what does not end with a block.

    Attributes:
        path: The folder, among the system's temporary ones.
    """

    def __init__(self) -> None:
        """Makes the folder."""
        self.path = _new_path()
        self._number = leftovers.register(self.remove)
        self.path.mkdir(mode=0o700)

    def remove(self) -> None:
        """Removes the folder with all that is in it; doing so twice is allowed."""
        shutil.rmtree(self.path, ignore_errors=True)
        leftovers.forget(self._number)


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """Yields an empty folder among the system's temporary ones, which is removed however the block ends."""
    folder = _new_path()
    with settled_on_error(partial(shutil.rmtree, folder, ignore_errors=True)):
        folder.mkdir(mode=0o700)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def _new_path() -> Path:
    return Path(tempfile.gettempdir()) / f"pocketvae-{secrets.token_hex(8)}"
