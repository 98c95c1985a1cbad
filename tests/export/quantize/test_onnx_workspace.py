import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pocketvae.export.quantize.onnx import calibrate, quantize_static
from pocketvae.export.quantize.onnx_workspace import widen_biases
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.formats.onnx.model import array
from pocketvae.runtimes.onnxruntime import open_session

RNG = np.random.default_rng(0)


def product(bias, *, turned=False):
    """z -> Gemm -> Clip: a dense layer that ends in a hard sigmoid."""
    weights = RNG.normal(0, 0.1, (8, 6) if turned else (6, 8)).astype(np.float32)
    stored = {"w": weights, "b": bias, "low": np.float32(0), "high": np.float32(1)}
    nodes = [
        helper.make_node("Gemm", ["z", "w", "b"], ["y"], "dense", transB=int(turned)),
        helper.make_node("Clip", ["y", "low", "high"], ["image"], "head"),
    ]
    z, image = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, n)) for name, n in (("z", 6), ("image", 8)))
    constants = [numpy_helper.from_array(np.asarray(values), name) for name, values in stored.items()]
    graph = helper.make_graph(nodes, "g", [z], [image], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("turned", [False, True])
def test_one_bias_becomes_that_of_each_channel(turned):
    made = product(np.float32(0.5), turned=turned)
    assert widen_biases(made.graph)
    stored = {tensor.name: array(tensor) for tensor in made.graph.initializer}
    np.testing.assert_array_equal(stored[made.graph.node[0].input[2]], np.full(8, 0.5, np.float32))
    assert not widen_biases(made.graph)


def test_a_product_with_one_bias_is_quantized():
    content, samples = product(np.float32(0.5)).SerializeToString(), RNG.normal(size=(32, 6)).astype(np.float32)
    quantized = quantize_static(calibrate(content, {"z": samples}), QuantizationPlan())
    (found,), (expected,) = (open_session(item).run(None, {"z": samples[:1]}) for item in (quantized, content))
    np.testing.assert_allclose(found, expected, atol=0.02)
