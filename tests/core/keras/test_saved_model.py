import pytest

from pocketvae.errors import ExportError
from pocketvae.formats.onnx.metadata import encode_bytes
from pocketvae.keras.io import load_saved_model
from pocketvae.keras.saved_model import impure_operators

OBJECTS = encode_bytes(7, b"")


def node(operator, name=b"n", *inputs):
    return encode_bytes(1, name) + encode_bytes(2, operator) + b"".join(encode_bytes(3, value) for value in inputs)


def function(name, *nodes):
    # FunctionDefLibrary.function: its OpDef signature, then its nodes.
    content = encode_bytes(1, encode_bytes(1, name)) + b"".join(encode_bytes(3, item) for item in nodes)
    return encode_bytes(1, content)


def folder(tmp_path, *, nodes=(), functions=(), more=OBJECTS):
    graph = b"".join(encode_bytes(1, item) for item in nodes) + encode_bytes(2, b"".join(functions))
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01" + encode_bytes(2, encode_bytes(2, graph) + more))
    return tmp_path


SAVER = b"__inference__traced_save_12"


@pytest.mark.parametrize("operator", [b"WriteFile", b"ReadFile", b"PyFunc", b"EagerPyFunc", b"PrintV2", b"SaveV2"])
def test_operators_that_reach_files_or_run_python_are_found(tmp_path, operator):
    for given in (
        {"nodes": [node(operator)], "more": b""},
        {"functions": [function(b"__inference_call_1", node(b"Relu"), node(operator))]},
        # Of a field that is there twice the last counts, so all are looked at.
        {"functions": [function(b"f", node(b"Relu") + encode_bytes(2, operator))]},
    ):
        assert impure_operators(folder(tmp_path, **given)) == (operator.decode(),)


def test_operators_that_compute_and_those_that_restore_the_variables_are_not(tmp_path):
    plain = [node(name) for name in (b"Relu", b"VarHandleOp", b"ReadVariableOp", b"StatefulPartitionedCall", b"Conv2D")]
    savers = [function(SAVER, node(b"ShardedFilename"), node(b"SaveV2"), node(b"MergeV2Checkpoints"))]
    savers.append(function(b"__inference__traced_restore_13", node(b"RestoreV2")))
    assert impure_operators(folder(tmp_path, nodes=plain, functions=[function(b"f", *plain), *savers])) == ()
    # TensorFlow 1 writes the same as nodes of its graph.
    old = [*plain, node(b"SaveV2", b"save/SaveV2", b"save/Const"), node(b"Assign", b"save/Assign", b"save/RestoreV2")]
    assert impure_operators(folder(tmp_path, nodes=old, more=b"")) == ()


def test_savers_that_the_model_calls_are_found(tmp_path):
    saver = function(SAVER, node(b"SaveV2"))
    caller = function(b"__inference_call_1", node(SAVER))
    assert impure_operators(folder(tmp_path, functions=[saver, caller])) == ("SaveV2",)
    assert impure_operators(folder(tmp_path, functions=[saver], more=encode_bytes(7, SAVER))) == ("SaveV2",)
    old = [node(b"SaveV2", b"save/SaveV2"), node(b"Relu", b"out", b"^save/SaveV2")]
    assert impure_operators(folder(tmp_path, nodes=old, more=b"")) == ("SaveV2",)
    entry = encode_bytes(5, encode_bytes(1, b"save/SaveV2:0"))
    assert impure_operators(folder(tmp_path, nodes=old[:1], more=entry)) == ("SaveV2",)


def test_a_damaged_one_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 20)
    with pytest.raises(ExportError, match=r"is not a SavedModel or is damaged: saved_model.pb cannot be read"):
        impure_operators(tmp_path)


def test_such_a_model_is_refused_by_name_before_tensorflow_sees_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pocketvae.keras.io.import_tensorflow", lambda: pytest.fail("TensorFlow was imported"))
    with pytest.raises(ExportError, match=r"operators that reach files or run Python \(WriteFile\): pass --allow-"):
        load_saved_model(folder(tmp_path, functions=[function(b"f", node(b"WriteFile"))]))
