import numpy as np
import onnx
import pytest

from pocketvae.errors import ManifestError
from pocketvae.formats.tflite.model import read_model, tensor_type, write_model
from pocketvae.portability.requirements import newest, oldest_runtime
from pocketvae.spec import Format


def needs(content, format=Format.TFLITE):
    found = oldest_runtime(format, content)
    return found.runtime, found.version, found.reason


def decoder(bundles, tflite_models, **options):
    return tflite_models.decoder(bundles.right_weight(), bundles.SIDE, **options)


def test_the_newest_operator_decides(bundles, tflite_models):
    plain = needs(decoder(bundles, tflite_models))
    assert plain == ("TensorFlow Lite", "1.14.0", "LOGISTIC version 1")
    newer = needs(decoder(bundles, tflite_models, versions={"FULLY_CONNECTED": 12}))
    assert newer == ("TensorFlow Lite", "2.17.0", "FULLY_CONNECTED version 12")


@pytest.mark.parametrize("activations", ["INT8", "INT16"])
def test_integer_dense_layers_with_a_scale_a_channel_came_later_than_their_version(tflite_models, activations):
    """Older releases load them and return one image for every input."""
    assert needs(tflite_models.integer_dense([0.1], activations))[1] == "1.14.0"
    assert needs(tflite_models.integer_dense([0.1, 0.2, 0.3, 0.4], activations))[1:] == (
        "2.10.0",
        "FULLY_CONNECTED with a scale for each channel",
    )


def test_dense_layers_with_weights_of_4_bits_came_later_than_their_version(tflite_models):
    """Seen with ai-edge-litert 1.0.1, which refuses them, and 1.4.0."""
    model = read_model(tflite_models.integer_dense([0.1, 0.2, 0.3, 0.4]))
    weights = next(tensor for tensor in model.subgraphs[0].tensors if tensor.name == b"w")
    weights.type = tensor_type("int4")
    model.buffers[weights.buffer].data = np.zeros(8, np.uint8)
    assert needs(write_model(model))[1:] == ("2.20.0", "FULLY_CONNECTED with weights of 4 bits")


@pytest.mark.parametrize(("name", "version"), [("CONV_2D", "2.3.0"), ("TRANSPOSE", "2.5.0")])
def test_kernels_for_int16_came_later_than_the_operator_s_version(tflite_models, name, version):
    assert needs(tflite_models.one_operator(name, dtype="INT16"))[1:] == (version, f"{name} of int16")
    assert needs(tflite_models.one_operator(name))[1] != version


def test_versions_are_compared_as_numbers():
    assert newest(["2.9.0", "2.13.0", "1.15.0"]) == "2.13.0"


def test_a_newer_note_of_the_converter_counts(bundles, tflite_models):
    assert needs(decoder(bundles, tflite_models, noted="2.19.0")) == (
        "TensorFlow Lite",
        "2.19.0",
        "noted by the converter",
    )
    assert needs(decoder(bundles, tflite_models, noted="1.5.0"))[1] == "1.14.0"
    assert needs(decoder(bundles, tflite_models, noted="soon"))[1] == "1.14.0"


def test_an_operator_that_the_table_has_not_got_is_named(tflite_models):
    runtime, version, reason = needs(tflite_models.one_operator("LOGISTIC", version=99))
    assert (runtime, version, reason) == ("TensorFlow Lite", "", "unknown: LOGISTIC version 99")


def test_an_operator_set_decides_for_onnx(bundles):
    model = bundles.decoder_model(bundles.right_weight())
    assert needs(model.SerializeToString(), Format.ONNX) == ("onnxruntime", "1.12", "operator set 17, file format 8")
    model.opset_import[0].version = 21
    assert needs(model.SerializeToString(), Format.ONNX)[1] == "1.18"
    model.opset_import[0].version = 99
    assert needs(model.SerializeToString(), Format.ONNX) == (
        "onnxruntime",
        "",
        "operator set 99, file format 8: newer than pocketvae's table",
    )


def resized(mode, scale=0.5):
    """A resize between two conversions; that after it has a scale of its own."""
    made = onnx.helper.make_node
    nodes = [
        made("QuantizeLinear", ["x", "s", "z"], ["q"]),
        made("DequantizeLinear", ["q", "s", "z"], ["a"]),
        made("Resize", ["a", "", "twice"], ["b"], mode=mode),
        made("QuantizeLinear", ["b", "s2", "z2"], ["q2"]),
        made("DequantizeLinear", ["q2", "s2", "z2"], ["y"]),
    ]
    values = {"s": np.float32(0.5), "s2": np.float32(scale), "z": np.uint8(0), "z2": np.uint8(0)}
    values["twice"] = np.float32([1, 1, 2, 2])
    constants = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def test_a_resize_that_older_releases_compute_in_integers_decides():
    reason = "a quantized Resize that interpolates"
    assert needs(resized("linear"), Format.ONNX)[1:] == ("1.27", reason)
    assert needs(resized("cubic"), Format.ONNX)[1:] == ("1.27", reason)
    assert needs(resized("nearest"), Format.ONNX)[1] == "1.12"
    assert needs(resized("linear", scale=0.25), Format.ONNX)[1] == "1.12"


@pytest.mark.parametrize("format", Format)
def test_a_damaged_file_is_refused(format, bundles, tflite_models):
    good = decoder(bundles, tflite_models)
    if format is Format.ONNX:
        good = bundles.decoder_model(bundles.right_weight()).SerializeToString()
    for content in (b"", b"nonsense that is no model", good[: len(good) // 3]):
        with pytest.raises(ManifestError):
            oldest_runtime(format, content)


@pytest.mark.slow
def test_the_table_has_every_operator_of_an_export_and_agrees_with_its_converter(tiny_bundle):
    from pocketvae.formats.tflite.editing import minimum_version
    from pocketvae.formats.tflite.model import read_model

    for file in sorted(tiny_bundle.glob("*.tflite")):
        found = oldest_runtime(Format.TFLITE, file.read_bytes())
        assert "pocketvae's table does not contain" not in found.reason, file.name
        note = minimum_version(read_model(file.read_bytes()))
        assert newest([found.version, note or found.version]) == found.version, file.name
