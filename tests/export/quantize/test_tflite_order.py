import copy
from itertools import permutations

import numpy as np
import pytest

from pocketvae.export.quantize.measured import run_content
from pocketvae.export.quantize.search import QuantizationPlan
from pocketvae.export.quantize.tflite_order import in_one_order
from pocketvae.formats.tflite.model import operator_name, read_model, tensor_name, view_model, write_model
from pocketvae.spec import Format, TensorSpec

pytestmark = pytest.mark.slow

Z = {"z": np.random.default_rng(1).normal(size=(32, 6)).astype(np.float32)}
PARTS = 4


@pytest.fixture(scope="module")
def calibrated():
    """A decoder whose last layer is split into parts that go on in float."""
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph, function_of
    from pocketvae.export.quantize import tflite

    weights = np.random.default_rng(0).normal(size=(6, 16)).astype("f4")

    def decode(z):
        first, *others = tf.split(tf.nn.relu(z @ weights), PARTS, axis=1)
        # The quantizer leaves sines in float.
        return {"image": tf.sin(first) + tf.add_n([factor * tf.sin(part) for factor, part in enumerate(others, 2)])}

    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 6)),)
    graph = Graph(function=function_of(decode, inputs), model=tf.Module(), inputs=inputs, fused_shuffles=0)
    return tflite.calibrate(graph, Z)


@pytest.fixture(scope="module")
def quantized(calibrated):
    """Its file in 8 bits."""
    from pocketvae.export.quantize import tflite

    return tflite.quantize(calibrated, QuantizationPlan())


def dequantized(model):
    """Returns the operators that read the parts, with their places."""
    operators = list(model.subgraphs[0].operators)
    (split,) = [item for item in operators if operator_name(model, item) == "SPLIT"]
    parts = set(map(int, split.outputs))
    found = [(place, item) for place, item in enumerate(operators) if int(item.inputs[0]) in parts]
    assert [operator_name(model, item) for _, item in found] == ["DEQUANTIZE"] * PARTS
    return found


def in_order(content, order):
    """Returns the file as the quantizer might have written it: tensors are numbered and named by their operators."""
    model = read_model(content)
    graph = model.subgraphs[0]
    before = dequantized(model)
    slots = [int(item.outputs[0]) for _, item in before]
    tensors, names = [graph.tensors[slot] for slot in slots], [graph.tensors[slot].name for slot in slots]
    moved = {}
    for place, slot, name, chosen in zip([place for place, _ in before], slots, names, order, strict=True):
        operator = before[chosen][1]
        moved[slots[chosen]] = slot
        graph.tensors[slot] = copy.copy(tensors[chosen])
        graph.tensors[slot].name = name
        graph.operators[place] = operator
    for operator in graph.operators:
        operator.inputs = [moved.get(int(index), int(index)) for index in operator.inputs]
    for slot, chosen in zip(slots, order, strict=True):
        before[chosen][1].outputs = [slot]
    return write_model(model)


def test_every_order_becomes_the_same_file(quantized):
    made = {in_order(quantized, order) for order in permutations(range(PARTS))}
    assert len(made) == 24
    assert {in_one_order(content) for content in made} == {in_one_order(quantized)}


def test_the_file_computes_what_it_did(quantized):
    shuffled = in_order(quantized, (2, 0, 3, 1))
    expected = run_content(Format.TFLITE, quantized, Z)["image"]
    for content in (shuffled, in_one_order(shuffled)):
        np.testing.assert_array_equal(run_content(Format.TFLITE, content, Z)["image"], expected)


def test_operators_and_names_follow_what_is_read(quantized):
    model = view_model(in_one_order(in_order(quantized, (3, 2, 1, 0))))
    operators = [item for _, item in dequantized(model)]
    read = [int(item.inputs[0]) for item in operators]
    made = [int(item.outputs[0]) for item in operators]
    assert read == sorted(read)
    assert made == sorted(made)
    names = [tensor_name(model.subgraphs[0].tensors[index]) for index in made]
    original = view_model(quantized)
    assert names == [tensor_name(original.subgraphs[0].tensors[index]) for index in made]


def test_the_quantizer_makes_one_file(calibrated):
    from pocketvae.export.quantize import tflite

    # Alone it made 6 to 13 files in 16 calls.
    assert len({tflite.quantize(calibrated, QuantizationPlan()) for _ in range(8)}) == 1


def test_a_file_without_such_operators_stays(calibrated):
    assert in_one_order(calibrated) is calibrated
