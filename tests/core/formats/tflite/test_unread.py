import numpy as np
import pytest

from pocketvae.formats.tflite.editing import add_constant, add_tensor, new_operator
from pocketvae.formats.tflite.model import main_signature, read_model, write_model
from pocketvae.formats.tflite.unread import without_unread
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format

Z = np.float32([[1, -1, 0.5]])


@pytest.fixture
def content(bundles, tflite_models):
    return tflite_models.decoder(bundles.right_weight(), bundles.SIDE, noted="1.14.0")


def image(content):
    with open_runner(content, Format.TFLITE) as runner:
        return runner.run({"z": Z})["image"]


def counts(content):
    model = read_model(content)
    return len(model.subgraphs[0].tensors), len(model.buffers), len(model.operatorCodes)


def with_leftovers(content):
    """The file with a constant, a computed tensor and a kind of operator in front of all others that nothing reads."""
    model = read_model(content)
    graph = model.subgraphs[0]
    half = add_constant(model, graph, "half", np.float32(0.5))
    new_operator(model, "MUL", "MulOptions", [half], add_tensor(graph, "unused", (1,), "float32"))
    # In front, so that every number in the file changes.
    for entry in (*main_signature(model).inputs, *main_signature(model).outputs):
        entry.tensorIndex += 2
    for operator in graph.operators:
        operator.inputs = [index + 2 if index >= 0 else index for index in operator.inputs]
        operator.outputs = [index + 2 for index in operator.outputs]
        operator.opcodeIndex += 1
    graph.inputs = [index + 2 for index in graph.inputs]
    graph.outputs = [index + 2 for index in graph.outputs]
    graph.tensors = [*graph.tensors[-2:], *graph.tensors[:-2]]
    model.operatorCodes = [model.operatorCodes[-1], *model.operatorCodes[:-1]]
    return write_model(model)


def test_what_nothing_reads_is_left_out_and_the_file_computes_the_same(content):
    more = with_leftovers(content)
    assert np.array_equal(image(more), image(content))
    tensors, buffers, codes = counts(content)
    assert counts(more) == (tensors + 2, buffers + 1, codes + 1)
    less = without_unread(more)
    assert counts(less) == (tensors, buffers, codes)
    assert np.array_equal(image(less), image(content))


def test_a_file_that_reads_everything_stays_as_it_is(content):
    less = without_unread(content)
    assert without_unread(less) is less


def test_metadata_keep_their_bytes(content):
    model = read_model(without_unread(with_leftovers(content)))
    found = {entry.name: bytes(model.buffers[entry.buffer].data) for entry in model.metadata}
    assert found == {b"min_runtime_version": b"1.14.0".ljust(16, b"\0")}


def test_an_input_that_is_left_out_stays_left_out(content):
    model = read_model(content)
    operator = next(item for item in model.subgraphs[0].operators if len(item.inputs) == 3)
    operator.inputs = [*operator.inputs[:2], -1]  # the biases
    less = read_model(without_unread(write_model(model)))
    assert [len(item.inputs) for item in less.subgraphs[0].operators].count(3) >= 1
    assert any(-1 in list(item.inputs) for item in less.subgraphs[0].operators)
