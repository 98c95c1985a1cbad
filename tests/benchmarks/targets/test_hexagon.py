"""The target `hexagon`: files of floats are held to the limits of half precision on every generation."""

import pytest

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.benchmarks.targets import make_target
from pocketvae.bundle.bundle import open_bundle


@pytest.mark.parametrize("name", ["hexagon", "hexagon:v68"])
def test_floats_are_held_to_half_precision(name, tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifact("decoder.float32.onnx")
    assert make_target(name).judged(bundle, artifact) == judged_in_half_precision(bundle, artifact) != artifact
