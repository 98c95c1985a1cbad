import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from pocketvae.export.convert.onnx_clip import fuse_clips


def model(*nodes, shape=(), outputs=("image",), **constants):
    value = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3))]
    result = (1, 2, 3) if len(shape) > 2 else (2, 3)
    value += [helper.make_tensor_value_info(name, TensorProto.FLOAT, result) for name in outputs]
    tensors = [numpy_helper.from_array(np.full(shape, v, np.float32), name) for name, v in constants.items()]
    graph = helper.make_graph(list(nodes), "g", value[:1], value[1:], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made, x):
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


MIN, MAX = (
    helper.make_node("Min", ["x", "high"], ["m"], "min"),
    helper.make_node("Max", ["low", "m"], ["image"], "clip_by_value"),
)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize(
    "nodes",
    [
        (MIN, MAX),
        (
            helper.make_node("Max", ["x", "low"], ["m"], "max"),
            helper.make_node("Min", ["m", "high"], ["image"], "clip_by_value"),
        ),
    ],
)
def test_two_bounds_become_one_clip_of_the_same_values(nodes, shape):
    x = np.array([[-2, -0.0, 0.25], [1, 1.0000001, 7]], np.float32)
    made = model(*nodes, shape=shape, low=0.0, high=1.0)
    before = run(made, x)
    assert fuse_clips(made) == 1
    onnx.checker.check_model(made, full_check=True)
    assert [(node.op_type, node.name) for node in made.graph.node] == [("Clip", "clip_by_value")]
    assert len(made.graph.initializer) == 2
    np.testing.assert_array_equal(run(made, x)[0], before[0])


def test_two_clips_in_a_row_become_two():
    then = [
        helper.make_node("Min", ["image", "highest"], ["n"], "min2"),
        helper.make_node("Max", ["n", "lowest"], ["clipped"], "max2"),
    ]
    made = model(MIN, MAX, *then, outputs=("clipped",), low=-2.0, high=1.0, lowest=0.0, highest=0.5)
    x = np.array([[-3, -1, 0.25], [0.5, 0.75, 7]], np.float32)
    before = run(made, x)
    assert fuse_clips(made) == 2
    onnx.checker.check_model(made, full_check=True)
    np.testing.assert_array_equal(run(made, x)[0], before[0])


@pytest.mark.parametrize(
    "made",
    [
        model(MIN, MAX, low=1.0, high=0.0),
        model(MIN, MAX, outputs=("image", "m"), low=0.0, high=1.0),
        model(MIN, MAX, shape=(3,), low=0.0, high=1.0),
        model(MIN, MAX, shape=(1, 1, 1), low=0.0, high=1.0),
        model(MIN, helper.make_node("Max", ["x", "m"], ["image"]), high=1.0),
        model(MIN, helper.make_node("Min", ["m", "low"], ["image"]), low=0.0, high=1.0),
    ],
    ids=[
        "empty range",
        "inner value is an output",
        "bounds of a shape",
        "bounds that add dimensions",
        "no constant",
        "the same twice",
    ],
)
def test_what_is_no_clip_stays(made):
    before = made.SerializeToString()
    assert fuse_clips(made) == 0
    assert made.SerializeToString() == before
