"""What files of floats are held to where they are computed in half precision."""

import numpy as np
import pytest

from pocketvae.benchmarks.execution.half_precision import judged_in_half_precision
from pocketvae.bundle.bundle import open_bundle

ROUNDING = 2.0**-11


@pytest.mark.slow
def test_limits_of_floats_count_a_rounding_for_each_layer(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    half = bundle.manifest.artifact("decoder.float16.onnx")
    whole = bundle.manifest.artifact("decoder.float32.onnx")
    largest = float(np.abs(bundle.goldens(whole.component).outputs["image"]).max())
    (limit,) = [item.limit for item in half.tolerances if item.metric == "max_abs"]
    (found,) = [item.limit for item in judged_in_half_precision(bundle, whole).tolerances if item.metric == "max_abs"]
    assert found == pytest.approx(limit + len(whole.layers) * ROUNDING * largest)
    integers = bundle.manifest.artifact("decoder.int8.onnx")
    assert judged_in_half_precision(bundle, integers) is integers


def test_without_a_file_of_half_precision_its_weights_count_too(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    artifact = bundle.manifest.artifact("decoder.float32.onnx")
    largest = float(np.abs(bundle.goldens(artifact.component).outputs["image"]).max())
    own = {item.metric: item.limit for item in artifact.tolerances}
    found = {item.metric: item.limit for item in judged_in_half_precision(bundle, artifact).tolerances}
    assert found["max_abs"] == pytest.approx(own["max_abs"] + 2 * max(1, len(artifact.layers)) * ROUNDING * largest)
