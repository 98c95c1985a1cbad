"""The memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_rss_bytes() -> int:
    """Returns the peak resident memory of this process."""
    # Linux carries ru_maxrss over from the parent through fork and exec; VmHWM begins anew with the program.
    peak = _field("VmHWM")
    if peak is not None:
        return peak
    if sys.platform == "win32":
        import psutil

        memory = psutil.Process().memory_info()
        return int(getattr(memory, "peak_wset", memory.rss))
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


def private_bytes() -> int | None:
    """Returns the resident memory outside of files, that is heap and arenas; None if unknown."""
    return _field("RssAnon")


def _field(name: str) -> int | None:
    try:
        lines = _STATUS.read_text("utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)
