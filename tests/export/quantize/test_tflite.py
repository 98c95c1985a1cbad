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


@pytest.mark.parametrize("move", ["reshape", "concat", "squeeze"])
@pytest.mark.parametrize("others", [False, True], ids=["all in float", "it alone in float"])
def test_a_transposed_convolution_in_float_stays_so_where_its_result_is_moved_on(move, others):
    """What moves values has the scale of its result, which the quantizer gives back to the convolution."""
    import tensorflow as tf

    from pocketvae.export.convert.tflite import convert_float32
    from pocketvae.export.quantize import tflite as tflite_quantize
    from pocketvae.export.quantize.search import QuantizationPlan

    rng = np.random.default_rng(0)
    dense, kernel = rng.normal(size=(4, 48)).astype("f4"), rng.normal(size=(3, 3, 4, 3)).astype("f4")
    last = rng.normal(size=(1, 1, 4, 2)).astype("f4")
    flat = rng.normal(size=(1, 3, 4, 3)).astype("f4")

    def decode(z):
        small = tf.reshape(tf.tanh(z @ dense), (1, 4, 4, 3))
        large = tf.nn.conv2d_transpose(small, kernel, (1, 8, 8, 4), 2)
        if move == "reshape":  # as a normalization of groups
            groups = tf.reshape(large, (1, 8, 8, 2, 2))
            large = tf.reshape(groups - tf.reduce_mean(groups, (1, 2, 4), keepdims=True), (1, 8, 8, 4))
        elif move == "concat":
            large = tf.concat([large, large * 0.5], 1)
        else:  # in one dimension
            row = tf.nn.conv2d_transpose(tf.reshape(small, (1, 1, 16, 3)), flat, (1, 1, 32, 4), (1, 2))
            large = tf.reshape(tf.nn.relu(tf.squeeze(row, 1)), (1, 8, 4, 4))
        return tf.sigmoid(tf.nn.conv2d(large, last, 1, "SAME"))

    graph = graph_of(decode)
    calibrated = tflite_quantize.calibrate(graph, {"z": Z})
    layers = tuple(tflite_quantize.find_layers(calibrated))
    kept = tuple(name for name in layers if "conv2d_transpose" in name) if others else layers
    assert kept
    content = tflite_quantize.quantize(calibrated, QuantizationPlan(float_layers=kept))
    weights = {layer.operator: layer.weights for layer in read_layers(Format.TFLITE, content)}
    assert weights["TRANSPOSE_CONV"] == "float32"
    assert weights["FULLY_CONNECTED"] == ("int8" if others else "float32")
    error = np.abs(run(content) - run(convert_float32(graph)))
    assert error.mean() < 0.01 if others else error.max() < 1e-6


@pytest.mark.parametrize("others", [False, True], ids=["all in float", "the first alone in integers"])
def test_an_input_that_is_moved_first_is_rounded_for_integers_alone(others):
    """A flat latent that becomes an image goes into a float layer as it is."""
    import tensorflow as tf

    from pocketvae.export.convert.tflite import convert_float32
    from pocketvae.export.quantize import tflite as tflite_quantize
    from pocketvae.export.quantize.search import QuantizationPlan

    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(1, 1, 1, 3)).astype("f4"), rng.normal(size=(1, 1, 3, 2)).astype("f4")

    def decode(z):
        small = tf.nn.relu(tf.nn.conv2d(tf.transpose(tf.reshape(z, (1, 2, 2, 1)), (0, 2, 1, 3)), first, 1, "SAME"))
        return tf.sigmoid(tf.nn.conv2d(small, last, 1, "SAME"))

    graph = graph_of(decode)
    calibrated = tflite_quantize.calibrate(graph, {"z": Z})
    layers = tuple(tflite_quantize.find_layers(calibrated))
    content = tflite_quantize.quantize(calibrated, QuantizationPlan(float_layers=layers[1:] if others else layers))
    error = np.abs(run(content) - run(convert_float32(graph))).max()
    assert error > 1e-4 if others else error < 1e-6


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
