"""The cache folder for this user's downloads, outside every project."""

from __future__ import annotations

import os
from pathlib import Path

# The page of `explore` and the browser target run the same version.
ONNXRUNTIME_WEB_VERSION = "1.30.0"


def cache_folder() -> Path:
    """Returns `POCKETVAE_CACHE`, or the folder `pocketvae` in `XDG_CACHE_HOME` or `~/.cache`, as an absolute path."""
    named = os.environ.get("POCKETVAE_CACHE")
    base = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pocketvae"
    return base.absolute()
