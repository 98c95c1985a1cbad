import numpy as np
import pytest

from pocketvae.export.quantize.layer_inputs import first_name, layer_inputs
from pocketvae.formats.tflite.model import operator_name, view_model

Z = {"z": np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32)}


def converted(stride, padding, dilation):
    """Returns a decoder in float with one convolution, and its kernel."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    dense, kernel = rng.normal(size=(4, 7 * 6 * 2)).astype("f4"), rng.normal(size=(3, 2, 2, 5)).astype("f4")

    @tf.function(input_signature=[tf.TensorSpec((1, 4), name="z")], autograph=False)
    def decode(z):
        hidden = tf.reshape(tf.nn.relu(z @ dense), (1, 7, 6, 2))
        image = tf.nn.conv2d(hidden, kernel, stride, padding, dilations=dilation, name="conv")
        return {"image": tf.sigmoid(image)}

    from pocketvae.export.convert.graphs import Graph
    from pocketvae.export.convert.tflite import convert_float32
    from pocketvae.spec import TensorSpec

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 4)),)
    content = convert_float32(Graph(function=decode, model=tf.Module(), inputs=inputs, fused_shuffles=0))
    return content, kernel.reshape(-1, 5)


@pytest.mark.slow
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, "SAME", 1), (2, "SAME", 1), (2, "VALID", 1)])
def test_rows_times_weights_are_what_a_convolution_makes(stride, padding, dilation):
    from pocketvae.runtimes.taps import tap
    from pocketvae.spec import Format

    content, kernel = converted(stride, padding, dilation)
    layer = _conv(content)
    expected = tap(Format.TFLITE, content, Z, [layer])[layer].real().reshape(-1, 5)
    found = np.concatenate(list(layer_inputs(content, layer, Z))) @ kernel
    assert found.shape == expected.shape
    # All pixels, in another order.
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0), atol=1e-4)


@pytest.mark.slow
def test_of_many_pixels_the_same_ones_are_taken():
    content, _ = converted(1, "SAME", 1)
    first, second = (np.concatenate(list(layer_inputs(content, _conv(content), Z, 60))) for _ in range(2))
    assert first.shape == (12 * 5, 12)
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_of_large_images_fewer_samples_are_held(monkeypatch):
    from pocketvae.export.quantize import layer_inputs as module

    content, _ = converted(1, "SAME", 1)
    # The convolution reads 7 by 6 pixels of two channels.
    monkeypatch.setattr(module, "_MOST_VALUES", 6 * 84)
    assert sum(map(len, layer_inputs(content, _conv(content), Z))) == 6 * 42
    monkeypatch.setattr(module, "_MOST_VALUES", 1)
    assert sum(map(len, layer_inputs(content, _conv(content), Z))) == 4 * 42


@pytest.mark.slow
def test_a_layer_that_reads_the_input_is_given_the_samples():
    content, _ = converted(1, "SAME", 1)
    model = view_model(content)
    graph = model.subgraphs[0]
    dense = next(first_name(graph, item) for item in graph.operators if operator_name(model, item) == "FULLY_CONNECTED")
    np.testing.assert_array_equal(np.concatenate(list(layer_inputs(content, dense, Z))), Z["z"])


def _conv(content):
    from pocketvae.export.quantize.tflite_four_bits import layers_for_four_bits

    return next(name for name, (kind, _) in layers_for_four_bits(content).items() if kind == "CONV_2D")
