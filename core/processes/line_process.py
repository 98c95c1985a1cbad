"""A child process that answers requests on its pipes, for work that can crash or hang."""

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
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Self

from pocketvae.errors import ChannelError, MemoryLimitError, TargetError, TimeLimitError
from pocketvae.processes.envelope import Request, Response, encode, read
from pocketvae.processes.failures import broken_installation_in
from pocketvae.processes.guard import MemoryGuard
from pocketvae.processes.lifeline import Lifeline
from pocketvae.processes.rpc import unreadable
from pocketvae.system import leftovers
from pocketvae.system.shortage import shortage_in, shortage_of
from pocketvae.system.temporary import TemporaryFolder

_END_GRACE_S = 10.0
# An abort prints its reason, and then perhaps where it was.
_LAST_LINES = 40
# Where programs of POSIX and of Windows look for the folder of temporary files.
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")


class LineProcess:
    """Starts the child at the first request; a context manager that never leaves one behind."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        memory_limit_bytes: int | None = None,
    ) -> None:
        """Keeps what to start.

        Args:
            command: Program and arguments.
            environment: Variables to add to this process's own.
            memory_limit_bytes: Of the child and its own children; it is ended when they use more.
        """
        self._memory_limit_bytes = memory_limit_bytes
        self._guard: MemoryGuard | None = None
        self._stopped = False
        self._command = list(command)
        self._inherited, self._variables = dict(os.environ), dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._responses: queue.Queue[Response | Exception | None] = queue.Queue()
        self._stderr: IO[bytes] | None = None
        self._registered = -1
        self._lifeline: Lifeline | None = None
        self._temporary: TemporaryFolder | None = None

    def ask(self, request: Request, time_limit_s: float) -> Response:
        """Sends a request and returns its response.

        Raises:
            ChannelError: the child cannot be started, ended, did not answer in time and was ended, or sent what cannot
                be read. The next request starts a new child.
            TargetError: the child lacks a part of pocketvae.
        """
        process = self._process or self._start()
        if self._stopped:
            self.close(kill=True)
            raise ChannelError("it was stopped")
        try:
            assert process.stdin is not None  # noqa: S101 - opened as a pipe
            process.stdin.write(encode(request))
            process.stdin.flush()
            response = self._responses.get(timeout=time_limit_s)
        except queue.Empty:
            self.close(kill=True)
            raise TimeLimitError(f"it took longer than {time_limit_s:g} s and was ended") from None
        except OSError:
            response = None
        if response is None:
            raise self._ended()
        if isinstance(response, Response) and response.id == request.id:
            return response
        self.close(kill=True)
        raise unreadable(
            response if isinstance(response, Exception) else ValueError(f"it belongs to request {response.id}")
        )

    def add_environment(self, variables: Mapping[str, str]) -> None:
        """Adds variables for the children that are started from now on."""
        self._variables.update(variables)

    def stop(self) -> None:
        """Ends the child at once and for good: a request that another thread sends next starts no new one."""
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
        leftovers.forget(self._registered)
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
        finally:
            self._release()

    def _release(self) -> None:
        """Gives back what a child that has ended had."""
        if self._lifeline is not None:
            self._lifeline.close()
        if self._temporary is not None:
            self._temporary.remove()
        if self._stderr is not None:
            self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(kill=kind is not None)

    def _start(self) -> subprocess.Popen[bytes]:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._responses = queue.Queue()
        self._lifeline = Lifeline()
        # A child that is killed cannot remove its temporary files; whoever names a folder for them does that.
        self._temporary = None if "TMPDIR" in self._variables else TemporaryFolder()
        own = dict.fromkeys(_TEMPORARY, str(self._temporary.path)) if self._temporary else {}
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=self._inherited | own | self._variables,
                pass_fds=self._lifeline.descriptors,
            )
        except OSError as e:
            self._release()
            raise cannot_start(self._command, e) from e
        self._lifeline.hold(process.pid)
        self._registered = leftovers.register(self._abandon)
        self._process = process
        try:
            threading.Thread(target=_forward, args=(process, self._responses), daemon=True).start()
            if self._memory_limit_bytes is not None:
                self._guard = MemoryGuard(process.pid, self._memory_limit_bytes)
        except RuntimeError as e:
            self.close(kill=True)
            raise ChannelError(shortage_of(e) or str(e)) from e
        return process

    def _abandon(self) -> None:
        """Ends the child without waiting, for a process that is about to end itself; no other is started."""
        self._stopped = True
        if (process := self._process) is not None:
            process.kill()

    def _ended(self) -> ChannelError | TargetError:
        process, stderr = self._process, self._stderr
        if process is None or stderr is None:
            return ChannelError("its process is gone")
        code = process.wait()
        stderr.seek(0)
        lines = [line for line in stderr.read().decode("utf-8", "replace").splitlines() if line.strip()]
        excess = self._guard.excess_bytes if self._guard else 0
        self.close()
        if excess and self._memory_limit_bytes is not None:
            limit = self._memory_limit_bytes
            return MemoryLimitError(
                f"it used {excess / 1e9:.2f} GB of memory, more than the limit of {limit / 1e9:.2f} GB, and was ended",
                code,
            )
        return broken_installation_in(lines) or ChannelError(_description(code, lines), code)


def _description(code: int, lines: Sequence[str]) -> str:
    """Says how a process ended: its exit code, and the last lines that it printed."""
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    if sys.platform != "win32" and code == -signal.SIGKILL:
        return f"its process {how}, which the system sends when memory runs out"
    said = shortage_in("\n".join(lines[-_LAST_LINES:])) or (lines[-1][:300] if lines else "")
    return f"its process {how}{': ' + said if said else ''}"


def cannot_start(command: Sequence[str], error: OSError) -> ChannelError:
    """Builds the error for a program that the system does not start: it is missing, or is made for another machine."""
    return ChannelError(shortage_of(error) or f"{command[0]} cannot be started: {error.strerror or error}")


def _forward(process: subprocess.Popen[bytes], responses: queue.Queue[Response | Exception | None]) -> None:
    """Moves responses to the queue; None marks the end of the stream, an error what cannot be read.

    A login shell that the command goes through may print something first.
    """
    if process.stdout is not None:
        try:
            for line in itertools.dropwhile(lambda line: not line.startswith(b"{"), process.stdout):
                responses.put(read(Response, line, process.stdout))
        except EOFError:
            pass  # it died while it answered
        except ValueError as e:
            responses.put(e if line.endswith(b"\n") else None)
    responses.put(None)
