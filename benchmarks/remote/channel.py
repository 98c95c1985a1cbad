"""A bundle on a target behind a channel: the base of every target other than this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.running import Latency
from pocketvae.benchmarks.execution.target import refused_here
from pocketvae.benchmarks.remote.messages import Job, Method, Ran, Timed, TimedJob
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import (
    ArtifactFault,
    ChannelError,
    InternalError,
    NoSpaceError,
    PocketVaeError,
    SpecError,
    TargetError,
)
from pocketvae.processes.deadline import within
from pocketvae.processes.line_process import LineProcess
from pocketvae.processes.rpc import Channel, Client
from pocketvae.runtimes.base import Array, FloatArray, Optimizations

_GREETING_TIME_LIMIT_S = 120.0
_JOB_TIME_LIMIT_S = 600.0

_Result = TypeVar("_Result")


class ChannelRun(TargetRun):
    """Sends every job through a channel to a program that does what `HostRun` does."""

    def __init__(self, name: str, channel: Channel, bundle: Bundle) -> None:
        """Greets the program.

        Args:
            name: Of the target, for errors.
            channel: Closed with this run.
            bundle: The program has its files, or is told where they are.

        Raises:
            TargetError: it does not answer.
        """
        self._name, self._client, self._bundle = name, Client(channel), bundle
        self._figures: dict[str, dict[str, float]] = {}
        try:
            self._facts = self._call(Method.FACTS, None, {}, dict[str, str], _GREETING_TIME_LIMIT_S)[0]
        except BaseException:
            channel.close()
            raise

    def run(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        *,
        optimizations: Optimizations = Optimizations.ON,
        num_threads: int = 1,
        batch: int = 1,
    ) -> dict[str, FloatArray]:
        """See `TargetRun.run`."""
        job = replace(self.job(artifact, num_threads), optimizations=optimizations, batch=batch)
        ran, outputs = self._call(Method.RUN, job, self.feed(artifact, inputs), Ran, _JOB_TIME_LIMIT_S)
        self._figures[artifact.name] = ran.figures
        return self.received(artifact, ran, outputs, inputs, batch)

    def latency(
        self, artifact: ArtifactRecord, inputs: Mapping[str, Array], *, num_threads: int = 1, count: int = 200
    ) -> Latency:
        """See `TargetRun.latency`."""
        job = TimedJob(**vars(self.job(artifact, num_threads)), timed_calls=count)
        first = {name: values[:1] for name, values in inputs.items()}
        timed, _ = self._call(Method.TIME, job, self.feed(artifact, first), Timed, _JOB_TIME_LIMIT_S)
        self._figures[artifact.name] = timed.figures
        return timed.latency

    def facts(self) -> dict[str, str]:
        """See `TargetRun.facts`."""
        return self._facts

    def figures(self, artifact: ArtifactRecord) -> dict[str, float]:
        """See `TargetRun.figures`."""
        return self._figures.get(artifact.name, {})

    def close(self) -> None:
        """See `TargetRun.close`."""
        self._client.channel.close()

    def job(self, artifact: ArtifactRecord, num_threads: int) -> Job:
        """Returns what is sent beside the inputs: here, a file of the bundle that the program holds too."""
        return Job(
            artifact=artifact.name,
            location=artifact.file.path,
            format=artifact.format,
            precision=artifact.precision,
            inputs=artifact.inputs,
            outputs=artifact.outputs,
            image_range=self._bundle.manifest.vae.data_range,
            threads=num_threads,
        )

    def feed(self, artifact: ArtifactRecord, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Returns the inputs as they are sent: here, real numbers, which the program quantizes."""
        return inputs

    def received(
        self,
        artifact: ArtifactRecord,
        ran: Ran,
        outputs: Mapping[str, Array],
        inputs: Mapping[str, Array],
        batch: int,
    ) -> dict[str, FloatArray]:
        """Returns the outputs that were sent as `[N, ...] float32`.

        Raises:
            ArtifactFault: they are not those of the artifact.
        """
        return {name: values.astype("float32", copy=False) for name, values in outputs.items()}

    def _call(
        self, method: Method, job: Job | None, arrays: Mapping[str, Array], result: type[_Result], time_limit_s: float
    ) -> tuple[_Result, dict[str, Array]]:
        """Calls a method of the program.

        Raises:
            ArtifactFault: the artifact is wrong.
            TargetError: the target does not have what the job needs, is gone, or sent what cannot be read; or this
                machine's system refuses something, such as a full disk.
        """
        try:
            return self._client.call_with_arrays(method, job, arrays, result, within(time_limit_s))
        except ArtifactFault:
            raise
        except (ChannelError, InternalError, NoSpaceError, SpecError, TargetError) as e:
            raise TargetError(f"{self._name}: {e}") from e
        except OSError as e:
            raise refused_here(self._name, e) from e
        except PocketVaeError as e:
            raise ArtifactFault("runs", str(e)) from e


def start_here(bundle: Bundle, runtime: str, environment: Mapping[str, str]) -> LineProcess:
    """Returns the process of this Python that runs a bundle's files in a runtime that `serve` knows.

    Args:
        bundle: Whose files.
        runtime: A name.
        environment: Variables to add, such as where the runtime's packages lie.
    """
    command = [sys.executable, "-m", "pocketvae.benchmarks.remote.serve", str(bundle.path.absolute())]
    # -m puts the current folder first, and a file of the user's must not stand in for a module.
    return LineProcess([*command, "--runtime", runtime], environment={"PYTHONSAFEPATH": "1", **environment})
