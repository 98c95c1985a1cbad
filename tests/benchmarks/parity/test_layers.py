import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pocketvae.benchmarks import layer_lines
from pocketvae.benchmarks.parity.layers import compare_layers, first_bad, layer_reports
from pocketvae.benchmarks.parity.results import NOT_FINITE_DB, Layer
from pocketvae.benchmarks.parity.verify import add_layers, verify_in_detail
from pocketvae.bundle.bundle import open_bundle
from pocketvae.cli.main import main
from pocketvae.export.convert import pixels_onnx, pixels_tflite
from pocketvae.spec import Component, Format, Precision


def layers(*ratios):
    return tuple(Layer(name=f"l{i}", sqnr_db=ratio, max_abs=0.1) for i, ratio in enumerate(ratios))


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ((None, 44.0, 41.0, 40.0), None),
        ((None, None, 20.0, 18.0), "l2"),
        ((44.0, 43.0, 3.0, 40.0), None),
        ((44.0, 43.0, 40.0, 3.0), "l3"),
        ((44.0, 30.0, 25.0, 22.0), "l1"),
        ((), None),
    ],
)
def test_the_first_bad_layer_is_the_one_after_which_it_stays_bad(ratios, expected):
    assert first_bad(layers(*ratios)) == expected


def test_a_ratio_is_of_energies_in_decibels():
    signal = np.ones((4, 1, 10))
    found, unmatched = compare_layers({"a": signal, "b": signal, "c": signal}, {"a": signal * 1.01, "b": signal})
    assert [(layer.name, layer.sqnr_db) for layer in found] == [("a", pytest.approx(40)), ("b", None)]
    assert found[0].max_abs == pytest.approx(0.01)
    assert unmatched == ("c",)


def test_a_tensor_is_found_under_another_number_and_behind_its_quantization():
    signal, other = np.ones((4, 1, 10)), np.full((4, 1, 10), 0.5)
    (by_number,), _ = compare_layers({"relu1": signal}, {"relu2": signal})
    assert by_number.sqnr_db is None
    (exact,), _ = compare_layers({"add1": signal}, {"add1": signal, "add2": other})
    assert exact.sqnr_db is None
    (behind,), _ = compare_layers({"r": signal}, {"r": other, "r_DequantizeLinear_Output": signal})
    assert behind.sqnr_db is None
    _, shape = compare_layers({"r": signal}, {"r": np.ones((4, 1, 5))})
    assert shape == ("r",)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_layer_that_is_not_finite_on_one_side_alone_is_bad(value):
    signal, layer = np.ones((4, 1, 10)), Layer(name="b", sqnr_db=NOT_FINITE_DB, max_abs=None)
    other = signal.copy()
    other[1, 0, 3] = value
    for expected, found in ((signal, other), (other, signal)):
        compared, _ = compare_layers({"a": signal, "b": expected}, {"a": signal, "b": found})
        assert (compared[1], first_bad(compared)) == (layer, "b")
    ((both,), _) = compare_layers({"b": other}, {"b": other.copy()})
    assert (both.sqnr_db, both.max_abs) == (None, 0)


def test_layers_of_zeros_or_of_nothing_have_a_ratio_too():
    zeros, nothing = np.zeros((4, 1, 10)), np.zeros((4, 0))
    (layer, empty), _ = compare_layers({"a": zeros, "b": nothing}, {"a": zeros + 1e30, "b": nothing})
    assert NOT_FINITE_DB < layer.sqnr_db < -3000
    assert empty.sqnr_db is None


def with_half(bundles, folder, change):
    """A bundle with a float16 decoder beside the float32 one: the same network, changed."""
    bundle = bundles.make_bundle(folder)
    manifest = json.loads((bundle / "manifest.json").read_text())
    model = onnx.load(bundle / "decoder.float32.onnx")
    change(model)
    onnx.save(model, bundle / "decoder.float16.onnx")
    record = json.loads(json.dumps(manifest["artifacts"][0]))
    from pocketvae.system.files import sha256_file

    file = bundle / "decoder.float16.onnx"
    record["file"] = {"path": file.name, "sha256": sha256_file(file), "size_bytes": file.stat().st_size}
    record["precision"] = "float16"
    manifest["artifacts"].append(record)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def spoil(model):
    weight = model.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.5), weight.name))


def test_the_layer_that_was_spoiled_is_named(tmp_path, bundles):
    (report,) = layer_reports(open_bundle(with_half(bundles, tmp_path / "b", spoil)))
    assert (report.artifact, report.reference) == ("decoder.float16.onnx", "decoder.float32.onnx")
    assert [layer.name for layer in report.layers] == ["flat", "p", "image"]
    assert report.layers[0].sqnr_db == pytest.approx(20 * np.log10(2), abs=0.01)
    assert report.first_bad == "flat"
    assert report.looking_changed == 0


