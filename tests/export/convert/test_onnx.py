import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pocketvae.export.convert.onnx import name_parts


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
