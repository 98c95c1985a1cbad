"""Memory that is freed, but that this process keeps."""

from __future__ import annotations

import ctypes
import gc
import sys


def release() -> None:
    """Gives back what nothing uses any more.

    Graphs of TensorFlow refer to themselves, so that they wait for the collector, which knows the number of objects and
    not their size; and glibc keeps what lies between blocks in use, which after weights of gigabytes is gigabytes.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        # Other C libraries have no such function, and return memory by themselves.
        if trim is not None:
            trim(0)
