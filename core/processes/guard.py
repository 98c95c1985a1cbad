"""Memory use of a process and its children, and a guard that ends those that use too much.

An address-space limit of the system would not do: TensorFlow reserves far more than it uses. So the guard looks at
what is resident or swapped out, ten times a second. On Linux it reads /proc by itself: psutil goes through all
processes of the machine to find the children of one, which takes 8 ms in place of 0.6 ms where 113 are running.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from pocketvae.errors import SpecError

_INTERVAL_S = 0.1
_PROC = Path("/proc")
_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_bytes() -> int | None:
    """Returns the memory of this machine, or of the container where that has less; None where nobody says."""
    import psutil

    limits = []
    with contextlib.suppress(OSError, psutil.Error):
        limits.append(int(psutil.virtual_memory().total))
    # A container's limit, which psutil does not know.
    for name in _GROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(name).read_text("ascii")))
    return min(limits, default=None)


def check_memory(needed_bytes: int, what: str, remedy: str) -> None:
    """Refuses work that cannot fit into this machine's memory.

    Args:
        needed_bytes: What it takes at least.
        what: The work.
        remedy: What to do.

    Raises:
        SpecError: there is less memory.
    """
    available = machine_bytes()
    if available is not None and needed_bytes > available:
        raise SpecError(
            f"{what} must fit into this machine's memory of {available / 1e9:.1f} GB, but takes at least "
            f"{needed_bytes / 1e9:.1f} GB: {remedy}"
        )


def used_bytes(process_id: int) -> int:
    """Returns the memory that a process and all its descendants hold, resident or swapped out; 0 where none is left.

    Pages that several of them share are counted for each.
    """
    return sum(_own_bytes(member) for member in _family(process_id))


class MemoryGuard:
    """Watches a process until it is released; ends it with its descendants when they use more than the limit.

    Attributes:
        excess_bytes: What was used when the limit was passed; 0 as long as it has not been.
    """

    def __init__(self, process_id: int, limit_bytes: int) -> None:
        """Begins to watch.

        Args:
            process_id: Of the process.
            limit_bytes: Of all its memory.
        """
        self.excess_bytes = 0
        self._process_id, self._limit_bytes = process_id, limit_bytes
        self._released = threading.Event()
        # If memory runs out between two checks, the system should end this process and not the one that waits for it.
        with contextlib.suppress(OSError):
            (_PROC / str(process_id) / "oom_score_adj").write_text("500", "ascii")
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Stops watching: afterwards another process may get the number."""
        self._released.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._released.wait(_INTERVAL_S):
            used = used_bytes(self._process_id)
            if used > self._limit_bytes:
                self.excess_bytes = used
                _kill(reversed(_family(self._process_id)))
                return


def _kill(process_ids: Iterable[int]) -> None:
    import psutil

    for process_id in process_ids:
        with contextlib.suppress(psutil.Error):
            psutil.Process(process_id).kill()


def _family(process_id: int) -> list[int]:
    """Returns a process and its descendants, parents first."""
    if sys.platform != "linux":
        return _family_elsewhere(process_id)
    family = [process_id]
    for member in family:  # grows while it is walked through
        for children in (_PROC / str(member)).glob("task/*/children"):
            with contextlib.suppress(OSError):
                family += [int(word) for word in children.read_text("ascii").split()]
    return family


def _family_elsewhere(process_id: int) -> list[int]:
    import psutil

    with contextlib.suppress(psutil.Error):
        return [process_id, *(child.pid for child in psutil.Process(process_id).children(recursive=True))]
    return [process_id]


def _own_bytes(process_id: int) -> int:
    if sys.platform != "linux":
        return _own_bytes_elsewhere(process_id)
    status = _PROC / str(process_id) / "status"
    try:
        return _field(status, "VmRSS:") + _field(status, "VmSwap:")
    except OSError:
        return 0


def _own_bytes_elsewhere(process_id: int) -> int:
    import psutil

    with contextlib.suppress(psutil.Error):
        used = psutil.Process(process_id).memory_info()
        # On Windows `private` holds what is swapped out, too.
        return int(max(used.rss, getattr(used, "private", 0)))
    return 0


def _field(path: Path, name: str) -> int:
    """Returns a value in kB as bytes; 0 where there is none, as for a process that has ended."""
    lines = path.read_text("ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
