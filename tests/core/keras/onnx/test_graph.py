"""Every operator computes in TensorFlow what onnxruntime computes, whatever the order of the axes."""

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.formats.onnx.model import array
from pocketvae.keras.onnx.graph import run, unknown_operators, with_group_norms
from pocketvae.runtimes.onnxruntime import open_session
from tests.onnx_files import model, node, values

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
IMAGE, VECTOR, SEQUENCE, VOLUME = [2, 4, 6, 6], [2, 8], [2, 4, 10], [2, 4, 3, 4, 5]
W = {
    "s": np.arange(1, 5, dtype=np.float32),
    "t": np.arange(4, dtype=np.float32).reshape(4, 1, 1),
    "k": values(RNG, 6, 4, 3, 3),
    "kd": values(RNG, 8, 1, 3, 3),
    "kg": values(RNG, 6, 2, 3, 3),
    "k1": values(RNG, 6, 4, 3),
    "k3": values(RNG, 6, 4, 3, 3, 3),
    "u3": values(RNG, 4, 6, 3, 3),
    "u4": values(RNG, 4, 6, 4, 4),
    "ug": values(RNG, 4, 3, 3, 3),
    "u1": values(RNG, 4, 6, 4),
    "m": values(RNG, 8, 5),
    "m6": values(RNG, 6, 5),
    "b6": values(RNG, 6),
    "v": np.abs(values(RNG, 4)) + 0.5,
    "lo": np.float32(-0.1),
    "hi": np.float32(0.2),
    "two": np.array([1, 1, 2, 2], np.float32),
    "half": np.array([1, 1, 1.5, 1.5], np.float32),
    "odd": np.array([1, 1, 0.5, 1.5], np.float32),
    "near": np.array([1, 1, 1.4, 0.7], np.float32),
    "thirds": np.array([1, 1, 4 / 3, 4 / 3], np.float32),
    "size": np.array([2, 4, 9, 13]),
    "g": np.array([0, 2, -1]),
    "flat": np.array([0, -1]),
    "i2": np.array(2),
    "p": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
    "st": np.array([1, -3]),
    "en": np.array([100, -1]),
    "ax": np.array([2, 3]),
    "one": np.ones(2, np.float32),
    "zero": np.zeros(2, np.float32),
    "n": np.array([0, 2, -1]),
    "ex": np.array([2, 4, 6, 6]),
    "small": np.array([2, 4, 2, 1]),
    "sq": np.array([3]),
}


def pool(kind, **more):
    return node(kind, "x", "y", kernel_shape=[2, 2], strides=[2, 2], **more)


def conv(kind, weights, bias="", **more):
    return node(kind, f"x {weights} {bias}", "y", kernel_shape=list(W[weights].shape[2:]), **more)


