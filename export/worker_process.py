"""The pipeline's end of a conversion worker: starts it, asks it, ends it, starts it again after a crash."""

from __future__ import annotations

import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pocketvae.documents import decode_line, encode_line
from pocketvae.export.messages import Reply, Request

_END_GRACE_S = 5.0


class WorkerProcess:
    """A worker process that is started when the first job comes; a context manager."""

    def __init__(self, folder: Path, *, command: Sequence[str] | None = None) -> None:
        """Prepares a worker.

        Args:
            folder: The working folder with the setup.
            command: What to run instead of pocketvae's own worker; the folder is appended.
        """
        self._command = [*(command or (sys.executable, "-m", "pocketvae.export.worker")), str(folder)]
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.Queue[str | None] = queue.Queue()
        self._stderr: IO[bytes] | None = None

    def ask(self, request: Request, time_limit_s: float) -> Reply:
        """Has one job done.

        A worker that crashes or takes too long is ended; the reply says so, and the next job starts a new one.
        """
        process = self._process or self._start()
        try:
            assert process.stdin is not None  # noqa: S101 - opened as a pipe
            process.stdin.write(encode_line(request) + "\n")
            process.stdin.flush()
            line = self._replies.get(timeout=time_limit_s)
        except queue.Empty:
            self.close(kill=True)
            return Reply(error=f"it took longer than {time_limit_s:g} s and was ended")
        except OSError:
            line = None
        if line is None:
            return Reply(error=self._describe_crash())
        return decode_line(Reply, line)

    def close(self, *, kill: bool = False) -> None:
        """Ends the worker, at once if it is to be killed."""
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        elif process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(_END_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._stderr is not None:
            self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(kill=kind is not None)

    def _start(self) -> subprocess.Popen[str]:
        self._stderr = tempfile.TemporaryFile()
        self._replies = queue.Queue()
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, text=True
        )
        threading.Thread(target=_forward, args=(process, self._replies), daemon=True).start()
        self._process = process
        return process

    def _describe_crash(self) -> str:
        process, stderr = self._process, self._stderr
        if process is None or stderr is None:
            return "the conversion process is gone"
        code = process.wait()
        stderr.seek(0)
        lines = [line for line in stderr.read().decode("utf-8", "replace").splitlines() if line.strip()]
        self.close()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"the conversion process {how}{': ' + lines[-1][:300] if lines else ''}"


def _forward(process: subprocess.Popen[str], replies: queue.Queue[str | None]) -> None:
    """Moves reply lines to the queue; None marks the end of the stream."""
    if process.stdout is not None:
        for line in process.stdout:
            replies.put(line)
    replies.put(None)
