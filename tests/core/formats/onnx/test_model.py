import numpy as np
import pytest
from onnx import helper, numpy_helper

from pocketvae.errors import ManifestError, PocketVaeError
from pocketvae.formats.layers import read_layers
from pocketvae.formats.onnx.metadata import metadata_entries
from pocketvae.formats.onnx.model import add_outputs, array, constants, load_model, replace_array, sort_nodes
from pocketvae.portability.requirements import oldest_runtime
from pocketvae.spec import Format


@pytest.fixture(scope="module")
def content(bundles):
    return bundles.decoder_model(np.ones((2, 4), np.float32)).SerializeToString()


def outcome(content):
    try:
        read_layers(Format.ONNX, content)
        oldest_runtime(Format.ONNX, content)
        metadata_entries(content)
        constants(load_model(content).graph)
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


def test_damage_is_said_in_one_line():
    with pytest.raises(ManifestError, match=r"^the ONNX file is damaged: its graph cannot be read \(DecodeError"):
        load_model(b"\xff" * 50)
    with pytest.raises(ManifestError, match="its graph cannot be read: it has no graph"):
        load_model(b"")


def test_the_name_of_an_operator_is_text():
    model = helper.make_model(helper.make_graph([helper.make_node("Re\x1b[31mlu", ["x"], ["y"])], "g", [], []))
    with pytest.raises(ManifestError, match="the name of an operator is not text$"):
        load_model(model.SerializeToString())


def test_constants_are_stored_or_made_by_nodes():
    value = numpy_helper.from_array(np.float32([1, 2]), "value")
    nodes = [
        helper.make_node("Constant", [], ["c"], value=value),
        # Its numbers stand in the attribute itself, without a tensor.
        helper.make_node("Constant", [], ["f"], value_float=3.0),
    ]
    graph = helper.make_graph(nodes, "g", [], [], [numpy_helper.from_array(np.int64([7]), "w")])
    found = constants(graph)
    assert {name: array(tensor).tolist() for name, tensor in found.items()} == {"w": [7], "c": [1, 2]}
    replace_array(found["w"], np.int64([8, 9]))
    assert (graph.initializer[0].name, array(graph.initializer[0]).tolist()) == ("w", [8, 9])
    add_outputs(graph, ["c", "c2"])
    add_outputs(graph, ["c"])
    assert [output.name for output in graph.output] == ["c", "c2"]


def test_nodes_are_put_behind_those_whose_outputs_they_read():
    nodes = [
        helper.make_node("Relu", ["scaled"], ["y"], "last"),
        helper.make_node("Neg", ["x"], ["negative"], "first"),
        helper.make_node("Mul", ["negative", "weights"], ["scaled"], "second"),
        helper.make_node("Abs", ["x"], ["other"], "free"),
    ]
    graph = helper.make_graph(nodes, "g", [], [])
    sort_nodes(graph)
    assert [node.name for node in graph.node] == ["first", "second", "free", "last"]
