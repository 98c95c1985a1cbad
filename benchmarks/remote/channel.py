"""A bundle on a target that is talked to: what every target but this machine is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pydantic import ValidationError

from pocketvae.benchmarks.execution.protocol import ArtifactFault, Latency, TargetRun
from pocketvae.benchmarks.remote.messages import Answer, Job, Question, pack, unpack
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.documents import decode_line, encode_line
from pocketvae.errors import TargetError
from pocketvae.processes.line_process import LineProcessError
from pocketvae.runtimes.base import Array, FloatArray, Kernels

_GREETING_TIME_LIMIT_S = 120.0
_JOB_TIME_LIMIT_S = 600.0


class Channel(Protocol):
    """Answers one line with one line; `LineProcess` is one."""

    def ask(self, line: str, time_limit_s: float) -> str:
        """Sends a line and returns the answer.

        Raises:
            LineProcessError: there will be none.
        """

    def close(self) -> None:
        """Ends what answers."""


class ChannelRun(TargetRun):
    """Sends every job through a channel to a program that does what `HostRun` does."""

    def __init__(self, name: str, channel: Channel) -> None:
        """Greets the program.

        Args:
            name: Of the target, for errors.
            channel: Closed with this run.

        Raises:
            TargetError: it does not answer.
        """
        self._name, self._channel = name, channel
        self._figures: dict[str, dict[str, float]] = {}
        try:
            self._facts = self.ask(Question(), _GREETING_TIME_LIMIT_S).facts
        except BaseException:
            channel.close()
            raise

    def outputs(
        self,
        artifact: ArtifactRecord,
        inputs: Mapping[str, Array],
        *,
        kernels: Kernels = Kernels.OPTIMIZED,
        num_threads: int = 1,
        batch: int = 1,
    ) -> dict[str, FloatArray]:
        """See `TargetRun.outputs`."""
        job = Job(
            artifact=artifact.name,
            location=artifact.file.path,
            format=artifact.format,
            kernels=kernels,
            threads=num_threads,
            batch=batch,
            inputs=pack(inputs),
        )
        return {name: _float(values) for name, values in unpack(self.do(job).arrays or {}).items()}

    def latency(
        self, artifact: ArtifactRecord, inputs: Mapping[str, Array], *, num_threads: int = 1, count: int = 200
    ) -> Latency:
        """See `TargetRun.latency`."""
        job = Job(
            artifact=artifact.name,
            location=artifact.file.path,
            format=artifact.format,
            threads=num_threads,
            inputs=pack({name: values[:1] for name, values in inputs.items()}),
            timed_calls=count,
        )
        return self.timed(job)

    def facts(self) -> dict[str, str]:
        """See `TargetRun.facts`."""
        return self._facts

    def figures(self, artifact: ArtifactRecord) -> dict[str, float]:
        """See `TargetRun.figures`."""
        return self._figures.get(artifact.name, {})

    def close(self) -> None:
        """See `TargetRun.close`."""
        self._channel.close()

    def do(self, job: Job) -> Answer:
        """Sends a job.

        Raises:
            ArtifactFault: the artifact is wrong.
            TargetError: the target has not got what the job needs, or is gone.
        """
        answer = self.ask(Question(job=job), _JOB_TIME_LIMIT_S)
        if answer.missing:
            raise TargetError(f"{self._name}: {answer.reason}")
        if answer.fault:
            raise ArtifactFault(answer.fault, answer.reason)
        self._figures[job.artifact] = answer.figures
        return answer

    def timed(self, job: Job) -> Latency:
        """Sends a job that is to be timed.

        Raises:
            ArtifactFault: the artifact is wrong.
            TargetError: there are no times.
        """
        latency = self.do(job).latency
        if latency is None:
            raise TargetError(f"{self._name} sent no times for {job.artifact}")
        return latency

    def ask(self, question: Question, time_limit_s: float) -> Answer:
        """Sends a question.

        Raises:
            TargetError: there is no answer, or none that can be read.
        """
        try:
            return decode_line(Answer, self._channel.ask(encode_line(question), time_limit_s))
        except LineProcessError as e:
            raise TargetError(f"{self._name}: {e}") from e
        except ValidationError as e:
            raise TargetError(f"{self._name}: its answer cannot be read: {e.errors()[0]['msg']}") from e


def _float(values: Array) -> FloatArray:
    floats: FloatArray = values.astype("float32", copy=False)
    return floats
