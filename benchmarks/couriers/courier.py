"""The remote runner: Python inside a target, which runs artifacts as they run here and sends back what came out.

Run as `python -m pocketvae.benchmarks.couriers.courier BUNDLE [--runtime NAME]`; questions come on stdin, answers go to
stdout. It needs the dependencies of the extra `run` and no more.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from pocketvae.benchmarks.couriers.messages import Answer, Job, Latency, Question, pack, unpack
from pocketvae.benchmarks.environment import current_environment
from pocketvae.benchmarks.latency.timing import calibrate_loops, time_values
from pocketvae.benchmarks.targets.host import HostRun
from pocketvae.benchmarks.targets.protocol import ArtifactFault
from pocketvae.bundle import Bundle
from pocketvae.documents import decode, decode_line, encode_line
from pocketvae.errors import PocketVaeError, TargetError
from pocketvae.line_process import serve_lines
from pocketvae.manifest import MANIFEST_NAME, ArtifactRecord, Manifest
from pocketvae.runners import Array, open_runner, quantize

_WARMUP_CALLS = 20


class Courier:
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


def read_bundle(folder: Path) -> Bundle:
    """Reads a manifest without its goldens: whoever sent the bundle has checked it."""
    path = folder / MANIFEST_NAME
    return Bundle(path=folder, manifest=decode(Manifest, path.read_bytes(), MANIFEST_NAME))


def main(words: list[str]) -> int:
    """Serves on the process's own pipes."""
    bundle = read_bundle(Path(words[0]))
    courier = Courier(bundle)
    if words[1:] == ["--runtime", "tflm"]:
        from pocketvae.benchmarks.couriers.micro import MicroCourier

        courier = MicroCourier(bundle)
    serve_lines(lambda line: encode_line(courier.answer(decode_line(Question, line))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
