"""Bundles that are open in this process: each is opened when it is first used, and only once."""

from __future__ import annotations

import os
import threading

from pocketvae.models.model_bundle import ModelBundle
from pocketvae.models.model_bundle import open as open_models

_lock = threading.Lock()
_bundles: dict[tuple[int, str], ModelBundle] = {}


def opened(path: str) -> ModelBundle:
    """Returns a bundle, which stays open as long as the process.

    Args:
        path: Of its folder, which every machine of the cluster must have under the same path.

    Raises:
        ManifestError: the folder is not a bundle, or a file is damaged or missing.
    """
    # A process that was forked from one with an open bundle must not use its runtimes.
    key = os.getpid(), path
    with _lock:
        if key not in _bundles:
            _bundles[key] = open_models(path)
        return _bundles[key]
