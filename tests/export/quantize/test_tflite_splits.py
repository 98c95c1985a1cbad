"""Layers whose channels are split become one layer for each part, bit for bit the same."""

import numpy as np
import pytest

from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.tflite_four_bits import packed
from pocketvae.export.quantize.tflite_splits import parts_of_layers, with_layers_for_parts
from pocketvae.formats.tflite.model import operator_name, view_model
from pocketvae.runtimes.taps import tap
from pocketvae.spec import Format, TensorSpec

pytestmark = pytest.mark.slow

Z = {"z": np.random.default_rng(1).normal(size=(64, 5)).astype(np.float32)}


def quantized(channels, *, parts=2, axis=-1, has_other_reader=False):
    """Returns a decoder in 8 bits whose last convolution is split."""
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph, function_of
    from pocketvae.export.quantize import tflite

    rng = np.random.default_rng(0)
    dense = rng.normal(size=(5, 64)).astype("f4")
    kernel = rng.normal(0, 0.3, (3, 3, 4, channels)).astype("f4")
    bias = rng.normal(size=channels).astype("f4")

    def decode(z):
        image = tf.reshape(tf.nn.relu(z @ dense), (1, 4, 4, 4))
        both = tf.nn.relu6(tf.nn.bias_add(tf.nn.conv2d(image, kernel, 1, "SAME"), bias))
        total = tf.add_n([(1 + index) * part for index, part in enumerate(tf.split(both, parts, axis=axis))])
        return {"image": tf.sigmoid(total + tf.reduce_mean(both) if has_other_reader else total)}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 5)),)
    graph = Graph(function=function_of(decode, inputs), model=tf.Module(), inputs=inputs, fused_shuffles=0)
    return tflite.quantize(tflite.calibrate(graph, Z), QuantizationPlan())


def kinds(content):
    model = view_model(content)
    return [operator_name(model, item) for item in model.subgraphs[0].operators]


def constant_bytes(content):
    return sum(len(buffer.data) for buffer in view_model(content).buffers if buffer.data is not None)


@pytest.mark.parametrize("parts", [2, 3])
def test_a_split_layer_is_one_for_each_part(parts):
    content = quantized(16 * parts, parts=parts)
    assert kinds(content).count("SPLIT") == 1
    changed = with_layers_for_parts(content)
    assert "SPLIT" not in kinds(changed)
    assert kinds(changed).count("CONV_2D") == kinds(content).count("CONV_2D") + parts - 1
    image, expected = (run_content(Format.TFLITE, item, Z)["image"] for item in (changed, content))
    assert np.ptp(expected) > 0.1
    np.testing.assert_array_equal(image, expected)
    assert constant_bytes(changed) <= constant_bytes(content)


def test_the_parts_of_a_layer_hold_its_integers_and_are_known_by_its_name():
    content = quantized(48, parts=3)
    changed = with_layers_for_parts(content)
    ((whole, parts),) = parts_of_layers(changed).items()
    found = tap(Format.TFLITE, changed, Z, parts)
    together = np.concatenate([found[name].rows() for name in parts], axis=-1)
    np.testing.assert_array_equal(together, tap(Format.TFLITE, content, Z, [whole])[whole].rows())
    assert parts_of_layers(content) == {}


@pytest.mark.parametrize("inputs", [4, 5])
def test_weights_of_4_bits_are_split_also_where_a_row_ends_within_a_byte(tflite_models, inputs):
    rng = np.random.default_rng(0)
    weights = rng.integers(-7, 8, (32, inputs)).astype(np.int8)
    content = tflite_models.split_dense(packed(weights), weights.shape, 2)
    changed = with_layers_for_parts(content)
    assert kinds(changed) == ["FULLY_CONNECTED", "FULLY_CONNECTED", "ADD"]
    given = {"z": rng.integers(-9, 10, (8, inputs)).astype(np.float32)}
    image, expected = (run_content(Format.TFLITE, item, given)["image"] for item in (changed, content))
    assert np.ptp(expected) > 10
    np.testing.assert_array_equal(image, expected)


def test_a_second_time_nothing_is_left_to_do():
    changed = with_layers_for_parts(quantized(32))
    assert with_layers_for_parts(changed) == changed


@pytest.mark.parametrize(
    ("channels", "options"),
    [(24, {}), (32, {"axis": 1}), (32, {"has_other_reader": True})],
    ids=["half a vector", "rows", "read by others"],
)
def test_other_splits_stay(channels, options):
    content = quantized(channels, **options)
    assert "SPLIT" in kinds(content)
    assert with_layers_for_parts(content) == content
