"""The remote runner: Python inside a target, which runs artifacts as they run here and sends back what came out.

It needs the dependencies of the extra `run` and no more.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping

from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.benchmarks.execution.protocol import ArtifactFault, Latency
from pocketvae.benchmarks.remote.messages import Answer, Job, Question, pack, unpack
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import PocketVaeError, TargetError
from pocketvae.runtimes.base import Array, quantize
from pocketvae.runtimes.opening import open_runner
from pocketvae.system.environment import current_environment
from pocketvae.system.timing import calibrate_loops, time_values

_WARMUP_CALLS = 20


class RemoteRunner:
    """Answers questions about one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        """Keeps the bundle; files are opened when they are asked for."""
        self._bundle, self._run = bundle, HostRun(bundle)

    def answer(self, question: Question) -> Answer:
        """Does one job; an error becomes part of the answer."""
        if question.job is None:
            return Answer(facts=self.facts())
        try:
            artifact = self._bundle.manifest.artifact(question.job.artifact)
            return self.do(question.job, artifact, unpack(question.job.inputs))
        except ArtifactFault as e:
            return Answer(fault=e.check, reason=str(e))
        except TargetError as e:
            return Answer(missing=True, reason=str(e))
        except PocketVaeError as e:
            return Answer(fault="runs", reason=str(e))

    def do(self, job: Job, artifact: ArtifactRecord, inputs: Mapping[str, Array]) -> Answer:
        """Runs or times an artifact."""
        if job.timed_calls:
            return Answer(latency=self._time(job, artifact, inputs))
        outputs = self._run.outputs(artifact, inputs, kernels=job.kernels, num_threads=job.threads, batch=job.batch)
        return Answer(arrays=pack(outputs))

    def facts(self) -> dict[str, str]:
        """Returns what runs here."""
        environment = current_environment()
        machine = f"{environment.system} {environment.machine}"
        return {"machine": machine, "cpu": environment.cpu, "python": platform.python_version(), **environment.versions}

    def _time(self, job: Job, artifact: ArtifactRecord, inputs: Mapping[str, Array]) -> Latency:
        started = time.perf_counter()
        path = self._bundle.artifact_path(artifact)
        with open_runner(path, artifact.format, num_threads=job.threads, kernels=job.kernels) as runner:
            feed = {
                name: quantize(values[:1], runner.inputs[name], self._bundle.manifest.vae.image_range)
                for name, values in inputs.items()
            }
            loaded = time.perf_counter()
            runner.run(feed)
            first = time.perf_counter()
            for _ in range(_WARMUP_CALLS):
                runner.run(feed)
            loops = calibrate_loops(lambda: runner.run(feed))
            values = time_values(lambda: runner.run(feed), loops=loops, count=job.timed_calls)
        return Latency(load_s=loaded - started, first_s=first - loaded, values_s=tuple(values), loops=loops)
