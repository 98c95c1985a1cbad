"""Running a bundle on this machine, with LiteRT and onnxruntime in this process."""

from __future__ import annotations

from collections.abc import Mapping

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.running import run_file
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.runtimes.base import Array, FloatArray, Optimizations


class HostRun(TargetRun):
    """Opens an artifact in every call, so that no state of one run can affect the next."""

    def __init__(self, bundle: Bundle) -> None:
        """Stores the path of the bundle."""
        self._bundle = bundle

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
        return run_file(
            self._bundle.artifact_path(artifact),
            artifact,
            inputs,
            self._bundle.manifest.vae.data_range,
            optimizations=optimizations,
            num_threads=num_threads,
            batch=batch,
        )

    def close(self) -> None:
        """See `TargetRun.close`: nothing was copied or started."""
