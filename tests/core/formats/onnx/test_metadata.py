import onnx
import pytest

from pocketvae.errors import ManifestError
from pocketvae.formats.onnx.metadata import GRAPH, IR_VERSION, encode_entry, fields, metadata_entries


def model(bundles):
    made = bundles.decoder_model(bundles.right_weight())
    made.metadata_props.add(key="a", value="1")
    made.metadata_props.add(key="b", value="ö" * 300)
    return made


def test_the_fields_are_the_file(bundles):
    content = model(bundles).SerializeToString()
    found = list(fields(content))
    assert b"".join(field.raw for field in found) == content
    assert next(field.integer for field in found if field.number == IR_VERSION) == 8
    graph = next(field.value for field in found if field.number == GRAPH)
    assert onnx.GraphProto.FromString(graph).node[0].op_type == "MatMul"


def test_entries_are_read_as_onnx_wrote_them(bundles):
    entries = metadata_entries(model(bundles).SerializeToString())
    assert {key: value.decode() for key, value in entries.items()} == {"a": "1", "b": "ö" * 300}


def test_onnx_reads_an_entry_that_was_appended(bundles):
    content = bundles.decoder_model(bundles.right_weight()).SerializeToString()
    read = onnx.load_from_string(content + encode_entry("key", b"x" * 40_000))
    assert [(entry.key, len(entry.value)) for entry in read.metadata_props] == [("key", 40_000)]
    onnx.checker.check_model(read)


@pytest.mark.parametrize("content", [b"\xff" * 30, b"PK\x03\x04", b"\x08", b"\x3a\x80\x80\x80\x80\x04abc"])
def test_what_is_no_message_is_refused(content):
    with pytest.raises(ManifestError, match="not an ONNX file"):
        list(fields(content))
