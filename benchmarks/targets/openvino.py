"""The target `openvino`: Intel's OpenVINO on this machine's CPU, which reads both formats as they are."""

from __future__ import annotations

from pocketvae.benchmarks.remote.package_target import PackageTarget
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.spec import Component, Format


class OpenvinoTarget(PackageTarget):
    """Parity and latency with another runtime of CPUs."""

    name = "openvino"
    summary = "Intel's OpenVINO on this CPU: TFLite and ONNX files, except generators in TFLite"
    title = "OpenVINO"
    requirement = "openvino==2026.4.1"
    download_bytes = 60_000_000

    def declines(self, artifact: ArtifactRecord) -> str:
        """See `Target.declines`."""
        is_noise = artifact.component in (Component.SAMPLER, Component.GENERATOR)
        if artifact.format is Format.TFLITE and is_noise:
            return "OpenVINO does not read exclusive or in TFLite files: use the ONNX file"
        return ""

    def batches(self, artifact: ArtifactRecord) -> tuple[int, ...]:
        """See `Target.batches`: of a TFLite file the first signature is all that OpenVINO reads."""
        return artifact.batches[:1] if artifact.format is Format.TFLITE else artifact.batches
