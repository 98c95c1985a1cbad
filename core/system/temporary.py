"""Temporary folders that do not stay behind, even when the process is ended from another thread."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pocketvae.system.leftovers import settled_on_error


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """Yields an empty folder among the system's temporary ones, which is removed however the block ends."""
    folder = Path(tempfile.gettempdir()) / f"pocketvae-{secrets.token_hex(8)}"
    with settled_on_error(partial(shutil.rmtree, folder, ignore_errors=True)):
        folder.mkdir(mode=0o700)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