UNARY = (
    *("Abs", "Ceil", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "LeakyRelu", "Neg"),
    *("Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Tanh"),
)
CASES = {
    **{kind: (IMAGE, [node(kind, "x", "y")]) for kind in
       UNARY},
    "clip": (IMAGE, [node("Clip", "x lo hi", "y")]),
    "clip below": (IMAGE, [node("Clip", "x lo", "y")]),
    "prelu": (IMAGE, [node("PRelu", "x t", "y")]),
    "power": (IMAGE, [node("Pow", "x i2", "y")]),
    "channels": (IMAGE, [conv("Conv", "k", pads=[1] * 4), node("Add", "y b6t", "z")]),
    "conv": (IMAGE, [conv("Conv", "k", "b6", pads=[1] * 4)]),
    "conv strided": (IMAGE, [conv("Conv", "k", pads=[1] * 4, strides=[2, 2])]),
    "conv uneven": (IMAGE, [conv("Conv", "k", pads=[0, 2, 1, 0], strides=[2, 1])]),
    "conv dilated": (IMAGE, [conv("Conv", "k", pads=[2] * 4, dilations=[2, 2])]),
    "depthwise": (IMAGE, [conv("Conv", "kd", pads=[1] * 4, group=4)]),
    "grouped": (IMAGE, [conv("Conv", "kg", pads=[1] * 4, group=2)]),
    "conv of a sequence": (SEQUENCE, [conv("Conv", "k1", "b6", pads=[1, 1], strides=[2])]),
    "conv of a volume": (VOLUME, [conv("Conv", "k3", "b6", pads=[1] * 6)]),
    "transposed": (IMAGE, [conv("ConvTranspose", "u4", "b6", pads=[1] * 4, strides=[2, 2])]),
    "transposed with output padding": (
        IMAGE, [conv("ConvTranspose", "u3", "b6", pads=[1] * 4, strides=[2, 2], output_padding=[1, 1])]),
    "transposed without padding": (
        IMAGE, [conv("ConvTranspose", "u3", "b6", strides=[2, 2], output_padding=[1, 0])]),
    "transposed by one": (IMAGE, [conv("ConvTranspose", "u3", "b6", pads=[1] * 4)]),
    "transposed with gaps": (IMAGE, [conv("ConvTranspose", "u3", strides=[4, 4], output_padding=[3, 3])]),
    "transposed in groups": (IMAGE, [conv("ConvTranspose", "ug", strides=[2, 2], group=2)]),
    "transposed sequence": (SEQUENCE, [conv("ConvTranspose", "u1", "b6", pads=[1, 1], strides=[2])]),
    "max pool": (IMAGE, [pool("MaxPool")]),
    "average pool": (IMAGE, [pool("AveragePool")]),
    "average pool, padded": (IMAGE, [pool("AveragePool", pads=[1] * 4, count_include_pad=1)]),
    "max pool, padded": (IMAGE, [pool("MaxPool", pads=[1] * 4)]),
    "global": (IMAGE, [node("GlobalAveragePool", "x", "y")]),
    "batch norm": (IMAGE, [node("BatchNormalization", "x s s s v", "y")]),
    "batch norm of vectors": ([2, 4], [node("BatchNormalization", "x s s s v", "y")]),
    "instance norm": (IMAGE, [node("InstanceNormalization", "x s s", "y")]),
    "layer norm": (VECTOR, [node("LayerNormalization", "x m8 m8", "y")]),
    "layer norm of channels": (
        IMAGE, [node("Transpose", "x", "t1", perm=[0, 2, 3, 1]), node("LayerNormalization", "t1 s s", "l"),
                node("Transpose", "l", "y", perm=[0, 3, 1, 2])]),
    "group norm": (IMAGE, [node("Reshape", "x n", "a"), node("InstanceNormalization", "a one zero", "i"),
                           node("Reshape", "i ex", "y")]),
    "group norm of a vector": (VECTOR, [node("Reshape", "x n", "a"), node("InstanceNormalization", "a one zero", "i"),
                                        node("Reshape", "i small", "y")]),
    "shuffle of one value": (IMAGE, [node("DepthToSpace", "x", "y", blocksize=1, mode="CRD")]),
    "space to depth of one value": (IMAGE, [node("SpaceToDepth", "x", "y", blocksize=1)]),
    "nearest": (IMAGE, [node("Resize", "x - two", "y", coordinate_transformation_mode="asymmetric",
                             nearest_mode="floor")]),
    "nearest to a size": (IMAGE, [node("Resize", "x - - size", "y", coordinate_transformation_mode="asymmetric",
                                       nearest_mode="floor")]),
    "bilinear": (IMAGE, [node("Resize", "x - two", "y", mode="linear",
                              coordinate_transformation_mode="pytorch_half_pixel")]),
    "bilinear with corners": (IMAGE, [node("Resize", "x - two", "y", mode="linear",
                                           coordinate_transformation_mode="align_corners")]),
    "bilinear from the left": (IMAGE, [node("Resize", "x - half", "y", mode="linear",
                                            coordinate_transformation_mode="asymmetric")]),
    "bilinear to a rounded size": ([2, 4, 7, 5], [node("Resize", "x - odd", "y", mode="linear",
                                                       coordinate_transformation_mode="half_pixel")]),
    "bilinear to a size of almost whole numbers": ([2, 4, 5, 10], [
        node("Resize", "x - near", "y", mode="linear", coordinate_transformation_mode="half_pixel")]),
    "nearest from the left where places are whole": ([2, 4, 6, 3], [
        node("Resize", "x - thirds", "y", mode="nearest", coordinate_transformation_mode="asymmetric",
             nearest_mode="floor")]),
    "bicubic": (IMAGE, [node("Resize", "x - two", "y", mode="cubic", cubic_coeff_a=-0.75,
                             coordinate_transformation_mode="pytorch_half_pixel")]),
    "shuffle": (IMAGE, [node("DepthToSpace", "x", "y", blocksize=2, mode="CRD")]),
    "depth to space": (IMAGE, [node("DepthToSpace", "x", "y", blocksize=2)]),
    "space to depth": (IMAGE, [node("SpaceToDepth", "x", "y", blocksize=2)]),
    "gemm": (VECTOR, [node("Gemm", "x m b5", "y", alpha=0.5, beta=2.0)]),
    "matmul of rows": ([2, 3, 8], [node("MatMul", "x m", "y")]),
    "attention": ([2, 3, 8], [node("Transpose", "x", "kk", perm=[0, 2, 1]), node("MatMul", "x kk", "a"),
                              node("Softmax", "a", "w1", axis=-1), node("MatMul", "w1 x", "y")]),
    "einsum": ([2, 3, 8], [node("Einsum", "x x", "y", equation="bij,bkj->bik")]),
    "softmax of channels": (IMAGE, [conv("Conv", "k"), node("Softmax", "y", "q", axis=1)]),
    "log softmax": (VECTOR, [node("LogSoftmax", "x", "y", axis=1)]),
    "pad": (IMAGE, [node("Pad", "x p", "y")]),
    "pad reflected": (IMAGE, [node("Pad", "x p", "y", mode="reflect")]),
    "pad with edges": (IMAGE, [node("Pad", "x p", "y", mode="edge")]),
    "slice": (IMAGE, [node("Slice", "x st en ax", "y")]),
    "gather": (IMAGE, [node("Gather", "x g", "y", axis=1)]),
    "gather one": (IMAGE, [node("Gather", "x i2", "y", axis=1)]),
    "concat": (IMAGE, [conv("Conv", "k", pads=[1] * 4), node("Concat", "x y", "q", axis=1)]),
    "split": (IMAGE, [node("Split", "x", "a1 y", axis=1)]),
    "reduce": (IMAGE, [node("ReduceMean", "x", "y", axes=[2, 3], keepdims=0)]),
    "reduce l2": (IMAGE, [node("ReduceL2", "x", "y", axes=[1], keepdims=1)]),
    "flatten after conv": (IMAGE, [conv("Conv", "k"), node("Flatten", "y", "f"), node("Relu", "f", "q")]),
    "squeeze": ([2, 4, 6, 1], [node("Squeeze", "x sq", "y")]),
    "unsqueeze": ([2, 4, 6], [node("Unsqueeze", "x sq", "y")]),
}  # fmt: skip
W |= {"b6t": W["b6"].reshape(6, 1, 1), "b5": values(RNG, 5), "m8": values(RNG, 8)}


