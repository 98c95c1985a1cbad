"""Graphs written node by node, so that no converter chooses other operators."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pocketvae.errors import ExportError
from pocketvae.export.convert.batches_onnx import open_batch
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format


def model(nodes, output_shape, *, input_shape=(1, 4, 6), **constants):
    """A model of x whose nodes end in y; constants by their names."""
    graph = helper.make_graph(
        [
            helper.make_node(kind, inputs, [output], f"n{i}", **more)
            for i, (kind, inputs, output, more) in enumerate(nodes)
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def f32(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


APART = {
    "reshape with an open dimension": ([("Reshape", ["x", "s"], "y", {})], (1, 8, 3), {"s": [1, -1, 3]}),
    "reshape with an open dimension, without zeros": (
        [("Reshape", ["x", "s"], "y", {"allowzero": 1})],
        (1, 8, 3),
        {"s": [1, -1, 3]},
    ),
    "reshape of windows with an open dimension": (
        [("Reshape", ["x", "s"], "a", {}), ("Reshape", ["a", "t"], "y", {})],
        (1, 4, 6),
        {"s": [2, 2, 6], "t": [1, 4, -1]},
    ),
    "reshape that drops the batch": (
        [("Reshape", ["x", "s"], "a", {}), ("MatMul", ["a", "w"], "b", {}), ("Reshape", ["b", "t"], "y", {})],
        (1, 4, 5),
        {"s": [4, 6], "w": f32(6, 5), "t": [1, 4, 5]},
    ),
    "transpose": ([("Transpose", ["x"], "y", {"perm": [0, 2, 1]})], (1, 6, 4), {}),
    "matrix products": (
        [("Transpose", ["x"], "t", {"perm": [0, 2, 1]}), ("MatMul", ["x", "t"], "y", {})],
        (1, 4, 4),
        {},
    ),
    "a shared table": (
        [("Mul", ["x", "w"], "a", {}), ("Add", ["a", "v"], "y", {})],
        (1, 4, 6),
        {"w": f32(1, 4, 6), "v": f32(6)},
    ),
    "comparisons": (
        [
            ("LessOrEqual", ["x", "v"], "a", {}),
            ("GreaterOrEqual", ["x", "u"], "b", {}),
            ("Xor", ["a", "b"], "c", {}),
            ("Where", ["c", "x", "u"], "y", {}),
        ],
        (1, 4, 6),
        {"v": f32(6), "u": f32(4, 6)},
    ),
    "sums of several": ([("Sum", ["x", "v", "x"], "a", {}), ("Mean", ["a", "x"], "y", {})], (1, 4, 6), {"v": f32(6)}),
    "slice of everything": (
        [("Slice", ["x", "b", "e"], "y", {})],
        (1, 2, 6),
        {"b": [0, 1], "e": [1, 3]},
    ),
    "slice along an axis": ([("Slice", ["x", "b", "e", "a"], "y", {})], (1, 4, 2), {"b": [1], "e": [3], "a": [-1]}),
    "pad": ([("Pad", ["x", "p"], "y", {})], (1, 5, 6), {"p": [0, 1, 0, 0, 0, 0]}),
    "concat": ([("Relu", ["x"], "a", {}), ("Concat", ["x", "a"], "y", {"axis": 1})], (1, 8, 6), {}),
    "softmax": ([("Softmax", ["x"], "y", {"axis": -1})], (1, 4, 6), {}),
    "mean": ([("ReduceMean", ["x"], "y", {"axes": [1], "keepdims": 0})], (1, 6), {}),
    "flatten": (
        [("Flatten", ["x"], "a", {"axis": 1}), ("Gemm", ["a", "w", "b"], "y", {"transB": 1})],
        (1, 5),
        {"w": f32(5, 24), "b": f32(5)},
    ),
    "tile": ([("Tile", ["x", "r"], "y", {})], (1, 8, 6), {"r": [1, 2, 1]}),
    "expand": (
        [("ReduceMean", ["x"], "a", {"axes": [1]}), ("Expand", ["a", "s"], "y", {})],
        (1, 4, 6),
        {"s": [1, 4, 6]},
    ),
    "unsqueeze": ([("Unsqueeze", ["x", "a"], "b", {}), ("Squeeze", ["b", "a"], "y", {})], (1, 4, 6), {"a": [2]}),
    "gather": ([("Gather", ["x", "i"], "y", {"axis": 1})], (1, 2, 6), {"i": [3, 1]}),
    "resize by sizes": (
        [
            ("Unsqueeze", ["x", "a"], "b", {}),
            ("Resize", ["b", "", "", "s"], "c", {"mode": "nearest"}),
            ("Squeeze", ["c", "a"], "y", {}),
        ],
        (1, 8, 18),
        {"a": [1], "s": [1, 1, 8, 18]},
    ),
    "resize by sizes that are no multiples": (
        [
            ("Unsqueeze", ["x", "a"], "b", {}),
            ("Resize", ["b", "", "", "s"], "c", {"mode": "linear"}),
            ("Resize", ["c", "", "", "t"], "d", {"mode": "nearest"}),
            ("Squeeze", ["d", "a"], "y", {}),
        ],
        (1, 31, 16),
        # 7 times the float32 next to 31 / 7 is less than 31.
        {"a": [1], "s": [1, 1, 7, 9], "t": [1, 1, 31, 16]},
    ),
}


@pytest.mark.parametrize("name", APART)
def test_a_batch_is_its_samples(tmp_path, name):
    nodes, shape, constants = APART[name]
    content = model(nodes, shape, **constants)
    (tmp_path / "one.onnx").write_bytes(content)
    (tmp_path / "any.onnx").write_bytes(open_batch(content))
    x = f32(5, 4, 6)
    with (
        open_runner(tmp_path / "one.onnx", Format.ONNX) as one,
        open_runner(tmp_path / "any.onnx", Format.ONNX) as any_,
    ):
        expected = np.concatenate([one.run({"x": sample[None]})["y"] for sample in x])
        np.testing.assert_allclose(any_.run({"x": x})["y"], expected, atol=1e-6)
        assert np.array_equal(any_.run({"x": x[:1]})["y"], expected[:1])


def test_a_reshape_to_the_batch_of_an_example_takes_any(tmp_path):
    (tmp_path / "any.onnx").write_bytes(
        open_batch(model([("Reshape", ["x", "s"], "y", {})], (4, 24), input_shape=(4, 4, 6), s=[4, -1]))
    )
    x = f32(3, 4, 6)
    with open_runner(tmp_path / "any.onnx", Format.ONNX) as runner:
        assert np.array_equal(runner.run({"x": x})["y"], x.reshape(3, 24))


def resized(**how):
    nodes = [("Unsqueeze", ["x", "a"], "b", {}), ("Resize", ["b", "", "", "s"], "y", how)]
    return model(nodes, (1, 1, 7, 10), a=[1], s=[1, 1, 7, 10])


def test_a_resize_by_sizes_whose_scale_is_no_float32_differs_by_rounding_alone(tmp_path):
    (tmp_path / "one.onnx").write_bytes(resized(mode="linear"))
    (tmp_path / "any.onnx").write_bytes(open_batch(resized(mode="linear")))
    x = f32(1, 4, 6)
    with (
        open_runner(tmp_path / "one.onnx", Format.ONNX) as one,
        open_runner(tmp_path / "any.onnx", Format.ONNX) as any_,
    ):
        np.testing.assert_allclose(any_.run({"x": x})["y"], one.run({"x": x})["y"], atol=1e-5)


def test_a_resize_that_would_take_other_values_with_a_scale_is_refused():
    with pytest.raises(ExportError, match=r"Resize from \[1, 1, 4, 6\] to \[1, 1, 7, 10\] needs a scale that float32"):
        open_batch(resized(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"))


MIXING = {
    "Transpose": ([("Transpose", ["x"], "y", {"perm": [1, 0, 2]})], (4, 1, 6), {}),
    "Softmax": ([("Softmax", ["x"], "y", {"axis": 0})], (1, 4, 6), {}),
    "ReduceMean": ([("ReduceMean", ["x"], "y", {"axes": [0]})], (1, 4, 6), {}),
    "ReduceMax": ([("ReduceMax", ["x"], "y", {})], (1, 1, 1), {}),
    "Concat": ([("Concat", ["x", "x"], "y", {"axis": 0})], (2, 4, 6), {}),
    "Slice": ([("Slice", ["x", "b", "e"], "y", {})], (0, 4, 6), {"b": [1], "e": [1]}),
    "Pad": ([("Pad", ["x", "p"], "y", {})], (2, 4, 6), {"p": [0, 0, 0, 1, 0, 0]}),
    "Tile": ([("Tile", ["x", "r"], "y", {})], (2, 4, 6), {"r": [2, 1, 1]}),
    "Add": ([("Add", ["x", "w"], "y", {})], (3, 4, 6), {"w": f32(3, 4, 6)}),
    "MatMul": ([("MatMul", ["w", "x"], "y", {})], (1, 2, 6), {"w": f32(2, 4)}),
    "Mul of other first sizes": (
        [
            ("Reshape", ["x", "s"], "a", {}),
            ("ReduceMean", ["x"], "b", {"axes": [1], "keepdims": 0}),
            ("Mul", ["a", "b"], "y", {}),
        ],
        (4, 6),
        {"s": [4, 6]},
    ),
    "Expand": ([("Expand", ["x", "s"], "y", {})], (3, 4, 6), {"s": [3, 4, 6]}),
    "Resize": (
        [("Unsqueeze", ["x", "a"], "b", {}), ("Resize", ["b", "", "", "s"], "y", {"mode": "nearest"})],
        (2, 1, 4, 6),
        {"a": [1], "s": [2, 1, 4, 6]},
    ),
    "MatMul of a vector": (
        [("Reshape", ["x", "s"], "a", {}), ("MatMul", ["a", "w"], "y", {})],
        (5,),
        {"s": [24], "w": f32(24, 5)},
    ),
    "LayerNormalization": ([("LayerNormalization", ["x", "w"], "y", {"axis": 0})], (1, 4, 6), {"w": f32(1, 4, 6)}),
    "ArgMax": ([("ArgMax", ["x"], "a", {}), ("Cast", ["a"], "y", {"to": 1})], (1, 4, 6), {}),
    "ReduceSum of all": ([("ReduceSum", ["x", "a"], "y", {})], (1, 1, 1), {"a": np.zeros(0, np.int64)}),
    "CumSum": ([("CumSum", ["x", "a"], "y", {})], (1, 4, 6), {"a": np.array(1)}),
}


@pytest.mark.parametrize("name", MIXING)
def test_an_operator_that_mixes_samples_or_is_unknown_is_refused_by_name(name):
    nodes, shape, constants = MIXING[name]
    with pytest.raises(ExportError, match=f"only batch size 1 is possible: {name.split()[0]} mixes samples"):
        open_batch(model(nodes, shape, **constants))


def test_a_range_that_is_found_over_all_samples_mixes_them():
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4, 6)) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    with pytest.raises(ExportError, match="only batch size 1 is possible: DynamicQuantizeLinear mixes samples"):
        open_batch(content)
