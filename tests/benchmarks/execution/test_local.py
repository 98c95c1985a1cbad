import pytest

from pocketvae.benchmarks.execution.local import HostRun
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import ArtifactFault


def test_a_file_is_timed_in_this_process(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifacts[0]
    inputs = bundle.goldens(artifact.component).inputs
    latency = HostRun(bundle).latency(artifact, inputs, count=3)
    assert len(latency.values_s) == 3
    assert min(latency.values_s) > 0
    bundle.artifact_path(artifact).write_bytes(b"no model")
    with pytest.raises(ArtifactFault, match="is not an ONNX file"):
        HostRun(bundle).latency(artifact, inputs, count=3)
