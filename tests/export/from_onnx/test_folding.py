"""Folding: what follows from sizes and weights alone is stored."""

from pathlib import Path

import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.export.from_onnx.folding import fix_batch, fold, shapes_of
from pocketvae.formats.onnx.model import array, initializers
from tests.onnx_files import conv_decoder, model, node

FILE = Path("m.onnx")


def test_a_chain_of_shapes_becomes_the_shape():
    made = conv_decoder()
    assert fix_batch(FILE, made)
    fold(made)
    kinds = [item.op_type for item in made.graph.node]
    assert kinds == ["Gemm", "Reshape", "ConvTranspose", "BatchNormalization", "LeakyRelu", "Conv", "Sigmoid"]
    target = array(initializers(made.graph)[made.graph.node[1].input[1]])
    assert target.tolist() == [1, 4, 4, 4]
    assert shapes_of(made)["image"] == [1, 3, 8, 8]


@pytest.mark.parametrize(
    ("made", "weights"),
    [
        (node("ConvTranspose", "w k b", "c", group=2), {"w": (1, 2, 3, 3), "k": (2, 1, 2, 2), "b": (2,)}),
        (node("LpNormalization", "w", "c", p=1), {"w": (2, 3)}),
        (node("Softmax", "w", "c", axis=1), {"w": (2, 3, 4)}),
        (node("LSTM", "w k r", "c", hidden_size=2, clip=0.1), {"w": (3, 1, 2), "k": (1, 8, 2), "r": (1, 8, 2)}),
    ],
)
def test_what_the_reference_computes_otherwise_than_the_specification_is_not_stored(made, weights):
    stored = {name: np.random.default_rng(0).normal(size=shape).astype(np.float32) for name, shape in weights.items()}
    for opset in (11, 13):
        whole = model([made, node("Mul", "z c", "y")], {"z": ["b", 1]}, {"y": None}, stored, opset=opset)
        fold(whole)
        is_kept = made.op_type != "Softmax" or opset < 13
        assert ("c" in initializers(whole.graph)) is not is_kept


def test_constants_keep_having_no_axes():
    made = model(
        [node("Constant", "", "c", value_float=2.0), node("Max", "z c", "y")], {"z": ["b", 3]}, {"y": ["b", 3]}
    )
    fix_batch(FILE, made)
    fold(made)
    assert array(initializers(made.graph)["c"]).shape == ()


def test_a_fixed_batch_is_told_from_an_open_one():
    assert not fix_batch(FILE, conv_decoder(batch=4))


def test_inputs_that_are_weights_are_no_inputs():
    made = model([node("Add", "z w", "y")], {"z": ["b", 3], "w": [3]}, {"y": ["b", 3]}, {"w": np.ones(3, np.float32)})
    fix_batch(FILE, made)
    assert [given.name for given in made.graph.input] == ["z"]


def test_other_open_sizes_are_refused_with_the_call_that_helps():
    made = model([node("Relu", "z", "y")], {"z": ["b", 4, "h", 8]}, {"y": ["b", 4, "h", 8]})
    with pytest.raises(ExportError, match=r"z \[\?, 4, \?, 8\].*dynamic_axes"):
        fix_batch(FILE, made)


@pytest.mark.parametrize(
    ("known", "expected"), [((4, 6, 8), [1, 4, 6, 8]), ((4, 6, 7), None), ((6, 8), None), ((4, None, 8), None)]
)
def test_open_sizes_that_are_known_are_filled_in_where_they_fit(known, expected):
    made = model([node("Relu", "z", "y")], {"z": ["b", 4, "h", 8]}, {"y": ["b", 4, "h", 8]})
    if expected is None:
        with pytest.raises(ExportError, match=r"got z \[\?, 4, \?, 8\]: say so, or export it with"):
            fix_batch(FILE, made, known, "say so, or ")
    else:
        assert fix_batch(FILE, made, known)
        assert shapes_of(made)["y"] == expected