@pytest.mark.parametrize("name", CASES)
def test_operators_compute_what_onnxruntime_computes(name):
    import tensorflow as tf

    shape, nodes = CASES[name]
    last = nodes[-1].output[-1]
    used = {item for one in nodes for item in one.input}
    made = model(nodes, {"x": shape}, {last: None}, {key: stored for key, stored in W.items() if key in used})
    x = RNG.standard_normal(shape).astype(np.float32)
    (expected,) = open_session(made.SerializeToString()).run(None, {"x": x})
    weights = {tensor.name: array(tensor) for tensor in made.graph.initializer}
    function = tf.function(lambda given: run(made.graph, weights, [given])[0], autograph=False)
    found = function.get_concrete_function(tf.TensorSpec((None, *shape[1:]), tf.float32))(tf.constant(x))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-6, rtol=1e-5)


def test_a_chain_of_convolutions_needs_no_transpose():
    import tensorflow as tf

    made = model(
        [conv("Conv", "k", pads=[1] * 4), node("Relu", "y", "r"), node("Transpose", "r", "q", perm=[0, 2, 3, 1])],
        {"x": IMAGE}, {"q": None}, {"k": W["k"]},
    )  # fmt: skip
    turn = node("Transpose", "x0", "x", perm=[0, 3, 1, 2])
    made.graph.node.insert(0, turn)
    made.graph.input[0].name = "x0"
    function = tf.function(lambda given: run(made.graph, {"k": W["k"]}, [given]), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec((None, 6, 6, 4), tf.float32)).graph
    assert "Transpose" not in [operator.type for operator in graph.get_operations()]


def test_group_norm_in_pieces_is_put_together():
    shape, nodes = CASES["group norm"]
    made = model(nodes, {"x": shape}, {"y": None}, {key: W[key] for key in ("n", "one", "zero", "ex")})
    assert [item.op_type for item in with_group_norms(made.graph)] == ["Reshape", "GroupNormalization"]


def test_unknown_operators_and_computed_settings_are_named():
    made = model([node("Det", "x", "y")], {"x": [1, 3, 3]}, {"y": None})
    assert unknown_operators(made.graph) == ("Det",)
    computed = model([node("Shape", "x", "s"), node("Reshape", "x s", "y")], {"x": [1, 3]}, {"y": None})
    with pytest.raises(ExportError, match="does not support the ONNX operator Shape"):
        run(computed.graph, {}, [np.zeros((1, 3), np.float32)])
