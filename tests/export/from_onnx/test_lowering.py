"""Later and earlier opsets and other types come to the same values in one opset and float32."""

import copy
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from pocketvae.errors import ExportError
from pocketvae.export.convert.onnx import OPSET
from pocketvae.export.from_onnx.folding import fix_batch, fold, opset_of
from pocketvae.export.from_onnx.lowering import lower, pixels_as_floats, raised, to_float32
from pocketvae.runtimes.onnxruntime import open_session
from tests.onnx_files import conv_decoder, model, node, values


def lowered(made):
    fix_batch(Path("m.onnx"), made)
    fold(made)
    lower(made)
    fold(made)
    return made


def run(made, feed):
    return open_session(made.SerializeToString()).run(None, feed)[0]


LATER = {
    "gelu": (node("Gelu", "z", "y"), 20),
    "gelu tanh": (node("Gelu", "z", "y", approximate="tanh"), 20),
    "mish": (node("Mish", "z", "y"), 18),
    "group norm": (node("GroupNormalization", "z s s", "y", num_groups=2, epsilon=1e-3), 21),
    "group norm of weights by group": (node("GroupNormalization", "z g g", "y", num_groups=2, epsilon=1e-3), 18),
    "mean": (node("ReduceMean", "z a", "y", keepdims=1), 18),
    "resize": (node("Resize", "z - two", "y", mode="nearest", axes=[2, 3], nearest_mode="floor"), 18),
    "log-sum-exp": (node("ReduceLogSumExp", "z a", "y", keepdims=1), 18),
    "log-sum-exp without kept axes": (node("ReduceLogSumExp", "z a", "y", keepdims=0), 18),
    "log-sum-exp of all": (node("ReduceLogSumExp", "z", "y"), 18),
    "log-sum-exp, axes in the node": (node("ReduceLogSumExp", "z", "y", axes=[-1]), 17),
    "L1": (node("ReduceL1", "z a", "y", keepdims=0), 18),
    "cast": (node("Cast", "z", "y", to=TensorProto.FLOAT), 19),
}


@pytest.mark.parametrize("name", LATER)
def test_later_operators_compute_the_same(name):
    only, opset = LATER[name]
    own = {"s": np.arange(4, dtype=np.float32), "a": np.array([2, 3]), "two": np.array([2, 2], np.float32)}
    own["g"] = np.array([2, 3], np.float32)
    made = model([only], {"z": [1, 4, 3, 3]}, {"y": ["b", "c", "h", "w"]}, own, opset)
    z = values(np.random.default_rng(0), 1, 4, 3, 3)
    expected = run(made, {"z": z})
    found = lowered(copy.deepcopy(made))
    assert opset_of(found) == OPSET
    np.testing.assert_allclose(run(found, {"z": z}), expected, atol=1e-6)


def test_a_logarithm_of_a_sum_computes_the_same():
    made = model([node("ReduceLogSum", "z", "y", axes=[1])], {"z": [1, 4]}, {"y": [1, 1]}, {}, 13)
    z = np.array([[1, 2, 3, 4]], np.float32)
    np.testing.assert_allclose(run(lowered(raised(made)), {"z": z}), [[np.log(10)]], rtol=1e-6)


def test_a_log_sum_exp_of_large_values_is_finite():
    made = model([node("ReduceLogSumExp", "z a", "y")], {"z": [1, 2]}, {"y": [1, 1]}, {"a": np.array([1])}, 18)
    z = np.array([[200, 200]], np.float32)
    np.testing.assert_allclose(run(lowered(made), {"z": z}), [[200 + np.log(2)]], rtol=1e-6)


def test_reductions_that_openvino_misreads_are_taken_apart():
    for kind in ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp"):
        made = lowered(model([node(kind, "z a", "y")], {"z": [1, 4]}, {"y": [1, 1]}, {"a": np.array([1])}, 18))
        assert kind not in {item.op_type for item in made.graph.node}


@pytest.mark.parametrize(("setting", "value"), [("antialias", 1), ("keep_aspect_ratio_policy", "not_larger")])
def test_settings_of_a_resize_that_change_its_values_are_refused(setting, value):
    resize = node("Resize", "z - - size", "y", mode="linear", **{setting: value})
    made = model([resize], {"z": [1, 1, 4, 4]}, {"y": ["b", "c", "h", "w"]}, {"size": np.array([1, 1, 2, 3])}, 18)
    with pytest.raises(ExportError, match=f"does not support Resize with {setting}"):
        lowered(made)


def test_an_earlier_opset_is_raised():
    made = conv_decoder(opset=11)
    z = values(np.random.default_rng(0), 1, 6)
    np.testing.assert_allclose(run(raised(made), {"z": z}), run(made, {"z": z}), atol=1e-6)


def test_what_does_not_exist_before_is_refused():
    made = model(
        [node("RMSNormalization", "z s", "y", axis=1)], {"z": [1, 4, 4]}, {"y": [1, 4, 4]}, {"s": np.ones(4)}, 23
    )
    with pytest.raises(ExportError, match="RMSNormalization from axis 1"):
        lowered(made)


def test_half_precision_becomes_float32():
    made = conv_decoder(dtype=np.float16)
    fix_batch(Path("m.onnx"), made)
    assert to_float32(made) == ("float16",)
    assert run(made, {"z": np.zeros((1, 6), np.float32)}).dtype == np.float32


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_casts_of_pixels_are_left_out(dtype):
    half = np.array(0.5, np.float16 if dtype == TensorProto.FLOAT16 else np.float32)
    nodes = [node("Cast", "x", "r", to=dtype), node("Mul", "r half", "h"), node("Cast", "h", "y", to=TensorProto.UINT8)]
    made = model(nodes, {"x": ["b", 4]}, {"y": ["b", 4]}, {"half": half}, dtype=TensorProto.UINT8)
    pixels = np.array([[0, 7, 100, 255]], np.uint8)
    expected = run(made, {"x": pixels})
    assert pixels_as_floats(made)
    assert [value.type.tensor_type.elem_type for value in (*made.graph.input, *made.graph.output)] == [dtype, dtype]
    found = run(made, {"x": pixels.astype(half.dtype)})
    np.testing.assert_array_equal(found, pixels * half)
    np.testing.assert_array_equal(found.astype(np.uint8), expected)
    assert not pixels_as_floats(made)


def test_integers_that_are_no_pixels_stay():
    nodes = [node("Cast", "x", "r", to=TensorProto.FLOAT), node("Add", "x one", "y")]
    made = model(nodes, {"x": ["b", 4]}, {"y": ["b", 4]}, {"one": np.array(1, np.uint8)}, dtype=TensorProto.UINT8)
    assert not pixels_as_floats(made)  # Another operator reads the integers.
    labels = model([node("Cast", "l", "y", to=TensorProto.FLOAT)], {"l": ["b"]}, {"y": ["b"]}, dtype=TensorProto.INT64)
    assert not pixels_as_floats(labels)
