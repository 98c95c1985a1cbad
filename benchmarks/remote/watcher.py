"""A watcher that ends a browser and removes its profile if this process is killed.

The watcher is a process of its own, with the end of a pipe that closes when this process has gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_END_S = 5.0
_LOOK_S = 0.05
# What taskkill ends with.
_NO_SUCH_PROCESS = 128


class Watcher:
    """Watches over one browser."""

    def __init__(self, group: int, profile: Path) -> None:
        """Starts the watcher.

        Args:
            group: The process group of the browser.
            profile: Its folder.
        """
        # This file runs by itself, without the package, so that it costs little beside a browser that is timed.
        command = [sys.executable, "-I", "-S", __file__, str(group), str(profile)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def release(self) -> None:
        """Ends the watcher, which does nothing then."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def end_group(group: int, *, force: bool) -> None:
    """Ends the processes of a browser, or asks them to end.

    A group has all of them, also those whose parent has ended. Windows has no groups, but keeps the numbers of parents.

    Raises:
        ProcessLookupError: there are none left.
    """
    if sys.platform == "win32":
        command = ["taskkill", "/T", *(("/F",) if force else ()), "/PID", str(group)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == _NO_SUCH_PROCESS:
            raise ProcessLookupError
    else:
        os.killpg(group, signal.SIGKILL if force else signal.SIGTERM)


def watch(group: int, profile: str) -> None:
    """Waits until nobody holds the other end of the pipe on stdin, and cleans up."""
    sys.stdin.read()
    deadline = time.monotonic() + _END_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            end_group(group, force=True)
            time.sleep(_LOOK_S)
    shutil.rmtree(profile, ignore_errors=True)


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
