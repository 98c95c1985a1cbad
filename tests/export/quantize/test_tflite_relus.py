import numpy as np
import pytest

from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.tflite_relus import with_relus_as_scales
from pocketvae.formats.tflite.model import operator_name, view_model
from pocketvae.spec import Format, TensorSpec

pytestmark = pytest.mark.slow

Z = {"z": np.random.default_rng(1).normal(size=(64, 5)).astype(np.float32)}


def quantized(activation, gain=1.0, scales=()):
    """Returns a decoder in 8 bits with an activation behind depth-to-space, whose values a sum reads too."""
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph, function_of
    from pocketvae.export.quantize import tflite

    rng = np.random.default_rng(0)
    dense = (gain * rng.normal(size=(5, 64))).astype("f4")
    kernel = rng.normal(0, 0.3, (3, 3, 1, 1)).astype("f4")

    def decode(z):
        start = tf.nn.depth_to_space(tf.reshape(z @ dense, (1, 4, 4, 4)), 2)
        inner = tf.nn.conv2d(activation(start), kernel, 1, "SAME")
        return {"image": tf.sigmoid(start + inner)}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 5)),)
    graph = Graph(function=function_of(decode, inputs), model=tf.Module(), inputs=inputs, fused_shuffles=0)
    calibrated = tflite.calibrate(graph, Z)
    layers = tuple(tflite.find_layers(calibrated))
    return tflite.quantize(calibrated, QuantizationPlan(float_layers=layers if scales == "float" else ()))


def kinds(content):
    model = view_model(content)
    return [operator_name(model, item) for item in model.subgraphs[0].operators]


def relu(x):
    import tensorflow as tf

    return tf.nn.relu(x)


def relu6(x):
    import tensorflow as tf

    return tf.nn.relu6(x)


@pytest.mark.parametrize(("activation", "kind"), [(relu, "RELU"), (relu6, "RELU6")])
def test_an_integer_relu_is_a_change_of_scale(activation, kind):
    before = quantized(activation, gain=2.0)
    after = with_relus_as_scales(before)
    assert kind in kinds(before)
    assert [name if name != kind else "QUANTIZE" for name in kinds(before)] == kinds(after)
    # Ties between two integers may be rounded to either.
    first, second = (run_content(Format.TFLITE, content, Z)["image"] for content in (before, after))
    assert np.mean(np.abs(first - second) > 1e-6) < 0.02
    assert np.abs(first - second).mean() < 1e-3


def test_relus_in_float_stay():
    content = quantized(relu, scales="float")
    assert "RELU" in kinds(content)
    assert with_relus_as_scales(content) == content


def test_xnnpack_takes_the_whole_file():
    from pocketvae.runtimes.delegation import loaded_graph
    from pocketvae.runtimes.litert import open_interpreter

    def left_out(content):
        graph = loaded_graph(open_interpreter(content))
        return [item.kind for place, item in enumerate(graph.operators) if place not in graph.delegated]

    content = quantized(relu)
    assert left_out(content) == ["RELU"]
    assert left_out(with_relus_as_scales(content)) == []
