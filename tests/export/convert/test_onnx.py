from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pocketvae.export.convert.batches_onnx import open_batch
from pocketvae.export.convert.onnx import _shared_weights, convert_float16, name_parts, pad_at_the_end, serialize


def graph(counter):
    """Two layers of the same name, and the names that a converter with this counter makes up."""
    weights = [f"w__{counter}", f"w__{counter + 1}"]
    nodes = [
        helper.make_node("MatMul", ["z", weights[0]], [f"h:0__{counter + 7}"], name=f"Gemm__{counter + 2}"),
        helper.make_node("MatMul", [f"h:0__{counter + 7}", weights[1]], ["image"], name=f"Gemm__{counter + 5}"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in ("z", "image")]
    constants = [
        numpy_helper.from_array(np.full((2, 2), index, np.float32), name) for index, name in enumerate(weights)
    ]
    made = helper.make_graph(nodes, "g", values[:1], values[1:], constants[:: -1 if counter > 10 else 1])
    name_parts(made)
    onnx.checker.check_model(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)]), full_check=True)
    return made


def test_what_was_converted_before_changes_no_name_and_no_byte():
    assert graph(3).SerializeToString() == graph(81).SerializeToString()


def test_what_is_called_alike_is_numbered_in_order_and_the_interface_keeps_its_names():
    made = graph(3)
    assert [node.name for node in made.node] == ["Gemm", "Gemm__2"]
    assert [list(node.input) for node in made.node] == [["z", "w"], ["h:0", "w__2"]]
    assert made.node[1].output == ["image"]
    weights = {tensor.name: numpy_helper.to_array(tensor)[0, 0] for tensor in made.initializer}
    assert weights == {"w": 0, "w__2": 1}


def test_graphs_inside_a_graph_keep_the_names_that_they_refer_to():
    inner = helper.make_graph([], "inner", [], [])
    made = helper.make_graph([helper.make_node("If", ["c__5"], ["y"], name="If__9", then_branch=inner)], "g", [], [])
    name_parts(made)
    assert made.node[0].name == "If__9"


def test_copies_of_a_graph_share_its_large_weights_and_nothing_else():
    optimizer = pytest.importorskip("tf2onnx.optimizer")
    usual = optimizer.copy

    def constant(count):
        weights = numpy_helper.from_array(np.zeros(count, np.float32))
        return SimpleNamespace(is_const=lambda: True, attr={"value": helper.make_attribute("value", weights)})

    nodes = [constant(1 << 15), constant(4)]
    with _shared_weights():
        copied = optimizer.copy.deepcopy(SimpleNamespace(nodes=nodes, get_nodes=lambda: nodes)).nodes
    assert copied[0] is not nodes[0]
    assert copied[0].attr["value"] is nodes[0].attr["value"]
    assert copied[1].attr["value"] is not nodes[1].attr["value"]
    assert optimizer.copy is usual


def test_operator_sets_that_no_node_uses_are_left_out():
    then = helper.make_graph([helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml")], "then", [], [])
    node = helper.make_node("If", ["c"], ["y"], then_branch=then)
    sets = [helper.make_opsetid(domain, 1) for domain in ("", "ai.onnx.ml", "com.microsoft", "ai.onnx.preview")]
    model = helper.make_model(helper.make_graph([node], "g", [], []), opset_imports=sets)
    read = onnx.load_from_string(serialize(model))
    assert [entry.domain for entry in read.opset_import] == ["", "ai.onnx.ml"]


@pytest.mark.parametrize(("kernel", "stride", "pads"), [(3, 4, [0, -1]), (2, 5, [-1, -2]), (4, 2, [1, 1])])
def test_a_kernel_smaller_than_the_stride_has_zeros_at_the_end(kernel, stride, pads):
    from pocketvae.runtimes.onnxruntime import open_session

    weights = np.random.default_rng(0).normal(size=(1, 1, kernel, 1)).astype(np.float32)
    axes = {"pads": [pads[0], 0, pads[1], 0], "strides": [stride, 1], "kernel_shape": [kernel, 1]}
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **axes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 3, 1))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 3 * stride, 1))
    made = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(weights, "w")])
    pad_at_the_end(made)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    given = np.array([1.0, 2.0, 3.0], np.float32)
    (found,) = open_session(model.SerializeToString()).run(None, {"x": given.reshape(1, 1, 3, 1)})
    whole = np.zeros(stride * 2 + max(kernel, stride))
    for place, value in enumerate(given):
        whole[place * stride : place * stride + kernel] += value * weights[0, 0, :, 0]
    first = max(0, pads[0]) if kernel > stride else 0
    np.testing.assert_allclose(found.reshape(-1), whole[first : first + 3 * stride], rtol=1e-6)


def test_half_precision_keeps_the_sizes_that_a_resize_makes_and_the_batch_that_can_be_opened():
    scales = np.array([1, 1, 64 / 6, 64 / 6], np.float32)
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [helper.make_node("Resize", ["x", "", "s"], ["r"], **how), helper.make_node("Mul", ["r", "w"], ["y"])]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 1, s, s)) for n, s in (("x", 6), ("y", 64)))
    weights = [numpy_helper.from_array(scales, "s"), numpy_helper.from_array(np.ones(64, np.float32), "w")]
    made = helper.make_graph(nodes, "g", [x], [y], weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    half = onnx.load_from_string(open_batch(convert_float16(model.SerializeToString())))
    kinds = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert kinds == {"s": TensorProto.FLOAT, "w_half": TensorProto.FLOAT16}
    assert half.graph.output[0].type.tensor_type.shape.dim[3].dim_value == 64
