import numpy as np
import pytest

from pocketvae.errors import ManifestError, PocketVaeError
from pocketvae.formats.layers import read_layers
from pocketvae.formats.tflite.metadata import metadata_ranges
from pocketvae.formats.tflite.model import (
    constant,
    is_constant,
    main_inputs,
    operator_name,
    read_model,
    tensor_name,
    write_model,
)
from pocketvae.formats.tflite.operators import read_operators
from pocketvae.portability.litert_gpu import check_gpu
from pocketvae.portability.microcontroller import check_microcontroller
from pocketvae.portability.requirements import oldest_runtime
from pocketvae.spec import Format


@pytest.fixture(scope="module")
def content(bundles, tflite_models):
    weight = np.linspace(-1, 1, 2 * 4, dtype=np.float32).reshape(2, 4)
    return tflite_models.decoder(weight, 2, noted="1.14.0")


def read_everything(content):
    """Everything that looks into a file without running it."""
    for graph in read_operators(content):
        check_gpu(graph)
        check_microcontroller(graph)
    read_layers(Format.TFLITE, content)
    oldest_runtime(Format.TFLITE, content)
    metadata_ranges(content)


def outcome(content):
    try:
        read_everything(content)
    except PocketVaeError as e:
        return "refused" if len(str(e).splitlines()) <= 2 else str(e)
    return "read"


def test_a_file_cut_at_any_byte_is_refused_or_read(content):
    assert outcome(content) == "read"
    assert {outcome(content[:size]) for size in range(40)} == {"refused"}
    assert {outcome(content[:size]) for size in range(40, len(content))} <= {"refused", "read"}


@pytest.mark.parametrize("value", [0x00, 0x7F, 0x80, 0xFF])
def test_a_damaged_byte_anywhere_is_refused_or_read(content, value):
    found = [outcome(content[:at] + bytes([value]) + content[at + 1 :]) for at in range(len(content))]
    assert {"refused", "read"} == set(found)


def change(content, edit):
    model = read_model(content)
    edit(model, model.subgraphs[0])
    return write_model(model)


def set_type(model, graph):
    graph.tensors[0].type = 99


def set_buffer(model, graph):
    graph.tensors[0].buffer = 999


def set_shape(model, graph):
    next(tensor for tensor in graph.tensors if tensor_name(tensor) == "w").shape = [4, 200]


def set_name(model, graph):
    graph.tensors[0].name = b"\xff\xfe"


def set_input(model, graph):
    graph.operators[0].inputs = [77]


def set_opcode(model, graph):
    graph.operators[0].opcodeIndex = 9


def set_signature(model, graph):
    model.signatureDefs[0].inputs[0].tensorIndex = 50


def drop_graphs(model, graph):
    model.subgraphs = []


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_type, "tensor 'z' has the unknown type 99"),
        (set_shape, "the constant 'w' needs 3200 bytes, its buffer has 32"),
        (set_name, "the name of a tensor is not UTF-8"),
        (set_input, "the tensors of an operator has number 77 of 6"),
        (set_opcode, "the kind of an operator has number 9 of 3"),
        (set_signature, "the tensors of a signature has number 50 of 6"),
        (drop_graphs, "it has no graph"),
    ],
)
def test_numbers_that_point_nowhere_are_named(content, edit, message):
    with pytest.raises(ManifestError, match=f"the TFLite file is damaged: its operators cannot be read: {message}"):
        read_operators(change(content, edit))


def test_an_error_of_litert_s_own_reader_is_named(content):
    with pytest.raises(ManifestError, match=r"its operators cannot be read \(IndexError: index 999 is out of bounds"):
        read_operators(change(content, set_buffer))


def test_a_file_is_read_and_written_without_loss(content):
    again = write_model(read_model(content))
    assert read_operators(again) == read_operators(content)
    assert main_inputs(read_model(again)) == {"z": 0}


def test_an_operator_is_known_by_its_number_or_its_own_name(content):
    def custom(model, graph):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
        model.operatorCodes[0].customCode = b"Grid"
        model.operatorCodes[1].builtinCode = 9999

    model = read_model(change(content, custom))
    names = [operator_name(model, operator) for operator in model.subgraphs[0].operators]
    assert names == ["Grid", "operator 9999", "RESHAPE"]


@pytest.mark.parametrize("name", [b"\xff\xfe", b"Grid\x1b[31m", b"a\nb"])
def test_the_name_of_a_custom_operator_is_text(content, name):
    def custom(model, graph):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
        model.operatorCodes[0].customCode = name

    with pytest.raises(ManifestError, match=r"the name of a custom operator is not (text|UTF-8)$"):
        read_model(change(content, custom))


def test_a_constant_that_is_stored_behind_the_tables_is_read(content):
    model = read_model(content)
    tensor = next(tensor for tensor in model.subgraphs[0].tensors if constant(model, tensor) is not None)
    expected = constant(model, tensor)
    model.buffers[tensor.buffer].data = expected.tobytes()
    np.testing.assert_array_equal(constant(model, tensor), expected)


def test_a_buffer_without_bytes_is_no_constant(content):
    """As LiteRT has it; the quantizer once took such a tensor for weights."""

    def empty(model, graph):
        model.buffers.append(type(model.buffers[0])())
        model.buffers[-1].data = np.zeros(0, np.uint8)
        graph.tensors[0].buffer = len(model.buffers) - 1

    model = read_model(change(content, empty))
    assert not is_constant(model, model.subgraphs[0].tensors[0])


def test_a_file_without_signature_has_its_tensors_names(content):
    def drop(model, graph):
        model.signatureDefs = None

    assert main_inputs(read_model(change(content, drop))) == {"z": 0}
