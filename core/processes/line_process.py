"""A child process that answers one line with one line: where work can crash, hang or must be measured alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Self

from pocketvae.processes.guard import MemoryGuard

_END_GRACE_S = 10.0
_PARENT_INTERVAL_S = 0.5


class LineProcessError(Exception):
    """The child crashed or took too long; the message says which. The next question starts a new child.

    Attributes:
        code: What the child ended with, where it ended by itself; negative for a signal.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        """Keeps the code beside the message."""
        super().__init__(message)
        self.code = code


class LineProcess:
    """Starts the child at the first question; a context manager that never leaves one behind."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        memory_limit_bytes: int | None = None,
        answers_begin: str = "",
    ) -> None:
        """Keeps what to start.

        Args:
            command: Program and arguments.
            environment: Variables to add to this process's own.
            memory_limit_bytes: Of the child and its own children; it is ended when they use more.
            answers_begin: What every answer begins with; lines before the first such one are dropped. A login shell
                that the command goes through may print some.
        """
        self._answers_begin = answers_begin
        self._memory_limit_bytes = memory_limit_bytes
        self._guard: MemoryGuard | None = None
        self._stopped = False
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.Queue[str | None] = queue.Queue()
        self._stderr: IO[bytes] | None = None

    def ask(self, line: str, time_limit_s: float) -> str:
        """Sends one line and returns the answer.

        Raises:
            LineProcessError: the child cannot be started, ended, or did not answer in time and was ended.
        """
        process = self._process or self._start()
        if self._stopped:
            self.close(kill=True)
            raise LineProcessError("it was stopped")
        try:
            assert process.stdin is not None  # noqa: S101 - opened as a pipe
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = self._replies.get(timeout=time_limit_s)
        except queue.Empty:
            self.close(kill=True)
            raise LineProcessError(f"it took longer than {time_limit_s:g} s and was ended") from None
        except OSError:
            answer = None
        if answer is None:
            raise self._ended()
        return answer

    def stop(self) -> None:
        """Ends the child at once and for good: a question that another thread asks next starts no new one."""
        self._stopped = True
        self.close(kill=True)

    def close(self, *, kill: bool = False) -> None:
        """Ends the child: by closing its input, or at once."""
        process, self._process = self._process, None
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.release()
        if process is None:
            return
        if kill:
            process.kill()
        elif process.stdin is not None:
            # A child that died before it read leaves an unsent line, which closing tries to send once more.
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait(_END_GRACE_S)
        except BaseException as e:  # an interruption while waiting must not leave the child behind either
            process.kill()
            process.wait()
            if not isinstance(e, subprocess.TimeoutExpired):
                raise
        if self._stderr is not None:
            self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(kill=kind is not None)

    def _start(self) -> subprocess.Popen[str]:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._replies = queue.Queue()
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
                env=self._environment,
            )
        except OSError as e:
            self._stderr.close()
            raise cannot_start(self._command, e) from e
        threading.Thread(target=_forward, args=(process, self._replies, self._answers_begin), daemon=True).start()
        self._process = process
        if self._memory_limit_bytes is not None:
            self._guard = MemoryGuard(process.pid, self._memory_limit_bytes)
        return process

    def _ended(self) -> LineProcessError:
        code = self._process.wait() if self._process else None
        return LineProcessError(self._describe_end(), code)

    def _describe_end(self) -> str:
        process, stderr = self._process, self._stderr
        if process is None or stderr is None:
            return "its process is gone"
        code = process.wait()
        stderr.seek(0)
        lines = [line for line in stderr.read().decode("utf-8", "replace").splitlines() if line.strip()]
        excess = self._guard.excess_bytes if self._guard else 0
        self.close()
        if excess and self._memory_limit_bytes is not None:
            limit = self._memory_limit_bytes
            return (
                f"it used {excess / 1e9:.2f} GB of memory, more than the limit of {limit / 1e9:.2f} GB, and was ended"
            )
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        if code == -signal.SIGKILL:
            return f"its process {how}, which the system sends when memory runs out"
        return f"its process {how}{': ' + lines[-1][:300] if lines else ''}"


def cannot_start(command: Sequence[str], error: OSError) -> LineProcessError:
    """Builds the error for a program that the system does not start: it is missing, or is made for another machine."""
    return LineProcessError(f"{command[0]} cannot be started: {error.strerror or error}")


def serve_lines(answer: Callable[[str], str]) -> None:
    """The child's side: answers each line of stdin on stdout until stdin ends.

    Native libraries print on stdout, so the answers get a descriptor of their own and stdout becomes stderr. A parent
    that was killed cannot end the child, so the child ends by itself.
    """
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(answer(line) + "\n")
        answers.flush()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_INTERVAL_S)
    os._exit(1)


def _forward(process: subprocess.Popen[str], replies: queue.Queue[str | None], begin: str) -> None:
    """Moves answers to the queue, from the first line that begins so; None marks the end of the stream."""
    if process.stdout is not None:
        for line in itertools.dropwhile(lambda line: not line.startswith(begin), process.stdout):
            replies.put(line)
    replies.put(None)
