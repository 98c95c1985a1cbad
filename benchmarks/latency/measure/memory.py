"""The memory of this process."""

from __future__ import annotations

import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_rss_bytes() -> int:
    """Returns the peak resident memory of this process."""
    # Linux carries ru_maxrss over from the parent through fork and exec; VmHWM begins anew with the program.
    peak = _field("VmHWM")
    if peak is not None:
        return peak
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


def private_bytes() -> int | None:
    """Returns the resident memory outside of files, that is heap and arenas; None if unknown."""
    return _field("RssAnon")


def _field(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    lines = _STATUS.read_text("utf-8").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)
