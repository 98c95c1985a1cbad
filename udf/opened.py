"""Bundles that are open in this process: each is opened when it is first used, and only once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from pocketvae.bundle.manifest import MANIFEST_NAME
from pocketvae.models.model_bundle import ModelBundle
from pocketvae.models.model_bundle import open as open_models

_lock = threading.Lock()
_bundles: dict[tuple[int, str], tuple[tuple[int, int, int] | None, ModelBundle]] = {}


def opened(path: str) -> ModelBundle:
    """Returns a bundle, which stays open as long as the process, or until it is exported again.

    Args:
        path: Of its folder, which every machine of the cluster must have under the same path.

    Raises:
        ManifestError: the folder is not a bundle, or a file is damaged or missing.
    """
    # A process that was forked from one with an open bundle must not use its runtimes.
    key, state = (os.getpid(), path), _state(path)
    with _lock:
        if key not in _bundles or _bundles[key][0] != state:
            # Whoever uses the one of before has it to its end; a bundle is replaced as a whole.
            _bundles[key] = state, open_models(path)
        return _bundles[key][1]


def _state(path: str) -> tuple[int, int, int] | None:
    """Returns what differs when a bundle was exported again."""
    try:
        found = Path(path, MANIFEST_NAME).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
