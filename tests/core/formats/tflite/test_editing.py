import numpy as np
import pytest

from pocketvae.errors import ExportError
from pocketvae.formats.tflite.editing import (
    add_constant,
    add_tensor,
    minimum_version,
    new_operator,
    place_of,
    redirect,
    set_minimum_version,
    signature_entry,
)
from pocketvae.formats.tflite.model import constant, dtype_name, main_signature, read_model, tensor_shape, write_model
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Format


@pytest.fixture
def model(bundles, tflite_models):
    return read_model(tflite_models.decoder(bundles.right_weight(), bundles.SIDE, noted="1.14.0"))


def test_what_is_added_runs(model, bundles):
    graph, entry = model.subgraphs[0], signature_entry(main_signature(model).outputs, "image")
    half = add_constant(model, graph, "half", np.float32(0.5))
    darker = add_tensor(graph, "darker", tensor_shape(graph.tensors[entry.tensorIndex]), "float32")
    graph.operators.append(new_operator(model, "MUL", "MulOptions", [entry.tensorIndex, half], darker))
    z = np.float32([[1, -1, 0.5]])
    with open_runner(write_model(model), Format.TFLITE) as runner:
        before = runner.run({"z": z})["image"]
    graph.outputs, entry.tensorIndex = [darker], darker
    with open_runner(write_model(model), Format.TFLITE) as runner:
        assert np.array_equal(runner.run({"z": z})["image"], before * np.float32(0.5))
    assert (dtype_name(graph.tensors[half]), tensor_shape(graph.tensors[half])) == ("float32", ())
    assert constant(model, graph.tensors[half]).view(np.float32).tolist() == [0.5]


def test_a_kind_of_operator_is_listed_once(model):
    count = len(model.operatorCodes)
    first = new_operator(model, "MUL", "MulOptions", [0, 0], 1)
    second = new_operator(model, "MUL", "MulOptions", [0, 0], 1)
    assert first.opcodeIndex == second.opcodeIndex == count
    assert new_operator(model, "LOGISTIC", "MulOptions", [0], 1).opcodeIndex < count


def test_a_name_that_is_missing_is_refused_with_those_that_are_there(model):
    with pytest.raises(ExportError, match="the file's signature must have 'x', got z"):
        signature_entry(main_signature(model).inputs, "x")


def test_the_converter_s_note_is_read_and_replaced(model, bundles, tflite_models):
    assert minimum_version(model) == "1.14.0"
    set_minimum_version(model, "2.10.0")
    assert minimum_version(read_model(write_model(model))) == "2.10.0"
    plain = read_model(tflite_models.decoder(bundles.right_weight(), bundles.SIDE))
    set_minimum_version(plain, "2.10.0")
    assert minimum_version(plain) == ""


def test_an_operator_is_found_among_equal_ones(model):
    graph = model.subgraphs[0]
    again = [new_operator(model, "MUL", "MulOptions", [0, 0], 1) for _ in range(3)]
    graph.operators += again
    assert [place_of(graph, item) for item in again] == [len(graph.operators) - back for back in (3, 2, 1)]


def test_readers_of_one_tensor_read_another(model):
    graph = model.subgraphs[0]
    before = [list(map(int, operator.inputs)) for operator in graph.operators]
    made = int(graph.operators[0].outputs[0])
    assert any(made in inputs for inputs in before)
    redirect(graph, {made: 99})
    after = [list(map(int, operator.inputs)) for operator in graph.operators]
    assert after == [[99 if index == made else index for index in inputs] for inputs in before]
