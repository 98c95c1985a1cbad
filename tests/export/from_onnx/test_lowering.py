"""Later and earlier opsets and other types come to the same values in one opset and float32."""

import copy
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from pocketvae.errors import ExportError
from pocketvae.export.convert.onnx import OPSET
from pocketvae.export.from_onnx.folding import fix_batch, fold, opset_of
from pocketvae.export.from_onnx.lowering import lower, raised, to_float32
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
    "mean": (node("ReduceMean", "z a", "y", keepdims=1), 18),
    "resize": (node("Resize", "z - two", "y", mode="nearest", axes=[2, 3], nearest_mode="floor"), 18),
    "cast": (node("Cast", "z", "y", to=TensorProto.FLOAT), 19),
}


@pytest.mark.parametrize("name", LATER)
def test_later_operators_compute_the_same(name):
    only, opset = LATER[name]
    own = {"s": np.arange(4, dtype=np.float32), "a": np.array([2, 3]), "two": np.array([2, 2], np.float32)}
    made = model([only], {"z": [1, 4, 3, 3]}, {"y": ["b", "c", "h", "w"]}, own, opset)
    z = values(np.random.default_rng(0), 1, 4, 3, 3)
    expected = run(made, {"z": z})
    found = lowered(copy.deepcopy(made))
    assert opset_of(found) == OPSET
    np.testing.assert_allclose(run(found, {"z": z}), expected, atol=1e-6)


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
