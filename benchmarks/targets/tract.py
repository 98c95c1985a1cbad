"""The target `tract`: an inference engine in Rust for embedded systems, on this machine's CPU."""

from __future__ import annotations

from pocketvae.benchmarks.remote.package_target import PackageTarget
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.spec import Format, Precision


class TractTarget(PackageTarget):
    """Parity and latency with a runtime without C++."""

    name = "tract"
    summary = "tract, the engine in Rust, on this CPU: ONNX files, except those of 16-bit integers"
    title = "tract"
    requirement = "tract==0.23.9"
    download_bytes = 12_000_000

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        if artifact.format is not Format.ONNX:
            return "pocketvae runs ONNX files in tract: its Python package does not read TFLite files"
        if artifact.precision is Precision.INT16X8:
            return "tract does not support QuantizeLinear with 16-bit integers"
        return ""
