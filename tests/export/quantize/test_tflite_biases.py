import numpy as np
import pytest

from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.tflite_biases import mean_sums, with_corrected_biases
from pocketvae.runtimes.taps import tap
from pocketvae.spec import Format, TensorSpec

pytestmark = pytest.mark.slow

Z = {"z": np.random.default_rng(1).normal(size=(64, 5)).astype(np.float32)}


@pytest.fixture(scope="module")
def files():
    """A calibrated decoder of dense layers and convolutions, and its file with ranges that clip."""
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph, function_of
    from pocketvae.export.quantize import tflite

    rng = np.random.default_rng(0)
    dense, bias = rng.normal(size=(5, 64)).astype("f4"), rng.normal(size=64).astype("f4")
    first, last = (rng.normal(0, 0.2, (3, 3, 4, 4)).astype("f4") for _ in range(2))

    def decode(z):
        hidden = tf.reshape(tf.nn.relu(tf.nn.bias_add(z @ dense, bias)), (1, 4, 4, 4))
        hidden = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(hidden, first, 1, "SAME"), bias[:4]))
        pixels = tf.nn.bias_add(tf.nn.conv2d(hidden, last, 1, "SAME"), bias[4:8])
        return {"image": tf.sigmoid(tf.nn.depth_to_space(pixels, 2))}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 5)),)
    calibrated = tflite.calibrate(
        Graph(function=function_of(decode, inputs), model=tf.Module(), inputs=inputs, fused_shuffles=0), Z
    )
    layers = tflite.find_layers(calibrated)
    plan = QuantizationPlan(range_scales=dict.fromkeys(list(layers)[:2], 0.6))
    return calibrated, tflite.quantize(calibrated, plan), list(layers)


def mean_errors(content, calibrated, layer):
    """Returns the mean error of each channel of a layer."""

    def mean(file):
        found = tap(Format.TFLITE, file, Z, [layer])[layer].real()
        return found.reshape(-1, found.shape[-1]).mean(axis=0)

    return np.abs(mean(content) - mean(calibrated))


def test_the_last_layer_makes_on_average_what_it_should(files):
    calibrated, content, layers = files
    corrected = with_corrected_biases(content, mean_sums(calibrated, Z), Z)
    before, after = (mean_errors(file, calibrated, layers[-1]) for file in (content, corrected))
    assert after.max() < 0.3 * before.max()


def test_a_corrected_file_is_corrected_no_more(files):
    calibrated, content, _ = files
    expected = mean_sums(calibrated, Z)
    corrected = with_corrected_biases(content, expected, Z)
    assert corrected != content
    assert with_corrected_biases(corrected, expected, Z) == corrected


def test_layers_without_an_expectation_stay(files):
    _, content, _ = files
    assert with_corrected_biases(content, {}, Z) == content


def test_sums_are_those_before_the_activation(files):
    calibrated, _, layers = files
    found = mean_sums(calibrated, Z)
    assert len(found) == 3
    values = tap(Format.TFLITE, calibrated, Z, [layers[-1]])[layers[-1]].real().reshape(-1, 4).mean(axis=0)
    np.testing.assert_allclose(found[layers[-1].split(";")[0]], values, atol=1e-4)


def test_weights_of_4_bits_are_read_too(files):
    from pocketvae.export.quantize.tflite_four_bits import layers_for_four_bits, with_four_bits

    calibrated, content, layers = files
    four = with_four_bits(content, calibrated, list(layers_for_four_bits(calibrated)), Z)
    corrected = with_corrected_biases(four, mean_sums(calibrated, Z), Z)
    assert mean_errors(corrected, calibrated, layers[-1]).max() < 0.9 * mean_errors(four, calibrated, layers[-1]).max()


def test_layers_of_16_bits_are_corrected_too():
    """Their weights have 8, and what these add on average is the same for all items."""
    import tensorflow as tf

    from pocketvae.export.convert import tflite
    from pocketvae.export.convert.graphs import Graph, function_of
    from pocketvae.export.quantize.measured import run_content

    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(5, 64)).astype("f4"), rng.normal(size=(64, 8)).astype("f4")
    bias = rng.normal(size=64).astype("f4")

    def decode(z):
        return {"x": tf.nn.bias_add(tf.nn.relu(tf.nn.bias_add(z @ first, bias)) @ last, bias[:8])}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 5)),)
    graph = Graph(function=function_of(decode, inputs), model=tf.Module(), inputs=inputs, fused_shuffles=0)
    exact, content = tflite.convert_float32(graph), tflite.convert_int16x8(graph, Z)
    corrected = with_corrected_biases(content, mean_sums(exact, Z), Z)
    means = [run_content(Format.TFLITE, file, Z)["x"].mean(axis=0) for file in (exact, content, corrected)]
    assert np.abs(means[2] - means[0]).max() < 0.5 * np.abs(means[1] - means[0]).max()
