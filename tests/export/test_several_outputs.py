"""Decoders with several outputs, as other people save them: every artifact returns all of them, each in its own unit.

The models are written by processes of their own, see tests/output_models.py.
"""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import pocketvae
from pocketvae.bundle.bundle import open_bundle
from pocketvae.bundle.manifest import MANIFEST_NAME, FileRecord, Manifest
from pocketvae.documents import decode, encode
from pocketvae.export import ExportConfig, ExternalModels, export_external_models, plan_artifacts
from pocketvae.export.rewrites.names import NONE
from pocketvae.outputs import Meaning
from pocketvae.spec import Component, ImageDtype, Precision

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_values")]
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
FLOATS = (Precision.FLOAT32, Precision.FLOAT16, Precision.DYNAMIC_INT8)
DECODER, GENERATOR = (Component.DECODER,), (Component.DECODER, Component.SAMPLER, Component.GENERATOR)


@pytest.fixture(scope="session")
def models(tmp_path_factory, warm_command):
    """Folders of models by the flavour that wrote them."""
    folder = tmp_path_factory.mktemp("outputs")
    for flavour in ("keras2", "keras3"):
        command = [*warm_command("output_models"), flavour, str(folder / flavour)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def export(out, *, components=DECODER, precisions=(Precision.FLOAT32,), **given):
    """Exports and returns the bundle after every artifact in it passed, with what was told."""
    from pocketvae.benchmarks import verify_bundle

    artifacts = plan_artifacts(list(components), precisions=list(precisions))
    config = ExportConfig(artifacts=artifacts, rewrites=NONE, calibration_seeds=1)
    told = []
    export_external_models(ExternalModels(**given), out, config, tell=told.append)
    result = verify_bundle(out)
    assert [(check.artifact, check.metric, check.detail) for check in result.checks if not check.passed] == []
    assert result.not_run == ()
    return open_bundle(out), result, "".join(told)


def limits_of(bundle, artifact):
    return {(limit.output, limit.metric): limit for limit in bundle.manifest.artifact(artifact).tolerances}


@pytest.mark.parametrize("flavour", ["keras2", "keras3"])
def test_a_mean_and_its_log_variance(models, tmp_path, in_process, flavour):
    path = models / flavour / "noise.keras"
    bundle, result, told = export(tmp_path / "b", components=GENERATOR, precisions=FLOATS, decoder=path)
    assert "2 outputs: 'x_mean' holds the data, image; x_log_var [N, 8, 8, 1], logarithm of the variance" in told
    manifest = bundle.manifest
    (log_var,) = manifest.vae.more_outputs
    assert (log_var.name, log_var.shape, log_var.meaning) == ("x_log_var", (8, 8, 1), Meaning.LOG_VAR)
    returned = {item.name: [spec.name for spec in item.outputs] for item in manifest.artifacts}
    assert returned.pop("sampler.float32.tflite") == returned.pop("sampler.float32.onnx") == ["z"]
    assert len(returned) == 12
    assert all(names == ["image", "x_log_var"] for names in returned.values())
    goldens = bundle.goldens(Component.DECODER)
    keras = __import__("tf_keras" if flavour == "keras2" else "keras")
    first, second = keras.models.load_model(path)(goldens.inputs["z"], training=False)
    np.testing.assert_allclose(goldens.outputs["image"], second, atol=1e-5)
    np.testing.assert_allclose(goldens.outputs["x_log_var"], first, atol=1e-5)
    limits = limits_of(bundle, "decoder.dynamic_int8.tflite")
    assert limits["image", "p99_abs"].source == "budget: 4 of 255 grey steps"
    assert limits["x_log_var", "p99_abs"].limit == pytest.approx(4 / 255 * log_var.span)
    assert "% of the noise of p(x|z), whose logarithm of the variance spans" in limits["x_log_var", "p99_abs"].source
    checked = {(check.artifact, check.output) for check in result.checks if check.metric.endswith("_abs")}
    assert checked == {(name, output) for name in returned for output in ("image", "x_log_var")} | {
        ("sampler.float32.tflite", "z"),
        ("sampler.float32.onnx", "z"),
    }
    documents = {"manifest": (tmp_path / "b" / MANIFEST_NAME).read_text(), "verify": encode(result)}
    for name, text in documents.items():
        jsonschema.validate(json.loads(text), json.loads((SCHEMAS / f"{name}.schema.json").read_text()))
    card, page = ((tmp_path / "b" / name).read_text() for name in ("MODEL_CARD.md", "EMBED.md"))
    assert "`image` in [0, 1] and `x_log_var` [8, 8, 1], the logarithm of the variance of p(x|z)" in card
    assert 'return outputs["image"], outputs["x_log_var"]' in page
    assert "to_pixels(generate(seed, index)[0])" in page
    with pocketvae.open(tmp_path / "b") as opened:
        z = opened.sample_latents(7, [0, 1])
        every = opened.decoder().decode_all(z)
        assert list(every) == ["image", "x_log_var"]
        np.testing.assert_array_equal(every["image"], opened.decoder().decode(z))
        generated = opened.generator().generate_all(7, [0, 1])
        np.testing.assert_allclose(generated["x_log_var"], every["x_log_var"], atol=1e-5)
        assert opened.decoder().decode(z).shape == (2, 8, 8, 1)


def test_one_image_at_two_scales_in_integers(models, tmp_path, in_process):
    precisions = (Precision.FLOAT32, Precision.INT8, Precision.INT8_IO, Precision.INT16X8)
    bundle, _, _ = export(tmp_path / "b", precisions=precisions, decoder=models / "keras3" / "scales.keras")
    vae = bundle.manifest.vae
    assert (vae.data_shape, vae.data_range) == ((8, 8, 1), (-1.0, 1.0))
    (half,) = vae.more_outputs
    assert (half.name, half.shape, half.data_range, half.is_picture) == ("b_half", (4, 4, 1), (0.0, 1.0), True)
    assert [item.precision for item in bundle.manifest.artifacts if item.format == "onnx"] == [
        Precision.FLOAT32,
        Precision.INT8,
        Precision.INT16X8,
    ]
    limits = limits_of(bundle, "decoder.int8.tflite")
    # Grey steps of each image's own range.
    assert limits["image", "mean_abs"].limit == pytest.approx(2 / 255)
    assert limits["b_half", "mean_abs"].limit == pytest.approx(1 / 255)
    searched = bundle.manifest.artifact("decoder.int8.tflite").search
    assert {name.split()[0] for name in searched.front[0].errors} == {"image", "b_half"}


def test_mixed_heads(models, tmp_path, in_process):
    bundle, _, told = export(tmp_path / "b", precisions=FLOATS, decoder=models / "keras2" / "heads.keras")
    assert "'picture' holds the data" in told
    assert "left out: 'again' is the same as 'picture'" in told
    logits, slant = bundle.manifest.vae.more_outputs
    assert (logits.name, logits.shape, logits.meaning) == ("digit_logits", (5,), Meaning.LOGITS)
    assert (slant.name, slant.shape, slant.meaning) == ("slant", (1,), Meaning.VALUES)
    source = limits_of(bundle, "decoder.dynamic_int8.onnx")["digit_logits", "p99_abs"].source
    assert source == f"budget: 1.6 % of the logits of classes, {logits.span:.3g}"


def test_a_whole_vae_and_a_saved_model(models, tmp_path, in_process):
    whole = models / "keras3" / "whole.keras"
    bundle, _, told = export(tmp_path / "w", components=(Component.ENCODER, *DECODER), decoder=whole, encoder=whole)
    assert [item.name for item in bundle.manifest.vae.more_outputs] == ["x_log_var"]
    assert "x_mean" in told
    saved, _, _ = export(tmp_path / "s", decoder=models / "keras3" / "noise_saved")
    assert [item.shape for item in saved.manifest.vae.more_outputs] == [(8, 8, 1)]
    decoded = [item.goldens(Component.DECODER).outputs for item in (bundle, saved)]
    assert decoded[0].keys() == {"image", "x_log_var"}


def test_an_onnx_original(tmp_path, in_process):
    from pocketvae.runtimes.onnxruntime import open_session
    from tests.onnx_files import conv_decoder, node, save

    made = conv_decoder()
    made.graph.node.append(node("Identity", "logits", "image_log_var"))
    made.graph.node.append(node("GlobalAveragePool", "l", "pooled"))
    made.graph.node.append(node("Flatten", "pooled", "class_logits", axis=1))
    for name, shape in (("image_log_var", (3, 8, 8)), ("class_logits", (5,))):
        output = made.graph.output.add()
        output.CopyFrom(made.graph.output[0])
        output.name = name
        del output.type.tensor_type.shape.dim[1:]
        for size in shape:
            output.type.tensor_type.shape.dim.add().dim_value = size
    path = save(made, tmp_path / "d.onnx")
    bundle, _, _ = export(tmp_path / "b", precisions=FLOATS, decoder=path)
    goldens = bundle.goldens(Component.DECODER)
    image, log_var, logits = open_session(path.read_bytes()).run(None, {"z": goldens.inputs["z"]})
    np.testing.assert_allclose(goldens.outputs["image"], image.transpose(0, 2, 3, 1), atol=1e-6)
    np.testing.assert_allclose(goldens.outputs["image_log_var"], log_var.transpose(0, 2, 3, 1), atol=1e-6)
    np.testing.assert_allclose(goldens.outputs["class_logits"], logits, atol=1e-6)
    assert [item.meaning for item in bundle.manifest.vae.more_outputs] == [Meaning.LOG_VAR, Meaning.LOGITS]


def test_verify_holds_every_output_to_its_limit(models, tmp_path, in_process):
    """A golden of the log-variance that is off fails its output alone."""
    from pocketvae.benchmarks import verify_bundle

    export(tmp_path / "b", decoder=models / "keras3" / "noise.keras")
    path = tmp_path / "b" / "golden" / "decoder.output.x_log_var.npy"
    values = np.load(path)
    np.save(path, values + np.float32(0.5))
    manifest = decode(Manifest, (tmp_path / "b" / MANIFEST_NAME).read_text(), MANIFEST_NAME)
    record = FileRecord.of("golden/decoder.output.x_log_var.npy", path.read_bytes())
    (golden,) = manifest.goldens
    changed = replace(golden, outputs={**golden.outputs, "x_log_var": record})
    (tmp_path / "b" / MANIFEST_NAME).write_text(encode(replace(manifest, goldens=(changed,))))
    failed = {(check.output, check.metric) for check in verify_bundle(tmp_path / "b").checks if not check.passed}
    assert failed == {("x_log_var", "max_abs")}


def test_pixels_batches_and_reconstructors(models, tmp_path, in_process):
    from pocketvae.benchmarks import verify_bundle

    folder = models / "keras3"
    parts = [Component.ENCODER, Component.DECODER, Component.RECONSTRUCTOR]
    floats = plan_artifacts(parts, precisions=[Precision.FLOAT32])
    pixels = plan_artifacts([Component.DECODER], precisions=[Precision.FLOAT32], image_dtypes=[ImageDtype.UINT8])
    config = ExportConfig(artifacts=(*floats, *pixels), rewrites=NONE, calibration_seeds=1, batches=(1, 4))
    given = ExternalModels(decoder=folder / "noise.keras", encoder=folder / "encoder.keras")
    export_external_models(given, tmp_path / "b", config)
    result = verify_bundle(tmp_path / "b")
    assert [(check.artifact, check.metric, check.detail) for check in result.checks if not check.passed] == []
    manifest = open_bundle(tmp_path / "b").manifest
    returned = {item.name: {spec.name: spec.dtype for spec in item.outputs} for item in manifest.artifacts}
    for format in ("tflite", "onnx"):
        assert returned[f"reconstructor.float32.{format}"] == {"image": "float32", "x_log_var": "float32"}
        # Only the data are pixels.
        assert returned[f"decoder.float32.uint8.{format}"] == {"image": "uint8", "x_log_var": "float32"}
    wide = {(check.artifact, check.output) for check in result.checks if check.batch == 4 and check.metric == "max_abs"}
    assert ("decoder.float32.tflite", "x_log_var") in wide
