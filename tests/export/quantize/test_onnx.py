"""What limits a layer's range: a head at the end, and nothing that looks like one before it."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pocketvae.export.quantize.onnx import activation_ranges
from pocketvae.export.tuning.names import LOGIT_BOUND


def model(head):
    """z -> MatMul -> swish -> MatMul -> ReLU6 -> MatMul -> head."""
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["a"], "first"),
        helper.make_node("Sigmoid", ["a"], ["s"], "s"),
        helper.make_node("Mul", ["a", "s"], ["swish"], "m"),
        helper.make_node("MatMul", ["swish", "w"], ["b"], "second"),
        helper.make_node("Clip", ["b", "zero", "six"], ["relu6"], "r"),
        helper.make_node("MatMul", ["relu6", "w"], ["c"], "third"),
        head,
    ]
    constants = {
        "zero": np.float32(0),
        "one": np.float32(1),
        "six": np.float32(6),
        "w": 5 * np.eye(2, dtype=np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 2))],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 2))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize(
    ("head", "highest"),
    [
        (helper.make_node("Sigmoid", ["c"], ["image"], "head"), LOGIT_BOUND),
        (helper.make_node("Clip", ["c", "zero", "one"], ["image"], "head"), 1.0),
        (helper.make_node("Clip", ["c", "zero", "six"], ["image"], "head"), 6.0),
        (helper.make_node("Tanh", ["c"], ["image"], "head"), LOGIT_BOUND / 2),
    ],
)
def test_only_the_last_operator_is_a_head(head, highest):
    ranges = activation_ranges(model(head), {"z": np.array([[4.0, -4.0]], np.float32)})
    assert ranges["first"] == (-20.0, 20.0)
    assert ranges["second"][1] == 6.0  # its ReLU6 is no head, and bounds it all the same
    assert ranges["third"] == (0.0, highest)