def overflow(model):
    weight = model.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(weight), np.inf), weight.name))


def rename(model):
    model.graph.node[1].op_type = "NoSuchOperator"


@pytest.mark.parametrize(
    ("change", "words"),
    [(overflow, "3 layers, lowest not finite, output not finite; first bad layer flat"), (rename, "not compared: ")],
)
def test_a_file_that_fails_is_told_in_every_form(tmp_path, bundles, capsys, change, words):
    bundle = with_half(bundles, tmp_path / "b", change)
    files = ["--json", str(tmp_path / "v.json"), "--html", str(tmp_path / "r.html")]
    assert main(["verify", str(bundle), "--layers", *files, "--quiet"]) == 1
    assert f"decoder.float16.onnx layer by layer: {words}" in capsys.readouterr().out
    assert json.loads((tmp_path / "v.json").read_text())["layers"][0]["artifact"] == "decoder.float16.onnx"
    assert "Layer by layer" in (tmp_path / "r.html").read_text()


def test_equal_files_are_equal_everywhere(tmp_path, bundles, capsys):
    bundle = with_half(bundles, tmp_path / "b", lambda model: None)
    result = add_layers(bundle, verify_in_detail(bundle)).result
    assert layer_lines(result) == ["decoder.float16.onnx layer by layer: 3 layers, all equal"]
    assert main(["verify", str(bundle), "--layers", "--html", str(tmp_path / "r.html"), "--quiet"]) == 0
    assert "3 layers, all equal" in capsys.readouterr().out
    assert "Layer by layer" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("format", Format)
def test_an_image_that_is_rounded_to_pixels_is_no_bad_layer(tmp_path, bundles, tflite_models, format):
    """Pixels once counted as 0 to 255, whatever they stand for."""
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    right, change = (bundle.path / "decoder.float32.onnx").read_bytes(), pixels_onnx.with_pixels
    if format is Format.TFLITE:
        right, change = tflite_models.decoder(bundles.right_weight(), bundles.SIDE), pixels_tflite.with_pixels
    contents = {Precision.FLOAT32: right, Precision.FLOAT16: change(right, Component.DECODER, (0.0, 1.0))}
    records = []
    for precision, content in contents.items():
        name = f"decoder.{precision}.{format}"
        (bundle.path / name).write_bytes(content)
        file = bundles._file(bundle.path, name)
        records.append(replace(bundle.manifest.artifacts[0], precision=precision, format=format, file=file))
    (report,) = layer_reports(replace(bundle, manifest=replace(bundle.manifest, artifacts=tuple(records))))
    assert [layer.name for layer in report.layers if layer.sqnr_db is None] == ["flat", "p", "image"]
    assert (report.first_bad, report.looking_changed, report.unmatched) == (None, 0, ())


def test_without_a_float32_file_it_says_so(tmp_path, bundles):
    bundle = with_half(bundles, tmp_path / "b", lambda model: None)
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["artifacts"][0]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (report,) = layer_reports(open_bundle(bundle))
    assert report.reason == "the bundle has no decoder.float32.onnx to compare with"


@pytest.mark.slow
def test_every_real_artifact_is_compared(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    reports = {report.artifact: report for report in layer_reports(bundle)}
    assert len(reports) == 26
    for name, report in reports.items():
        assert report.reason == "", name
        # Equalized channels have other values inside; whether a file needs them, the last digits of training decide.
        is_equalized = any("channels equalized" in note for note in bundle.manifest.artifact(name).notes)
        assert len(report.layers) >= (3 if is_equalized else 5), name
        assert report.looking_changed == 0, name
        assert report.first_bad is None, name
    assert min(layer.sqnr_db for layer in reports["decoder.float16.tflite"].layers if layer.sqnr_db) > 50


def test_a_tensor_of_fused_operations_is_found_under_the_names_of_a_second_trace():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = {
        "d/up_1/Relu;d/up_1/BiasAdd;d/up_1/BiasAdd/ReadVariableOp1": values,
        "d/up_0/BiasAdd;d/up_0/Conv2D": values,
    }
    found = {
        "d/up_1/Relu_1;d/up_1/BiasAdd_1;d/up_1/BiasAdd_1/bias1": values,
        "d/up_0/BiasAdd_1;d/up_0/Conv2D_1": values + 1,
        "d/up_0/BiasAdd_2;d/up_0/Conv2D_2": values + 2,
    }
    layers, unmatched = compare_layers(expected, found)
    assert [layer.name for layer in layers] == ["d/up_1/Relu;d/up_1/BiasAdd;d/up_1/BiasAdd/ReadVariableOp1"]
    # Two tensors may be meant.
    assert unmatched == ("d/up_0/BiasAdd;d/up_0/Conv2D",)
