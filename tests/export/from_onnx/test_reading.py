"""Files of other programs: their weights come from their own folder, and what no device runs is refused by name."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pocketvae.errors import ExportError
from pocketvae.export.from_onnx.reading import blaming_invalid, read
from tests.onnx_files import conv_decoder, model, node, save


def external(path, location):
    made = conv_decoder()
    onnx.save(made, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    changed = onnx.load(path, load_external_data=False)
    for tensor in changed.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    path.write_bytes(changed.SerializeToString())


def test_weights_beside_the_file_are_merged(tmp_path):
    path = tmp_path / "decoder.onnx"
    external(path, "weights.bin")
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in read(path).graph.initializer}
    for tensor in conv_decoder().graph.initializer:
        np.testing.assert_array_equal(found[tensor.name], numpy_helper.to_array(tensor))


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "sub/../../weights.bin"])
def test_weights_outside_the_folder_are_refused(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    external(folder / "decoder.onnx", location)
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    with pytest.raises(ExportError, match="must lie in its own folder"):
        read(folder / "decoder.onnx")


@pytest.mark.posix
def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    external(folder / "decoder.onnx", "weights.bin")
    (folder / "weights.bin").rename(tmp_path / "outside.bin")
    (folder / "weights.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(ExportError, match="must lie in its own folder"):
        read(folder / "decoder.onnx")


def test_missing_and_short_weights_are_named(tmp_path):
    path = tmp_path / "decoder.onnx"
    external(path, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(b"1234")
    with pytest.raises(ExportError, match="needs bytes .* of 'weights.bin', which has 4"):
        read(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ExportError, match="'weights.bin', which is not beside it: copy that file there too"):
        read(path)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("FusedConv", "z", "y", domain="com.microsoft")], "was optimized for onnxruntime .*FusedConv"),
        ([node("Mine", "z", "y", domain="my.ops")], "custom operators, .*my.ops.Mine"),
        ([node("QuantizeLinear", "z s", "q"), node("DequantizeLinear", "q s", "y")], "is quantized already"),
    ],
)
def test_operators_that_are_not_plain_onnx_are_refused(tmp_path, nodes, message):
    path = save(model(nodes, {"z": [1, 4]}, {"y": [1, 4]}, {"s": np.float32(1)}), tmp_path / "m.onnx")
    with pytest.raises(ExportError, match=message):
        read(path)


def test_control_flow_is_refused_with_the_call_that_helps(tmp_path):
    branch = helper.make_graph([node("Identity", "z", "o")], "b", [], [helper.make_empty_tensor_value_info("o")])
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    path = save(model(nodes, {"z": [1, 4]}, {"y": [1, 4]}, {"c": np.array(True)}), tmp_path / "m.onnx")
    with pytest.raises(ExportError, match=r"control flow \(If\).*torch.onnx.export"):
        read(path)


def test_functions_are_inlined(tmp_path):
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("pkg", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], opsets)
    made = model([node("Twice", "z", "y", domain="pkg")], {"z": [1, 4]}, {"y": [1, 4]}, functions=[function])
    assert [item.op_type for item in read(save(made, tmp_path / "m.onnx")).graph.node] == ["Add"]


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x08 not a model")
    with pytest.raises(ExportError, match="is not an ONNX file or is damaged"):
        read(path)


def test_sizes_that_are_not_those_of_the_values_are_refused_before_onnx_loops_over_them(tmp_path):
    for sizes in ((2**63 - 1,), (-4,), (64, 7, 9)):
        made = conv_decoder()
        made.graph.initializer[0].dims[:] = sizes
        with pytest.raises(ExportError, match=r"'w' must have .* values, but 384 are in the file"):
            read(save(made, tmp_path / "decoder.onnx"))


def test_a_file_without_outputs_is_refused(tmp_path):
    made = conv_decoder()
    del made.graph.output[:]
    with pytest.raises(ExportError, match="has no outputs: export the model again"):
        read(save(made, tmp_path / "decoder.onnx"))


def test_an_interface_that_cannot_be_is_refused(tmp_path):
    for change, message in (
        (lambda value: value.type.tensor_type.shape.dim.add(dim_value=-2), r"'z' cannot have the sizes \[0, 6, -2\]"),
        (lambda value: value.type.tensor_type.shape.dim.add(dim_value=2**40), "'z' cannot have the sizes"),
        (lambda value: setattr(value, "name", "a\nb"), "the name of an input or output is empty, too long or not text"),
    ):
        made = conv_decoder()
        change(made.graph.input[0])
        with pytest.raises(ExportError, match=message):
            read(save(made, tmp_path / "decoder.onnx"))


def test_what_goes_wrong_is_the_file_s_fault_if_it_is_not_valid(tmp_path):
    good, bad = conv_decoder(), conv_decoder()
    bad.graph.node[0].input[0] = "nothing"
    paths = [save(good, tmp_path / "good.onnx"), save(bad, tmp_path / "bad.onnx")]
    told = r"bad.onnx is not a valid ONNX model \(.*nothing.*\): export it again"
    with pytest.raises(ExportError, match=told), blaming_invalid(paths):
        raise KeyError("h")
    with pytest.raises(KeyError), blaming_invalid(paths[:1]):
        raise KeyError("h")
