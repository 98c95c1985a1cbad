"""What the file holds is what the plan says, where the quantizer by itself would do something else."""

import numpy as np
import pytest

from pocketvae.formats.layers import read_layers
from pocketvae.formats.tflite.model import operator_name, read_model
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format, TensorSpec

pytestmark = pytest.mark.slow

Z = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)


def graph_of(decode):
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 4)),)
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in inputs]
    function = tf.function(lambda z: {"image": decode(z)}, input_signature=signature, autograph=False)
    return Graph(function=function, model=tf.Module(), inputs=inputs, fused_shuffles=0)


def run(content):
    with open_runner(content, Format.TFLITE) as runner:
        return runner.run_samples({"z": Z})["image"]


def test_a_transposed_convolution_that_is_kept_in_float_has_float_weights():
    import tensorflow as tf

    from pocketvae.export.convert.tflite import convert_float32
    from pocketvae.export.quantize import tflite as tflite_quantize
    from pocketvae.export.quantize.search import QuantizationPlan

    rng = np.random.default_rng(0)
    dense, kernel = rng.normal(size=(4, 48)).astype("f4"), rng.normal(size=(3, 3, 2, 3)).astype("f4")

    def decode(z):
        small = tf.reshape(tf.tanh(z @ dense), (1, 4, 4, 3))
        return tf.sigmoid(tf.nn.conv2d_transpose(small, kernel, (1, 8, 8, 2), 2))

    graph = graph_of(decode)
    calibrated = tflite_quantize.calibrate(graph, {"z": Z})
    layers = tuple(tflite_quantize.find_layers(calibrated))
    content = tflite_quantize.quantize(calibrated, QuantizationPlan(float_layers=layers))
    assert {layer.operator: layer.weights for layer in read_layers(Format.TFLITE, content)} == {
        "FULLY_CONNECTED": "float32",
        "TRANSPOSE_CONV": "float32",
    }
    np.testing.assert_allclose(run(content), run(convert_float32(graph)), atol=1e-6)


def test_heads_of_parts_of_an_image_are_not_rounded_to_integers():
    import tensorflow as tf

    from pocketvae.export.quantize import tflite as tflite_quantize
    from pocketvae.export.quantize.search import QuantizationPlan

    weights = np.random.default_rng(0).normal(size=(2, 4, 12)).astype("f4")

    def decode(z):
        parts = [tf.reshape(tf.sigmoid(z @ weight), (1, 2, 2, 3)) for weight in weights]
        return tf.concat(parts, axis=1)

    calibrated = tflite_quantize.calibrate(graph_of(decode), {"z": Z})
    content = tflite_quantize.quantize(calibrated, QuantizationPlan())
    model = read_model(content)
    names = [operator_name(model, operator) for operator in model.subgraphs[0].operators]
    assert "QUANTIZE" not in names[names.index("LOGISTIC") :]
    assert len(np.unique(run(content))) > 256
