"""Depth-to-space of integers gives, bit for bit, what that of floats does."""

import numpy as np
import pytest

from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.tflite_shuffles import with_shuffles_of_integers
from pocketvae.formats.tflite.model import dtype_name, operator_name, view_model
from pocketvae.spec import Format, TensorSpec

pytestmark = pytest.mark.slow

Z = {"z": np.random.default_rng(1).normal(size=(64, 5)).astype(np.float32)}


def quantized(channels=16, block=4, *, parts=2, per_channel=False, is_read_twice=False):
    """Returns a decoder in 8 bits that ends in sums of parts in float, a sigmoid and depth-to-space."""
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph, function_of
    from pocketvae.export.quantize import tflite
    from pocketvae.export.tuning.names import FLOAT_SCOPE

    rng = np.random.default_rng(0)
    dense = rng.normal(size=(5, 64)).astype("f4")
    kernel = rng.normal(0, 0.3, (3, 3, 4, channels * parts)).astype("f4")
    shift = rng.normal(size=channels if per_channel else ()).astype("f4")

    def decode(z):
        image = tf.reshape(tf.nn.relu(z @ dense), (1, 4, 4, 4))
        both = tf.nn.relu6(tf.nn.conv2d(image, kernel, 1, "SAME") + 0.5)
        with tf.name_scope(FLOAT_SCOPE):
            total = tf.multiply(tf.add(*tf.split(both, 2, axis=-1)) if parts == 2 else both, np.float32(1.5))
            total = tf.subtract(total, shift)
        pixels = tf.nn.depth_to_space(tf.sigmoid(total), block)
        return {"image": pixels + tf.reduce_mean(total) if is_read_twice else pixels}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 5)),)
    graph = Graph(function=function_of(decode, inputs), model=tf.Module(), inputs=inputs, fused_shuffles=0)
    return tflite.quantize(tflite.calibrate(graph, Z), QuantizationPlan())


def shuffles(content):
    model = view_model(content)
    return model, [item for item in model.subgraphs[0].operators if operator_name(model, item) == "DEPTH_TO_SPACE"]


def shuffled_types(content):
    model, found = shuffles(content)
    return [dtype_name(model.subgraphs[0].tensors[item.outputs[0]]) for item in found]


@pytest.mark.parametrize("parts", [1, 2])
def test_integers_are_moved_in_place_of_floats(parts):
    content = quantized(parts=parts)
    assert shuffled_types(content) == ["float32"]
    changed = with_shuffles_of_integers(content)
    assert shuffled_types(changed) == ["int8"] * parts
    image, expected = (run_content(Format.TFLITE, item, Z)["image"] for item in (changed, content))
    assert np.ptp(expected) > 0.1
    np.testing.assert_array_equal(image, expected)
    assert with_shuffles_of_integers(changed) == changed


def test_the_file_asks_for_the_runtime_that_moves_integers():
    model, found = shuffles(with_shuffles_of_integers(quantized()))
    assert {model.operatorCodes[item.opcodeIndex].version for item in found} == {2}


@pytest.mark.parametrize(
    "options",
    [{"channels": 12, "block": 2}, {"per_channel": True}, {"is_read_twice": True}],
    ids=["6 bytes", "a constant for each channel", "values that others read"],
)
def test_other_shuffles_stay(options):
    content = quantized(**options)
    assert shuffled_types(content) == ["float32"]
    assert with_shuffles_of_integers(content) == content
