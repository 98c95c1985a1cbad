"""The pipeline's end of a conversion worker: what is asked of it, and what it is when it crashes or hangs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, TypeVar

from pocketvae.errors import ChannelError, ExportError, MemoryLimitError, PocketVaeError, TimeLimitError
from pocketvae.export.blame import died_of_a_fault, fatal_layer
from pocketvae.export.messages import (
    Converted,
    ConvertJob,
    Coupling,
    CouplingJob,
    Front,
    FrontJob,
    LoadJob,
    Method,
    Prepared,
    PrepareJob,
    Spread,
    SpreadJob,
)
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Client
from pocketvae.spec import ArtifactSpec
from pocketvae.system.shortage import NO_MEMORY, NO_THREADS

_Result = TypeVar("_Result")

# For finding the layer that a converter died on.
_BLAME_S = 180.0
# The code of a process that ended itself by `abort`, where there are signals.
_ABORTED = -6
_ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class WorkerProcess(Client):
    """A conversion worker in a separate process, started with the first job and again after a crash.

    Attributes:
        program: What to run where no command is given; the working folder is appended.
    """

    program: ClassVar[Sequence[str]] = (sys.executable, "-Pm", "pocketvae.export.worker")

    def __init__(
        self,
        folder: Path,
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        memory_limit_bytes: int | None = None,
    ) -> None:
        """Prepares a worker.

        Args:
            folder: The working folder with the setup.
            command: What to run instead of pocketvae's own worker; the folder is appended.
            environment: Variables to add to this process's own.
            memory_limit_bytes: Of the worker; it is ended when it uses more.
        """
        words = [*(command or self.program), str(folder)]
        self._has_one_thread = (environment or {}).items() >= _ONE_THREAD.items()
        self.process = LineProcess(words, environment=environment, memory_limit_bytes=memory_limit_bytes)
        super().__init__(self.process)

    def load(self, job: LoadJob, time_limit_s: float) -> None:
        """Has models loaded; raises as `convert` does."""
        self._do(Method.LOAD, job, type(None), time_limit_s)

    def prepare(self, job: PrepareJob, time_limit_s: float) -> tuple[Prepared, ...]:
        """Has calibration samples, goldens and noise floors made; raises as `convert` does."""
        return self._do(Method.PREPARE, job, tuple[Prepared, ...], time_limit_s)

    def spread(self, job: SpreadJob, time_limit_s: float) -> tuple[Spread, ...]:
        """Has the originals run in the worker's way; raises as `convert` does."""
        return self._do(Method.SPREAD, job, tuple[Spread, ...], time_limit_s)

    def coupling(self, job: CouplingJob, time_limit_s: float) -> tuple[Coupling, ...]:
        """Has the layers found that make a sample depend on the rest of its batch; raises as `convert` does."""
        return self._do(Method.COUPLING, job, tuple[Coupling, ...], time_limit_s)

    def convert(self, job: ConvertJob, time_limit_s: float) -> Converted:
        """Has an artifact made.

        Raises:
            NoSpaceError: a disk is full.
            PocketVaeError: the worker crashed, hung, or refused; the message says why.
        """
        try:
            return self._do(Method.CONVERT, job, Converted, time_limit_s)
        except ExportError as e:
            cause = e.__cause__
            if not isinstance(cause, ChannelError) or not _is_fault(cause):
                raise
            layer = self._fatal_layer(job.artifact, min(time_limit_s, _BLAME_S))
            if not layer:
                raise
            raise ExportError(f"{e}; the converter dies on {layer}") from cause

    def _fatal_layer(self, artifact: ArtifactSpec, time_limit_s: float) -> str:
        """Returns the layer that a converter died on, if it can be told in time; see `fatal_layer`."""
        if artifact.component.is_composed:
            return ""
        end = time.perf_counter() + time_limit_s

        def front(count: int) -> Front:
            left_s = max(1.0, end - time.perf_counter())
            return self.call(Method.FRONT, FrontJob(artifact=artifact, count=count), Front, left_s)

        def dies(count: int) -> bool:
            try:
                front(count)
            except ChannelError as e:
                if not _is_fault(e):
                    raise TimeoutError from e
                return True
            except PocketVaeError:
                pass  # It refuses this front, but lives.
            return False

        try:
            return fatal_layer(front(0).layers, dies, time_limit_s)
        except PocketVaeError:
            return ""

    def _do(self, method: Method, job: object, result: type[_Result], time_limit_s: float) -> _Result:
        try:
            return self._call_twice(method, job, result, time_limit_s)
        except TimeLimitError as e:
            raise ExportError(f"the conversion failed: {e}: --time-limit SECONDS gives it more") from e
        except MemoryLimitError as e:
            raise ExportError(f"the conversion failed: {e}: --memory-limit GB gives it more") from e
        except ChannelError as e:
            raise ExportError(f"the conversion failed: {e}") from e

    def _call_twice(self, method: Method, job: object, result: type[_Result], time_limit_s: float) -> _Result:
        """Calls a method; if the process aborts, the next one, with fewer threads, gets the same job.

        Native code aborts when the system refuses it a thread, and it starts several for each core.
        """
        try:
            return self.call(method, job, result, time_limit_s)
        except ChannelError as e:
            if e.code != _ABORTED or self._has_one_thread:
                raise
        self._has_one_thread = True
        self.process.add_environment(_ONE_THREAD)
        try:
            return self.call(method, job, result, time_limit_s)
        except ChannelError as e:
            if e.code != _ABORTED:
                raise
            raise ChannelError(f"{e} (tried twice, the second time with one thread for each operation)", e.code) from e

    def close(self, *, kill: bool = False) -> None:
        """Ends the worker: when it has done what it does, or at once."""
        self.process.close(kill=kill)

    def stop(self) -> None:
        """Ends the worker at once and for good; see `LineProcess.stop`."""
        self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(kill=kind is not None)


def _is_fault(error: ChannelError) -> bool:
    """Whether native code died of a fault of its own, and not because the system refused it threads or memory."""
    return died_of_a_fault(error.code) and not any(words in str(error) for words in (NO_THREADS, NO_MEMORY))
