"""The place of the channels is read from the operators next to an input or output."""

from pathlib import Path

import numpy as np
import pytest

from pocketvae.export.from_onnx.folding import fix_batch
from pocketvae.export.from_onnx.layout import turn_input, turn_output
from pocketvae.export.from_onnx.orders import arranged
from pocketvae.runtimes.onnxruntime import open_session
from pocketvae.spec import Component
from tests.from_onnx_parts import Part
from tests.onnx_files import conv_encoder, model, node, values


def is_second(made, name):
    fix_batch(Path("m.onnx"), made)
    found, _ = arranged({Component.DECODER: Part(made)}, None, is_image=False)
    return found[Component.DECODER][name]


CONV = {"w": np.ones((3, 3, 1, 1), np.float32)}


@pytest.mark.parametrize(
    ("nodes", "shape", "expected"),
    [
        ([node("Conv", "x w", "c"), node("Tanh", "c", "y")], [1, 3, 8, 8], True),
        ([node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w", "c"),
          node("Transpose", "c", "y", perm=[0, 2, 3, 1])], [1, 8, 8, 3], False),
        ([node("Relu", "x", "y")], [1, 1, 28, 28], True),
        ([node("Relu", "x", "y")], [1, 28, 28, 1], False),
        ([node("Relu", "x", "y")], [1, 64, 4], False),
        ([node("Relu", "x", "y")], [1, 64], False),
    ],
)  # fmt: skip
def test_the_nearest_operator_that_knows_decides(nodes, shape, expected):
    made = model(nodes, {"x": shape}, {"y": [None] * len(shape)}, CONV)
    assert is_second(made, "x") is expected
    assert is_second(made, "y") is expected


def test_turned_tensors_hold_the_same_values():
    made = conv_encoder(outputs=("h",))
    fix_batch(Path("m.onnx"), made)
    before = made.SerializeToString()
    turn_input(made.graph, 0)
    turn_output(made.graph, 0, 4)
    x = values(np.random.default_rng(0), 1, 3, 8, 8)
    (expected,) = open_session(before).run(None, {"x": x})
    made.graph.output[0].type.tensor_type.ClearField("shape")
    (found,) = open_session(made.SerializeToString()).run(None, {"x": x.transpose(0, 2, 3, 1)})
    np.testing.assert_array_equal(found, expected.transpose(0, 2, 3, 1))
