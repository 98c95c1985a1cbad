"""The pipeline's end of a conversion worker: a crash or a hang becomes a reply that says so."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketvae.documents import decode_line, encode_line
from pocketvae.export.messages import Reply, Request
from pocketvae.processes.line_process import LineProcess, LineProcessError


class WorkerProcess(LineProcess):
    """A conversion worker in a process of its own, started with the first job and again after a crash."""

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
        words = [*(command or (sys.executable, "-m", "pocketvae.export.worker")), str(folder)]
        super().__init__(words, environment=environment, memory_limit_bytes=memory_limit_bytes)

    def do(self, request: Request, time_limit_s: float) -> Reply:
        """Has one job done; never raises for what goes wrong in the worker."""
        try:
            return decode_line(Reply, self.ask(encode_line(request), time_limit_s))
        except LineProcessError as e:
            return Reply(error=f"the conversion failed: {e}")
