"""A bundle on this machine, with LiteRT and onnxruntime in this process."""

from __future__ import annotations

from collections.abc import Mapping

from pocketvae.benchmarks.execution.protocol import TargetRun, interface_problem
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ArtifactFault, ParityError
from pocketvae.runtimes.base import Array, FloatArray, Kernels, Runner, run_samples
from pocketvae.runtimes.opening import open_runner


class HostRun(TargetRun):
    """Opens an artifact at every call, so that no state of one run can reach the next."""

    def __init__(self, bundle: Bundle) -> None:
        """Keeps where the bundle lies."""
        self._bundle = bundle

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
        with self._load(artifact, kernels, num_threads, batch) as runner:
            problem = interface_problem(artifact, runner.inputs, runner.outputs, batch)
            if problem:
                raise ArtifactFault("interface", problem)
            try:
                return run_samples(runner, inputs, self._bundle.manifest.vae.image_range)
            except Exception as e:  # a runtime may raise anything; the other artifacts still run
                raise ArtifactFault("runs", f"{type(e).__name__}: {str(e)[:200]}") from e

    def close(self) -> None:
        """See `TargetRun.close`: nothing was copied or started."""

    def _load(self, artifact: ArtifactRecord, kernels: Kernels, num_threads: int, batch: int) -> Runner:
        path = self._bundle.artifact_path(artifact)
        try:
            return open_runner(path, artifact.format, num_threads=num_threads, kernels=kernels, batch=batch)
        except ParityError as e:
            raise ArtifactFault("loads", str(e)) from e
