"""Running a bundle on this machine, with LiteRT and onnxruntime in this process."""

from __future__ import annotations

from collections.abc import Mapping

from pocketvae.benchmarks.execution.protocol import TargetRun
from pocketvae.benchmarks.execution.running import Latency, run_file, time_loaded
from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import ArtifactFault, ParityError
from pocketvae.runtimes.base import Array, FloatArray, Optimizations
from pocketvae.runtimes.opening import open_runner


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

    def latency(
        self, artifact: ArtifactRecord, inputs: Mapping[str, Array], *, num_threads: int = 1, count: int = 200
    ) -> Latency:
        """See `TargetRun.latency`: a quick look in this process, of which `bench` makes much more."""
        path = self._bundle.artifact_path(artifact)
        try:
            return time_loaded(
                lambda: open_runner(path, artifact.format, num_threads=num_threads),
                inputs,
                self._bundle.manifest.vae.data_range,
                count,
            )
        except ParityError as e:
            raise ArtifactFault("loads", str(e)) from e

    def close(self) -> None:
        """See `TargetRun.close`: nothing was copied or started."""
