import numpy as np
import pytest

from pocketvae.errors import ExportError, RuledOutError
from pocketvae.export.convert.operators import conversion_error, refuse_custom_tflite, refuse_foreign_onnx
from pocketvae.spec import TensorSpec


def tflite_file(code, custom=None):
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, operator = schema.ModelT(), schema.OperatorCodeT()
    operator.builtinCode, operator.customCode = code, custom
    model.operatorCodes, model.buffers = [operator], [schema.BufferT()]
    model.subgraphs = [schema.SubGraphT()]
    model.subgraphs[0].operators = []
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_custom_and_flex_operators_in_a_tflite_file_are_refused_by_name():
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    refuse_custom_tflite(tflite_file(BuiltinOperator.ADD))
    with pytest.raises(
        ExportError, match="TFLite has no built-in operator for Grid: build the model from other operators"
    ):
        refuse_custom_tflite(tflite_file(BuiltinOperator.CUSTOM, "Grid"))
    with pytest.raises(ExportError, match="TFLite has no built-in operator for Erfinv"):
        refuse_custom_tflite(tflite_file(BuiltinOperator.CUSTOM, "FlexErfinv"))


@pytest.mark.parametrize(
    ("op", "domain", "name"), [("Grid", "", "Grid"), ("Gelu", "com.microsoft", r"com\.microsoft\.Gelu")]
)
def test_onnx_operators_outside_the_standard_are_refused_by_name(op, domain, name):
    from onnx import helper

    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node(op, ["y"], ["z"], domain=domain)]
    with pytest.raises(ExportError, match=f"ONNX has no operator for {name}: build the model from other operators"):
        refuse_foreign_onnx(helper.make_model(helper.make_graph(nodes, "g", [], [])), 17)
    refuse_foreign_onnx(helper.make_model(helper.make_graph(nodes[:1], "g", [], [])), 17)


def test_an_operator_of_a_later_standard_is_not_in_this_one():
    from onnx import helper

    graph = helper.make_graph([helper.make_node("BitwiseXor", ["x", "x"], ["y"])], "g", [], [])
    refuse_foreign_onnx(helper.make_model(graph), 18)
    with pytest.raises(ExportError, match="no operator for BitwiseXor"):
        refuse_foreign_onnx(helper.make_model(graph), 17)


def test_a_converter_s_other_words_are_kept():
    assert str(conversion_error("\n  out of luck\nmore")) == "the TFLite converter failed:   out of luck"
    assert str(conversion_error("")) == "the TFLite converter failed: no reason given"


def test_a_kernel_that_is_missing_in_16_bits_rules_the_file_out():
    error = conversion_error("Quantization to 16x8-bit not yet supported for op: 'SQUARE'.")
    assert isinstance(error, RuledOutError)
    assert str(error) == "TFLite has no SQUARE in 16 bits: use int8"
    assert not isinstance(conversion_error("out of luck"), RuledOutError)


def graph(function):
    import tensorflow as tf

    from pocketvae.export.convert.graphs import Graph

    traced = tf.function(
        lambda z: {"image": function(tf, z)}, input_signature=[tf.TensorSpec((1, 3), name="z")], autograph=False
    )
    inputs = (TensorSpec(name="z", dtype="float32", shape=(1, 3)),)
    return Graph(function=traced, model=tf.Module(), inputs=inputs, fused_shuffles=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "names", "in_onnx"),
    [
        (lambda tf, z: tf.linalg.inv(tf.eye(3)[tf.newaxis] + z[:, tf.newaxis]), "MatrixInverse", True),
        (lambda tf, z: tf.strings.to_number(tf.strings.as_string(z)), "AsString, StringToNumber", False),
        (lambda tf, z: tf.math.digamma(z), "Digamma", True),
    ],
)
def test_models_that_would_need_other_operators_are_refused(function, names, in_onnx):
    """MatrixInverse needs Flex, strings have no place in an image model, Digamma is in no runtime at all."""
    from pocketvae.export.convert import onnx as onnx_convert
    from pocketvae.export.convert import tflite
    from pocketvae.export.quantize import tflite as tflite_quantize

    made = graph(function)
    message = f"has no (built-in )?operator for {names}: build the model from other operators"
    samples = {"z": np.zeros((4, 3), np.float32)}
    for convert in (tflite.convert_float32, lambda given: tflite_quantize.calibrate(given, samples)):
        with pytest.raises(ExportError, match=message):
            convert(made)
    if in_onnx:
        with pytest.raises(ExportError, match=message):
            onnx_convert.convert_float32(made)


def test_wrong_16_bit_kernels_are_refused_by_name(monkeypatch):
    from types import SimpleNamespace

    from pocketvae.export.convert import operators

    def file(kind, dtype):
        graph = SimpleNamespace(operators=[SimpleNamespace(kind=kind, inputs=[0, -1])], tensors=[dtype])
        return SimpleNamespace(subgraphs=[graph])

    monkeypatch.setattr(operators, "view_model", lambda content: content)
    monkeypatch.setattr(operators, "operator_name", lambda model, operator: operator.kind)
    monkeypatch.setattr(operators, "dtype_name", lambda tensor: tensor)
    for kind in operators.WRONG_INT16:
        with pytest.raises(RuledOutError, match=rf"computes these wrongly in 16 bits: {kind} .*Use int8"):
            operators.refuse_wrong_int16(file(kind, "int16"))
        operators.refuse_wrong_int16(file(kind, "float32"))
    operators.refuse_wrong_int16(file("MEAN", "int16"))
