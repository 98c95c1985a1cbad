"""What tuning adds in float takes fewer operators and computes the same."""

from collections import Counter

import numpy as np
import pytest

from pocketvae.export.quantize.corrections import Sums
from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.tflite_parts import with_fewer_floats
from pocketvae.export.tuning.names import Tuning
from pocketvae.formats.tflite.model import operator_name, view_model
from pocketvae.spec import Component, Format, TensorSpec

pytestmark = pytest.mark.slow

Z = {"z": np.random.default_rng(1).normal(size=(96, 5)).astype(np.float32)}
EVERYTHING = Tuning(exponent=0.5, latent_parts=True, output_parts=2, sum_parts=2)


def decoder(head):
    """Returns a decoder that ends in a residual sum, a convolution, depth-to-space and a head."""
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph, function_of

    rng = np.random.default_rng(0)
    dense = rng.normal(size=(5, 64)).astype("f4")
    first, second = (rng.normal(0, 0.2, (3, 3, 4, 4)).astype("f4") for _ in range(2))
    gain = 1 if head == "clip" else 4
    last = gain * rng.normal(0.02, 0.05, (3, 3, 4, 4)).astype("f4")
    bias = gain * np.array([0.1, -0.1, 0.2, 0.0], "f4")

    def decode(z):
        start = tf.reshape(tf.nn.bias_add(z @ dense, np.full(64, 0.2, "f4")), (1, 4, 4, 4))
        inner = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(tf.nn.relu(start), first, 1, "SAME"), np.ones(4, "f4")))
        inner = tf.nn.bias_add(tf.nn.conv2d(inner, second, 1, "SAME"), np.full(4, -0.1, "f4"))
        pixels = tf.nn.conv2d(tf.nn.relu(start + inner), last, 1, "SAME")
        pixels = tf.nn.depth_to_space(tf.nn.bias_add(pixels, bias), 2)
        return {"image": tf.clip_by_value(pixels, 0.0, 1.0) if head == "clip" else tf.sigmoid(pixels)}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 5)),)
    return Graph(function=function_of(decode, inputs), model=tf.Module(), inputs=inputs, fused_shuffles=0)


def quantized(graph):
    """Returns the calibrated model and the quantized file with its mean errors corrected."""
    from pocketvae.export.quantize import tflite

    calibrated = tflite.calibrate(graph, Z)
    content = tflite.quantize(calibrated, QuantizationPlan())
    return calibrated, Sums(Format.TFLITE, calibrated, Z).correct(content)


@pytest.fixture(scope="module", params=["clip", "sigmoid"])
def files(request):
    """A tuned float model, its file, and the same with fewer operators."""
    from pocketvae.export.tuning.tune import tune

    calibrated, content = quantized(tune(decoder(request.param), Component.DECODER, EVERYTHING, Z).graph)
    return calibrated, content, with_fewer_floats(content)


def operators(content):
    model = view_model(content)
    return Counter(operator_name(model, item) for item in model.subgraphs[0].operators)


def images(content):
    return run_content(Format.TFLITE, content, Z)["image"]


def test_factors_constants_and_rounding_are_gone(files):
    _, content, fewer = files
    before, after = operators(content), operators(fewer)
    assert before["FLOOR"] == 2
    assert after["FLOOR"] == 0
    # What is left is the factor and the difference of the fine part of the latent and of the sum.
    assert (after["MUL"], after["SUB"]) == (2, 2)
    assert sum(after.values()) < 0.85 * sum(before.values())


def test_the_image_is_the_same_but_for_rounding(files):
    calibrated, content, fewer = files
    # What goes into biases is less than a step: values are rounded anew, with errors of the same size.
    difference, error = np.abs(images(content) - images(fewer)), np.abs(images(content) - images(calibrated))
    assert difference.mean() < 1.5 * error.mean()
    assert difference.max() < 1.5 * error.max()


def test_errors_do_not_grow(files):
    calibrated, content, fewer = files
    expected = images(calibrated)
    before, after = (images(item) - expected for item in (content, fewer))
    assert np.std(after) < 1.1 * np.std(before)
    assert np.abs(after.mean()) < np.abs(before.mean()) + 2e-4


def test_an_image_stays_within_its_range_and_reaches_its_ends(files):
    calibrated, _, fewer = files
    found = images(fewer)
    assert found.min() >= 0
    assert found.max() <= 1
    if images(calibrated).max() == 1:
        assert found.max() == 1


def test_a_second_time_nothing_is_left_to_do(files):
    assert with_fewer_floats(files[2]) == files[2]


def test_a_network_without_parts_stays_as_it_is():
    _, content = quantized(decoder("sigmoid"))
    assert with_fewer_floats(content) == content


def test_a_sum_whose_constant_is_computed_stays():
    from pocketvae.export.tuning.tune import tune
    from pocketvae.formats.tflite.model import read_model, write_model

    _, content = quantized(tune(decoder("sigmoid"), Component.DECODER, Tuning(output_parts=2), Z).graph)
    model = read_model(content)
    graph = model.subgraphs[0]
    factor = next(item for item in graph.operators if operator_name(model, item) == "MUL")
    # Squares in the place of a factor.
    factor.inputs = [factor.inputs[0], factor.inputs[0]]
    other = write_model(model)
    assert with_fewer_floats(other) == other
