import numpy as np
import onnx
import pytest

from pocketvae.errors import ManifestError
from pocketvae.formats.onnx.plain_graph import read_graph


def graph():
    nodes = [
        onnx.helper.make_node("Resize", ["x", "", "sizes"], ["y"], mode="linear", axes=[2, 3]),
        onnx.helper.make_node("Relu", ["y"], ["z"]),
    ]
    constants = [
        onnx.numpy_helper.from_array(np.float32([1, 2]), "sizes"),
        onnx.numpy_helper.from_array(np.float32([1, 2]), "same"),
        onnx.numpy_helper.from_array(np.float32([[1, 2]]), "of another shape"),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "z")]
    return onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)


def test_nodes_have_their_tensors_and_texts():
    resize, relu = read_graph(graph().SerializeToString()).nodes
    assert (resize.operator, resize.inputs, resize.outputs) == ("Resize", ("x", "", "sizes"), ("y",))
    assert resize.texts["mode"] == "linear"
    assert (relu.operator, relu.inputs, relu.outputs, relu.texts) == ("Relu", ("y",), ("z",), {})


def test_constants_are_equal_where_type_shape_and_values_are():
    found = read_graph(graph().SerializeToString())
    assert found.values(["sizes"]) == found.values(["same"])
    assert found.values(["sizes"]) != found.values(["of another shape"])
    assert found.values(["x"]) == [b"x"]


def test_a_damaged_graph_is_refused():
    with pytest.raises(ManifestError, match="truncated"):
        read_graph(graph().SerializeToString()[:-3])
