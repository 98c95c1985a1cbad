"""A process that ends others when this one is gone, however that came: those that work in one folder, which it removes.

What a library begins cannot be given a `Lifeline`, and its own children are nobody's when it is killed. Who belongs to
it is told by the folder: its name stands on the command line, or a file in it, such as a log, is open.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_LOOK_S = 0.1
# A process that was just begun may itself begin others.
_QUIET_LOOKS = 3
_END_S = 10.0


class Watcher:
    """Ends the processes that work in a folder, and removes it: when it is closed, or this process has ended."""

    def __init__(self, folder: Path) -> None:
        """Begins to watch.

        Args:
            folder: Of processes that begin from now on, and of nobody else.
        """
        # In a session of its own, no signal reaches it that a terminal or a supervisor sends to all.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """Ends the processes, and returns when they have ended; doing so twice is allowed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)


def end_all(folder: str, since: float) -> None:
    """Ends the processes that work in a folder, until no more appear.

    Args:
        folder: Its path.
        since: Time in s since the epoch before which none of them began.
    """
    deadline, quiet = time.monotonic() + _END_S, 0
    while quiet < _QUIET_LOOKS and time.monotonic() < deadline:
        found = list(_those_in(folder, since))
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        quiet = 0 if found else quiet + 1
        time.sleep(_LOOK_S)


def _those_in(folder: str, since: float) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.create_time() >= since and _works_in(process, folder):
                yield process


def _works_in(process: psutil.Process, folder: str) -> bool:
    if any(folder in word for word in process.cmdline()):
        return True
    return any(Path(file).is_relative_to(folder) for file in _open_files(process))


def _open_files(process: psutil.Process) -> Iterator[str]:
    if sys.platform != "linux":
        yield from (file.path for file in process.open_files())
        return
    # psutil leaves out files that are removed already.
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(link.readlink())


def main(folder: str) -> None:
    """Waits until the process that began this one closes its end, or is gone."""
    since = psutil.Process().create_time()
    sys.stdin.buffer.read()
    end_all(folder, since)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
