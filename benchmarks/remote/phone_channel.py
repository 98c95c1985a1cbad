"""A channel to the runner on a phone: a request is a file that goes there, and its response a file that comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from pocketvae.benchmarks.remote.debug_bridge import Device, quoted
from pocketvae.errors import ChannelError, TimeLimitError
from pocketvae.processes.envelope import Request, Response, decode, encode
from pocketvae.processes.rpc import unreadable
from pocketvae.system.files import write_bytes

_REQUEST, _RESPONSE, _PROCESS = "request.bin", "response.bin", "runner.pid"
_KILL_TIME_LIMIT_S = 20.0
_SIGNALS = {134: "an abort", 135: "a bus error", 136: "a division error", 137: "a kill: memory ran out", 139: "a crash"}


class PhoneChannel:
    """Starts the runner anew for every request, so that one that crashes costs one artifact."""

    def __init__(self, device: Device, folder: str, local: Path, cores: Callable[[int], tuple[int, ...]]) -> None:
        """Keeps what is needed.

        Args:
            device: The phone.
            folder: There, with the runner, its libraries and the artifacts.
            local: A folder here for the files on their way.
            cores: Processors to run on, for a number of threads.
        """
        self._device, self._folder, self._local, self._cores = device, folder, local, cores

    def ask(self, request: Request, time_limit_s: float) -> Response:
        """See `Channel.ask`.

        Raises:
            ChannelError: the phone is gone, is full, or its runner crashed or took too long.
        """
        sent, received = self._local / _REQUEST, self._local / _RESPONSE
        write_bytes(sent, encode(request))
        received.unlink(missing_ok=True)
        self._device.push([sent], self._folder)
        self._run(request, time_limit_s)
        self._device.pull(f"{self._folder}/{_RESPONSE}", received)
        try:
            response = decode(Response, received.read_bytes())
        except (ValueError, EOFError) as e:
            raise unreadable(ValueError(str(e))) from e
        if response.id != request.id:
            raise unreadable(ValueError(f"it belongs to request {response.id}"))
        return response

    def close(self) -> None:
        """See `Channel.close`; whoever made the folder there removes it."""

    def _run(self, request: Request, time_limit_s: float) -> None:
        threads = request.params.get("threads", 1) if isinstance(request.params, dict) else 1
        cores = ",".join(map(str, self._cores(threads)))
        script = (
            f"cd {quoted(self._folder)} && rm -f {_RESPONSE} && echo $$ > {_PROCESS} && "
            f"LD_LIBRARY_PATH=. ADSP_LIBRARY_PATH=. TMPDIR=. exec ./runner {_REQUEST} {_RESPONSE} {quoted(cores)}"
        )
        try:
            self._device.shell(f"sh -c {quoted(script)}", time_limit_s=time_limit_s)
        except TimeLimitError:
            with contextlib.suppress(ChannelError):
                kill = f"kill -9 $(cat {quoted(self._folder)}/{_PROCESS})"
                self._device.shell(kill, time_limit_s=_KILL_TIME_LIMIT_S)
            raise
        except ChannelError as e:
            if e.code in _SIGNALS:
                raise ChannelError(f"its process was ended by {_SIGNALS[e.code]}", -(e.code - 128)) from e
            raise
