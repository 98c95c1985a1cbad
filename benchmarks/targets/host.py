"""This machine, with LiteRT and onnxruntime in this process."""

from __future__ import annotations

from collections.abc import Mapping

from pocketvae.benchmarks.targets.protocol import (
    ArtifactFault,
    Target,
    TargetRun,
    interface_problem,
    refuse_option,
)
from pocketvae.bundle import Bundle
from pocketvae.errors import ParityError
from pocketvae.manifest import ArtifactRecord
from pocketvae.runners import Array, FloatArray, Kernels, Runner, open_runner, run_samples


class HostTarget(Target):
    """This machine; always there. A runtime that is missing is told artifact by artifact."""

    name = "host"
    summary = "this machine, with LiteRT and onnxruntime"

    def __init__(self, option: str = "") -> None:
        """See `make_target`.

        Raises:
            SpecError: there is nothing to choose.
        """
        refuse_option(self.name, option)

    def unavailable(self) -> str | None:
        """See `Target.unavailable`."""
        return None

    def open(self, bundle: Bundle) -> TargetRun:
        """See `Target.open`."""
        return HostRun(bundle)


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
