"""The cache folder for this user's downloads, outside every project."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Returns `POCKETVAE_CACHE`, or the folder `pocketvae` where the system keeps caches, as an absolute path.

    That is `XDG_CACHE_HOME` or `~/.cache` on Linux, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.
    """
    named = os.environ.get("POCKETVAE_CACHE")
    if named:
        return Path(named).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("pocketvae", appauthor=False).absolute()
