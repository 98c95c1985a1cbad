"""Mean errors of sums of parts are taken off, in files of both formats."""

import numpy as np
import pytest

from pocketvae.export.quantize.corrections import Sums
from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.tuning.names import FLOAT_SCOPE, Head, Tuning, head_of_sum
from pocketvae.spec import Component, Format, TensorSpec

pytestmark = pytest.mark.slow

Z = {"z": np.random.default_rng(1).normal(size=(96, 5)).astype(np.float32)}


@pytest.fixture(scope="module")
def tuned():
    """A decoder whose pixels are clipped, with the last layer in parts."""
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph, function_of
    from pocketvae.export.tuning.tune import tune

    rng = np.random.default_rng(0)
    dense = rng.normal(size=(5, 48)).astype("f4")
    last = rng.normal(0.05, 0.03, (3, 3, 3, 4)).astype("f4")

    def decode(z):
        hidden = tf.reshape(tf.nn.relu(z @ dense), (1, 4, 4, 3))
        pixels = tf.nn.bias_add(tf.nn.conv2d(hidden, last, 1, "SAME"), [0.1, -0.1, 0.2, 0.0])
        return {"image": tf.clip_by_value(tf.nn.depth_to_space(pixels, 2), 0.0, 1.0)}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 5)),)
    graph = Graph(function=function_of(decode, inputs), model=tf.Module(), inputs=inputs, fused_shuffles=0)
    return tune(graph, Component.DECODER, Tuning(output_parts=2), Z).graph


@pytest.fixture(scope="module", params=list(Format))
def files(request, tuned):
    """The format, the float model and what the quantizer made of it."""
    from pocketvae.export.convert.onnx import convert_float32
    from pocketvae.export.quantize import onnx, tflite

    if request.param is Format.TFLITE:
        calibrated = tflite.calibrate(tuned, Z)
        return request.param, calibrated, tflite.quantize(calibrated, QuantizationPlan())
    found = onnx.calibrate(convert_float32(tuned), Z)
    return request.param, found.prepared, onnx.quantize_static(found, QuantizationPlan())


def mean_errors(format, content, expected):
    """Returns the mean error of each of the four pixels of a block of the image."""
    error = run_content(format, content, Z)["image"] - expected
    return np.abs(error.reshape(len(error), 4, 2, 4, 2).mean(axis=(0, 1, 3)))


def test_mean_errors_are_taken_off(files):
    format, float32, quantized = files
    expected = run_content(format, float32, Z)["image"]
    corrected = Sums(format, float32, Z).correct(quantized)
    before, after = (mean_errors(format, content, expected) for content in (quantized, corrected))
    assert after.max() < 0.5 * before.max()


def test_a_corrected_file_has_the_same_outputs_and_is_not_corrected_again(files):
    format, float32, quantized = files
    sums = Sums(format, float32, Z)
    corrected = sums.correct(quantized)
    assert run_content(format, corrected, Z).keys() == {"image"}
    first, second = (run_content(format, content, Z)["image"] for content in (corrected, sums.correct(corrected)))
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_a_network_without_sums_is_left_alone(files):
    format, float32, quantized = files
    sums = Sums(format, float32, Z)
    sums._expected.clear()
    assert sums.correct(quantized) == quantized


@pytest.mark.parametrize("head", list(Head))
def test_the_name_of_a_sum_says_what_follows_it(head):
    for name in (f"last/{FLOAT_SCOPE}/{head}", f"last/{FLOAT_SCOPE}/{head}_1:0", f"a/{head};b/whole"):
        assert head_of_sum(name) is head
