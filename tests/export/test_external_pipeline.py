"""Models of other people: every family is exported and verified, what cannot be is refused.

The models are written by processes of their own, see tests/external_models.py. To start TensorFlow once, most
exports run in this process; the command line is tested with real workers.
"""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import pocketvae
from pocketvae.bundle.bundle import open_bundle
from pocketvae.cli.main import main
from pocketvae.errors import DataError, ExportError, OutputExistsError, SpecError
from pocketvae.export import (
    CustomCode,
    DecoderOutput,
    ExportConfig,
    ExternalModels,
    PriorFit,
    Role,
    export_external_models,
    external_pipeline,
    pipeline,
    plan_artifacts,
)
from pocketvae.export.external.messages import PREPARE
from pocketvae.export.rewrites.names import AUTO, NONE
from pocketvae.numerics.noise import normal_noise
from pocketvae.spec import Component, Format, Precision
from pocketvae.vae_spec import DataKind, Latent, Likelihood, PriorKind

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_values")]
ROOT = Path(__file__).parents[2]
FLAVOURS = ("keras2", "keras3")


@pytest.fixture(scope="session")
def models(tmp_path_factory, warm_command):
    """Folders of models by the flavour that wrote them."""
    folder = tmp_path_factory.mktemp("own")
    for flavour in FLAVOURS:
        command = [*warm_command("external_models"), flavour, str(folder / flavour)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


def plan(*names):
    return tuple(
        artifact
        for artifact in plan_artifacts([Component.ENCODER, Component.DECODER])
        if artifact.filename in names or artifact.filename.split(".", 1)[1] in names
    )


FAMILY = ("float32.tflite", "int8.tflite", "float32.onnx")
FLOATS = ("float32.tflite", "float32.onnx")


def export(out, *, names=FAMILY, data=None, rewrites=AUTO, **given):
    """Exports, without rewrites where another test tries those layers, since every form of them is converted."""
    artifacts = [artifact for artifact in plan(*names) if artifact.component is Component.DECODER or "encoder" in given]
    # More than one set of calibration samples is what data from outside and labels are tested with.
    seeds = 1 if data is None else 3
    config = ExportConfig(artifacts=tuple(artifacts), rewrites=rewrites, calibration_seeds=seeds)
    return export_external_models(ExternalModels(**given), out, config, data=data)


def verified(out):
    """Returns the bundle after every artifact in it passed."""
    from pocketvae.benchmarks import verify_bundle

    result = verify_bundle(out)
    assert [(check.artifact, check.metric, check.detail) for check in result.checks if not check.passed] == []
    assert result.not_run == ()
    return open_bundle(out)


def pair_of(folder, name):
    return {"decoder": folder / f"{name}_decoder.keras", "encoder": folder / f"{name}_encoder.keras"}


def shapes(bundle):
    return {
        artifact.name: {spec.name: spec.shape for spec in (*artifact.inputs, *artifact.outputs)}
        for artifact in bundle.manifest.artifacts
    }


def test_the_vae_of_keras_own_example_from_the_command_line(models, tmp_path, capsys):
    """With real processes: export, verify, inspect, card, and bench with the Keras 3 original beside it."""
    from pocketvae.benchmarks import BenchConfig, bench_bundle
    from pocketvae.benchmarks.latency.messages import OriginalCall
    from pocketvae.cli import main as cli

    folder, out = models / "keras3", tmp_path / "bundle"
    words = ["export", "--decoder", str(folder / "example.keras"), "--encoder", str(folder / "encoder.keras")]
    assert cli.main([*words, "--out", str(out), "--precisions", "float32", "--quiet"]) == 0
    bundle = verified(out)
    manifest = bundle.manifest
    assert [artifact.name for artifact in manifest.artifacts] == [
        "encoder.float32.tflite",
        "encoder.float32.onnx",
        "decoder.float32.tflite",
        "decoder.float32.onnx",
        "sampler.float32.tflite",
        "sampler.float32.onnx",
        "generator.float32.tflite",
        "generator.float32.onnx",
    ]
    assert manifest.name == "example"
    assert manifest.provenance["decoder loaded as"].startswith("Keras 3, written by Keras 3.")
    assert manifest.provenance["decoder source sha256"] == manifest.original[Component.DECODER].sha256
    assert manifest.provenance["encoder outputs"] == "z_log_var = log_var, z_mean = mean"
    assert manifest.provenance["calibrated and tested with"].endswith(
        "the encoder with the decoder's images of such latents"
    )
    assert [s.name for s in manifest.golden(Component.ENCODER).strata] == ["decoded prior", "decoded tails"]
    assert [(s.name, s.count) for s in manifest.golden(Component.DECODER).strata] == [("prior", 256), ("tails", 64)]
    card = (out / "MODEL_CARD.md").read_text()
    assert "was not trained by pocketvae; nothing is known of its training" in card
    assert "decoder loaded as: Keras 3" in card
    schema = json.loads((ROOT / "docs" / "schemas" / "manifest.schema.json").read_text())
    jsonschema.validate(json.loads((out / "manifest.json").read_text()), schema)
    capsys.readouterr()
    assert cli.main(["inspect", str(out)]) == 0
    assert "model: 8x8x1 images, 3 latent dimensions" in capsys.readouterr().out
    result = bench_bundle(out, BenchConfig(artifacts=("decoder.float32.tflite",)))
    assert {row.target for row in result.results if row.is_original} == set(OriginalCall)
    assert result.not_run == ()


def test_onnx_files_are_originals_on_onnxruntime(tmp_path, in_process):
    from pocketvae.benchmarks import BenchConfig, bench_bundle
    from pocketvae.runtimes.onnxruntime import open_session
    from tests.onnx_files import conv_decoder, conv_encoder, save

    encoder = conv_encoder(batch=1, draws=True, outputs=("mu", "logvar", "z"))
    files = {"decoder": save(conv_decoder(), tmp_path / "d.onnx"), "encoder": save(encoder, tmp_path / "e.onnx")}
    told = []
    names = ("float32.tflite", "float32.onnx")
    config = ExportConfig(artifacts=plan(*names), calibration_seeds=1, rewrites=NONE)
    export_external_models(ExternalModels(**files), tmp_path / "b", config, tell=told.append)
    bundle = verified(tmp_path / "b")
    assert "image [N, C, H, W] is [N, H, W, C] in every artifact" in "".join(told)
    assert "image [N, C, H, W] is [N, H, W, C] in every artifact" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
    goldens = bundle.goldens(Component.DECODER)
    (expected,) = open_session(conv_decoder().SerializeToString()).run(None, {"z": goldens.inputs["z"]})
    np.testing.assert_allclose(goldens.outputs["image"], expected.transpose(0, 2, 3, 1), atol=1e-6)
    assert shapes(bundle)["decoder.float32.onnx"] == {"z": (1, 6), "image": (1, 8, 8, 3)}
    assert shapes(bundle)["encoder.float32.tflite"] == {"x": (1, 8, 8, 3), "z_mean": (1, 6), "z_log_var": (1, 6)}
    result = bench_bundle(tmp_path / "b", BenchConfig(artifacts=("decoder.float32.onnx",)))
    assert {row.target for row in result.results if row.is_original} == {"onnxruntime"}
    assert result.not_run == ()


def test_onnx_files_of_integer_codes_are_exported(tmp_path, in_process):
    from pocketvae.runtimes.onnxruntime import open_session
    from tests.onnx_files import codes_of_vectors, decoder_of_codes, save

    files = {"decoder": save(decoder_of_codes(1), tmp_path / "d.onnx")}
    files["encoder"] = save(codes_of_vectors(1), tmp_path / "e.onnx")
    config = ExportConfig(artifacts=plan("float32.tflite", "float32.onnx"), calibration_seeds=1, rewrites=NONE)
    export_external_models(ExternalModels(**files), tmp_path / "b", config)
    verified(tmp_path / "b")
    x = np.random.default_rng(0).random((5, 1, 12, 12)).astype(np.float32)
    (codes,) = open_session(codes_of_vectors().SerializeToString()).run(None, {"x": x})
    with pocketvae.open(tmp_path / "b") as bundle:
        (latent,) = bundle.vae.latents
        assert (latent.shape, latent.codes) == ((3, 3), 8)
        for format in ("tflite", "onnx"):
            found = bundle.encoder(format=format).encode(x.transpose(0, 2, 3, 1)).z_mean
            np.testing.assert_array_equal(found.reshape(codes.shape), codes)


def test_the_encoder_s_outputs_are_those_of_the_original(models, tmp_path, in_process):
    """The original returns (log_var, mean); the goldens must not be swapped."""
    import tf_keras

    path = models / "keras2" / "encoder.keras"
    export(tmp_path / "b", decoder=models / "keras2" / "example.keras", encoder=path, names=FAMILY, rewrites=NONE)
    goldens = verified(tmp_path / "b").goldens(Component.ENCODER)
    log_var, mean = tf_keras.models.load_model(path)(goldens.inputs["x"])
    np.testing.assert_allclose(goldens.outputs["z_mean"], mean, atol=1e-6)
    np.testing.assert_allclose(goldens.outputs["z_log_var"], log_var, atol=1e-6)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_batch_normalization_runs_in_inference_mode(models, tmp_path, in_process, flavour):
    rewrites = AUTO if flavour == "keras2" else NONE
    export(tmp_path / "b", decoder=models / flavour / "bn.keras", rewrites=rewrites)
    goldens = verified(tmp_path / "b").goldens(Component.DECODER)
    # In training mode an image would depend on the others of its batch.
    keras = __import__("tf_keras" if flavour == "keras2" else "keras")
    one = keras.models.load_model(models / flavour / "bn.keras")(goldens.inputs["z"][:1], training=False)
    np.testing.assert_allclose(goldens.outputs["image"][:1], one, atol=1e-5)


@pytest.mark.parametrize(("flavour", "name"), [("keras2", "k2"), ("keras3", "example"), ("keras2", "rgb64")])
def test_transposed_convolutions(models, tmp_path, in_process, flavour, name):
    """Kernels of 2 and 3, and of 4 with 64x64 RGB images; bn has 4 and k5 below 5."""
    rewrites = AUTO if name == "k2" else NONE
    export(tmp_path / "b", decoder=models / flavour / f"{name}.keras", rewrites=rewrites)
    assert verified(tmp_path / "b").manifest.vae.image_shape == ((64, 64, 3) if name == "rgb64" else (8, 8, 1))


def test_an_image_of_128_pixels(models, tmp_path, in_process):
    names = "float32.tflite", "float32.onnx"
    export(tmp_path / "b", decoder=models / "keras3" / "rgb128.keras", names=names, rewrites=NONE)
    assert verified(tmp_path / "b").manifest.vae.image_shape == (128, 128, 3)


def test_a_spatial_latent(models, tmp_path, in_process):
    folder, parts = models / "keras3", [Component.ENCODER, Component.DECODER, Component.SAMPLER, Component.GENERATOR]
    given = ExternalModels(decoder=folder / "spatial_decoder.keras", encoder=folder / "spatial_encoder.keras")
    artifacts = plan_artifacts(parts, precisions=[Precision.FLOAT32])
    config = ExportConfig(artifacts=artifacts, rewrites=NONE, batches=(1, 4))
    export_external_models(given, tmp_path / "b", config)
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.latents == (Latent(shape=(2, 2, 3)),)
    assert bundle.goldens(Component.ENCODER).outputs["z_mean"].shape[1:] == (2, 2, 3)
    pairs = bundle.goldens(Component.SAMPLER)
    noise = normal_noise(pairs.inputs["seed"], pairs.inputs["index"], 12)
    np.testing.assert_array_equal(pairs.outputs["z"], noise.reshape(-1, 2, 2, 3))
    with pocketvae.open(tmp_path / "b") as opened:
        latents = opened.sample_latents(7, [0, 1])
        images = opened.decoder().decode(latents)
        assert latents.shape == (2, 12)
        np.testing.assert_array_equal(opened.decoder().decode(latents.reshape(2, 2, 2, 3)), images)
        np.testing.assert_allclose(opened.generator().generate(7, [0, 1]), images, atol=1e-6)
        assert opened.encoder().encode(images).z_mean.shape == (2, 12)
        with pytest.raises(DataError, match=r"z must be \[N, 12\] or \[N, 2, 2, 3\], got \[3\]"):
            opened.decoder().decode(latents[0, :3])


def test_sequences_have_units_and_pictures_of_their_own(models, tmp_path, in_process):
    from pocketvae.benchmarks.report.contact_sheet import contact_rows

    folder, out, data = models / "keras3", tmp_path / "b", tmp_path / "walks.npy"
    np.save(data, np.random.default_rng(0).uniform(-1, 1, 40 * 32).reshape(40, 16, 2))
    export(out, data=str(data), rewrites=NONE, **pair_of(folder, "sequence"))
    bundle = verified(out)
    vae = bundle.manifest.vae
    assert vae.data_range[0] <= -0.99 < 0.99 <= vae.data_range[1]
    assert bundle.manifest.provenance["calibrated and tested with"].endswith("sequences of walks.npy")
    assert bundle.goldens(Component.ENCODER).inputs["x"].shape == (4, 16, 2)
    assert (vae.data, vae.data_shape) == (DataKind.SEQUENCE, (16, 2))
    assert shapes(bundle)["decoder.int8.tflite"] == {"z": (1, 3), "sequence": (1, 16, 2)}
    limits = bundle.manifest.artifact("decoder.int8.tflite").tolerances
    assert {limit.output for limit in limits} == {"sequence"}
    assert limits[0].source == f"budget: 1.6 % of the range of {vae.range_span:.3g}"
    assert limits[0].limit == pytest.approx(4 / 255 * vae.range_span)
    assert len(contact_rows(bundle)) == 4
    assert "for sequences of 16 time steps, 2 channels" in (out / "MODEL_CARD.md").read_text()
    assert "toBitmap" not in (out / "EMBED.md").read_text()
    with pytest.raises(
        DataError, match=r"data of sequences \[16, 2\] must be an \.npz or \.npy file, or recordings .*, got mnist"
    ):
        export(tmp_path / "c", data="mnist", **pair_of(folder, "sequence"))


def test_vectors_and_sequences_are_generated_as_tables_arrays_and_curves(models, tmp_path, in_process):
    folder, out = models / "keras3", tmp_path / "b"
    export(out, decoder=folder / "odd_decoder.keras", names=("float32.tflite",), rewrites=NONE)
    assert verified(out).manifest.vae.data is DataKind.VECTOR
    for name in ("g.csv", "g.npz", "g.png"):
        assert main(["generate", str(out), "--count", "3", "--seed", "5", "--out", str(tmp_path / name)]) == 0
    header, *rows = (tmp_path / "g.csv").read_text().splitlines()
    assert header.split(",") == ["index", *(f"value_{index}" for index in range(24))]
    with pocketvae.open(out) as opened:
        expected = opened.decoder().decode(opened.sample_latents(5, [0, 1, 2]))
    written = np.array([row.split(",")[1:] for row in rows], np.float32)
    np.testing.assert_array_equal(written, expected)
    np.testing.assert_array_equal(np.load(tmp_path / "g.npz")["vectors"], expected)
    assert main(["generate", str(out), "--out", str(tmp_path / "folder")]) == 2
    assert main(["interpolate", str(out), "--seeds", "1,2", "--out", str(tmp_path / "i.gif")]) == 0


def test_a_tanh_image_has_its_own_range(models, tmp_path, in_process):
    from pocketvae.benchmarks.report.contact_sheet import contact_rows

    # Without rewrites, which are chosen by a race and would give the layers other names.
    export(tmp_path / "b", decoder=models / "keras3" / "k5.keras", rewrites=NONE)
    bundle = verified(tmp_path / "b")
    vae = bundle.manifest.vae
    assert (vae.data_range, vae.range_is_strict, vae.likelihood) == ((-1.0, 1.0), True, Likelihood.UNKNOWN)
    assert bundle.goldens(Component.DECODER).outputs["image"].min() < -0.1
    # The quantizer ignores requests to keep a transposed convolution in float; pocketvae has a way that it heeds.
    assert any("conv2d_transpose" in note for note in bundle.manifest.artifact("decoder.int8.tflite").notes)
    limits = {t.metric: t.limit for t in bundle.manifest.artifact("decoder.int8.tflite").tolerances}
    assert limits["p99_abs"] == pytest.approx(2 * 4 / 255)
    assert "`image` in [-1, 1]" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
    assert len(contact_rows(bundle)) == 4


def test_upsampling_and_an_image_of_any_range(models, tmp_path, in_process):
    result = export(tmp_path / "b", decoder=models / "keras3" / "upsample.keras")
    assert "was assumed to be the image itself; name it with --decoder-output" in result.doubts[0]
    vae = verified(tmp_path / "b").manifest.vae
    assert not vae.range_is_strict
    assert vae.data_range[0] < -1


def test_logits_get_a_sigmoid(models, tmp_path, in_process):
    decoder = models / "keras2" / "upsample.keras"
    export(tmp_path / "b", decoder=decoder, decoder_output=DecoderOutput.LOGITS, rewrites=NONE)
    bundle = verified(tmp_path / "b")
    image = bundle.goldens(Component.DECODER).outputs["image"]
    assert bundle.manifest.vae.likelihood is Likelihood.BERNOULLI
    assert 0 < image.min() < image.max() < 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_flat_models_stay_flat(models, tmp_path, in_process, flavour):
    from pocketvae.benchmarks.report.contact_sheet import contact_rows

    folder = models / flavour
    export(tmp_path / "b", decoder=folder / "mlp_decoder.keras", encoder=folder / "mlp_encoder.keras")
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.image_shape == (28, 28, 1)
    assert shapes(bundle)["decoder.int8.tflite"] == {"z": (1, 3), "image": (1, 784)}
    assert shapes(bundle)["encoder.float32.onnx"] == {"x": (1, 784), "z_mean": (1, 3), "z_log_var": (1, 3)}
    assert len(contact_rows(bundle)) == 4


def test_images_calibrate_an_encoder(models, tmp_path, in_process, mnist_npz):
    folder = models / "keras2"
    given = {"decoder": folder / "mlp_decoder.keras", "encoder": folder / "mlp_encoder.keras"}
    export(tmp_path / "b", data=str(mnist_npz), names=("int8.tflite",), **given)
    manifest = verified(tmp_path / "b").manifest
    assert [s.name for s in manifest.golden(Component.DECODER).strata] == ["posterior", "prior", "tails"]
    assert [s.name for s in manifest.golden(Component.ENCODER).strata] == ["grey"]
    assert manifest.calibration.image_count == 512
    with pytest.raises(DataError, match=r"images must be \(8, 8, 1\) as for the decoder, got \(28, 28, 1\)"):
        export(tmp_path / "c", data=str(mnist_npz), decoder=folder / "example.keras", encoder=folder / "encoder.keras")
    assert not (tmp_path / "c").exists()


@pytest.fixture
def fitted_here(monkeypatch):
    """Fits priors in this process, twice, to the same bytes: an interrupted export goes on only with the same."""
    from pocketvae.export.external.preparation import prepare_models
    from pocketvae.export.external.prior_fitting import fit_prior

    def ask(command, method, request, *_):
        if method == PREPARE:
            return prepare_models(request)
        again = Path(request.out).with_name("again.keras")
        fit_prior(replace(request, out=str(again)))
        found = fit_prior(request)
        assert Path(request.out).read_bytes() == again.read_bytes()
        return found

    monkeypatch.setattr(external_pipeline, "_ask", ask)


@pytest.mark.parametrize(("name", "fit", "latent"), [("spatial", "gmm", (2, 2, 3)), ("conditional", "gmm", (3,))])
def test_a_prior_is_fitted_to_any_latent_and_with_labels(models, tmp_path, in_process, fitted_here, name, fit, latent):
    side = 8 if name == "spatial" else 4
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x=rng.random((300, side, side), np.float32), y=np.arange(300) % 5)
    given = {part: models / "keras2" / f"{name}_{part}.keras" for part in ("decoder", "encoder")}
    parts = [Component.DECODER, Component.PRIOR]
    config = ExportConfig(artifacts=plan_artifacts(parts, [Format.ONNX], [Precision.FLOAT32]), rewrites=NONE)
    data, prior = str(tmp_path / "x.npz"), PriorFit(fit)
    export_external_models(ExternalModels(**given), tmp_path / "b", config, data=data, prior=prior)
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.prior is PriorKind.MIXTURE
    assert bundle.goldens(Component.PRIOR).outputs["z"].shape[1:] == latent
    assert "held-out latents" in bundle.manifest.provenance["prior's gain"]
    assert ("of all labels together" in bundle.manifest.provenance["prior"]) == (name == "conditional")


def test_a_prior_for_each_label_in_sampler_and_generator(models, tmp_path, in_process, fitted_here):
    """Of Keras 3, whose decoder is no layer of a model with the prior in front, which is Keras 2."""
    rng = np.random.default_rng(0)
    labels = np.arange(900) % 4
    np.savez(tmp_path / "x.npz", x=rng.random((900, 4, 4), np.float32) ** (1 + 3 * labels[:, None, None]), y=labels)
    given = {part: models / "keras3" / f"conditional_{part}.keras" for part in ("decoder", "encoder")}
    parts = [Component.DECODER, Component.PRIOR, Component.SAMPLER, Component.GENERATOR]
    config = ExportConfig(artifacts=plan_artifacts(parts, list(Format), [Precision.FLOAT32]), rewrites=NONE)
    source = str(tmp_path / "x.npz")
    export_external_models(ExternalModels(**given), tmp_path / "b", config, data=source, prior=PriorFit.GMM)
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.prior_takes_label
    assert "3:" in bundle.manifest.provenance["prior's gain by label"]
    for format in ("tflite", "onnx"):
        files = [f"{part}.float32.{format}" for part in ("prior", "sampler", "generator")]
        assert [sorted(set(shapes(bundle)[file]) - {"z", "image"}) for file in files] == [
            ["eps", "label"],
            ["index", "label", "seed"],
            ["index", "label", "seed"],
        ]
    with pocketvae.open(tmp_path / "b") as opened:
        latents = [opened.sample_latents(1, np.arange(200), label=label) for label in (0, 3)]
        np.testing.assert_allclose(opened.sampler().sample(1, np.arange(200), 3), latents[1], atol=1e-4)
        images = opened.generator().generate(1, np.arange(4), 3)
        np.testing.assert_allclose(images, opened.decoder().decode(latents[1][:4], 3), atol=1e-4)
    assert np.abs(latents[0].mean(0) - latents[1].mean(0)).max() > 0.05


@pytest.mark.parametrize(("flavour", "name"), [("keras2", "column"), ("keras3", "conditional"), ("keras3", "column")])
def test_conditional_models_take_a_label(models, tmp_path, in_process, flavour, name):
    folder = models / flavour
    export(
        tmp_path / "b",
        decoder=folder / f"{name}_decoder.keras",
        encoder=folder / f"{name}_encoder.keras",
        names=("float32.tflite", "float32.onnx"),
    )
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.label_count == 5
    assert shapes(bundle)["decoder.float32.tflite"] == {"z": (1, 3), "label": (1,), "image": (1, 4, 4, 1)}
    labels = bundle.goldens(Component.DECODER).inputs["label"]
    assert set(labels.tolist()) == set(range(5))


def test_a_subclassed_model_as_a_saved_model(models, tmp_path, in_process):
    """The encoder's third output is a sample, which is left out."""
    from pocketvae.benchmarks import BenchConfig, bench_bundle

    folder = models / "keras2"
    export(tmp_path / "b", decoder=folder / "decoder", encoder=folder / "encoder")
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.provenance["encoder outputs"] == "z_log_var = log_var, z_mean = mean"
    assert bundle.manifest.provenance["decoder loaded as"] == "SavedModel"
    assert len(bundle.manifest.provenance["decoder source sha256"]) == 64
    assert bundle.manifest.original == {}
    result = bench_bundle(tmp_path / "b", BenchConfig(artifacts=("decoder.float32.tflite",)))
    unnamed = "a bundle does not contain SavedModels, which can run code: name yours with --original-decoder"
    assert {row.reason for row in result.not_run} == {unnamed}
    paths = {Component.DECODER: folder / "decoder"}
    named = bench_bundle(tmp_path / "b", BenchConfig(artifacts=("decoder.float32.tflite",), original_paths=paths))
    assert [row.target for row in named.results if row.is_original] == ["keras-call", "tf.function", "xla"]
    assert {row.reason for row in named.not_run} == {"a SavedModel does not have a predict method"}
    for name in ("encoder.float32.tflite", "encoder.float32.onnx"):
        assert b"Random" not in (tmp_path / "b" / name).read_bytes()


def test_a_sampling_layer_is_left_out_without_running_it(models, tmp_path, in_process):
    for flavour in FLAVOURS:
        folder = models / flavour
        given = {"decoder": folder / "example.keras", "encoder": folder / "sampling.keras"}
        names = "float32.tflite", "float32.onnx"
        export(tmp_path / flavour, names=names, rewrites=NONE, **given)
        manifest = verified(tmp_path / flavour).manifest
        assert manifest.provenance["encoder outputs"] == "z_mean = mean, z_log_var = log_var"
        assert manifest.provenance["encoder source"] == "sampling.keras"
        assert manifest.provenance["encoder taken from it"] == "without its sampling"
        assert "custom code" not in manifest.provenance["encoder loaded as"]


def test_a_custom_layer_that_is_exported_needs_leave(models, tmp_path, in_process):
    from pocketvae.benchmarks import BenchConfig, bench_bundle

    decoder = models / "keras2" / "lambda.keras"
    with pytest.raises(ExportError, match=r"needs custom code \(Lambda\): pass --allow-custom-code .*--custom-code"):
        export(tmp_path / "b", decoder=decoder)
    assert not (tmp_path / "b").exists()
    names = ("float32.tflite",)
    export(tmp_path / "b", code=CustomCode(allowed=True), names=names, rewrites=NONE, decoder=decoder)
    assert "with custom code" in verified(tmp_path / "b").manifest.provenance["decoder loaded as"]
    result = bench_bundle(tmp_path / "b", BenchConfig(artifacts=("decoder.float32.tflite",)))
    assert {row.reason for row in result.not_run} == {"the original contains custom code, which bench does not run"}


def test_depth_to_space_is_still_fused_for_keras_2(models, tmp_path, in_process):
    for flavour in FLAVOURS:
        out = tmp_path / flavour
        # Which rewrites are kept is a matter of timings, so none is tried.
        export(out, decoder=models / flavour / "shuffle.keras", names=("float32.tflite",), rewrites=NONE)
        (artifact,) = verified(out).manifest.artifacts
        expected = ("number of depth-to-space fused into one operator: 1",) if flavour == "keras2" else ()
        assert artifact.notes == expected


def inspect(**given):
    from pocketvae.export.external.inspection import inspect_models

    return inspect_models(ExternalModels(**given))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_cannot_be_exported_is_refused_with_the_reason(models, flavour):
    folder = models / flavour
    example = folder / "example.keras"
    for given, message in (
        ({"decoder": folder / "none.keras"}, "none.keras does not exist"),
        ({"decoder": folder}, "must be a SavedModel, but .* does not contain saved_model.pb"),
        ({"decoder": folder / "sampling.py"}, "must be a .keras or .h5 file or a SavedModel folder"),
        ({"decoder": folder / "one_hot_decoder.keras", "label_count": 4}, "must be the one-hot label's width 5, got 4"),
        ({"decoder": example, "decoder_signature": "decode"}, "is a Keras model, which does not have signatures"),
        ({"decoder": example, "encoder": folder / "joined_encoder.keras", "encoder_outputs": (Role.MEAN,)}, "one mean"),
        ({"decoder": folder / "odd_decoder.keras", "data_kind": DataKind.IMAGE}, "24 values are not a square image"),
        ({"decoder": folder / "lambda.keras"}, r"needs custom code \(Lambda\)"),
        ({"decoder": folder / "lambda.h5"}, r"needs custom code \(Lambda\)"),
        ({"decoder": example, "encoder": folder / "sampling.h5"}, "--allow-custom-code"),
        ({"decoder": example, "encoder": folder / "vague.keras"}, "'first' .*'second' .*--encoder-outputs"),
        ({"decoder": example, "encoder": folder / "sigma.keras"}, "'sigma' may be a standard deviation"),
        ({"decoder": example, "encoder": folder / "small_encoder.keras"}, r"take the decoder's images of \(8, 8, 1\)"),
        (
            {"decoder": example, "encoder": folder / "conditional_encoder.keras"},
            "must not take a condition that its decoder",
        ),
        ({"decoder": example, "decoder_output": DecoderOutput.LOGITS}, "cannot be logits"),
        (
            {"decoder": folder / "conditional_decoder.keras", "label_count": 6},
            "--label-count says 6 classes, but the decoder's embedding has 5: leave it out",
        ),
        ({"decoder": example, "label_count": 3}, "--label-count needs a decoder that takes a label"),
        ({"decoder": folder / "encoder.keras"}, "latent, pass it with --encoder, else .* --decoder-output-name z_mean"),
        ({"decoder": folder / "nan.keras"}, "must return finite values, got .* NaN or infinite"),
        ({"decoder": folder / "fixed.keras"}, "batch size must be left open"),
        ({"decoder": folder / "open.keras"}, r"input must have fixed sizes, got .*\[\?, \?\]"),
        ({"decoder": folder / "rank.keras"}, r"of 1 to 4 dimensions, got \[N, 2, 1, 2, 2, 2\]"),
        ({"decoder": folder / "two.keras", "decoder_output_name": "x"}, "does not have the output 'x': it has"),
    ):
        with pytest.raises(ExportError, match=message):
            inspect(**given)


def test_saved_models_that_are_random_or_ambiguous_are_refused(models):
    with pytest.raises(ExportError, match=r"depends on random operators \(RandomStandardNormal\)"):
        inspect(decoder=models / "keras2" / "noisy")
    several = models / "keras2" / "several"
    with pytest.raises(ExportError, match="or only one; .* has a, b: name one with --decoder-signature"):
        inspect(decoder=several)
    with pytest.raises(ExportError, match="does not have the signature 'c': it has a, b"):
        inspect(decoder=several, decoder_signature="c")
    # What Keras 3 exports has outputs without names: their layers have some.
    pair = {"decoder": models / "keras3" / "exported", "encoder": models / "keras3" / "exported_encoder"}
    assert inspect(**pair).vae.latent_dim == 3
    assert inspect(**pair, encoder_outputs=(Role.MEAN, Role.LOG_VAR)).vae.latent_dim == 3


def test_a_standard_deviation_that_is_named_becomes_a_log_variance(models, tmp_path, in_process):
    folder = models / "keras3"
    given = {"decoder": folder / "example.keras", "encoder": folder / "sigma.keras"}
    outputs = Role.MEAN, Role.STD
    export(tmp_path / "b", names=("float32.tflite",), rewrites=NONE, encoder_outputs=outputs, **given)
    goldens = verified(tmp_path / "b").goldens(Component.ENCODER)
    import keras

    _, sigma = keras.models.load_model(folder / "sigma.keras")(goldens.inputs["x"])
    np.testing.assert_allclose(goldens.outputs["z_log_var"], 2 * np.log(sigma), atol=1e-5)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_mean_and_log_variance_in_one_output_are_taken_apart(models, tmp_path, in_process, flavour):
    folder = models / flavour
    given = {"decoder": folder / "example.keras", "encoder": folder / "joined_encoder.keras"}
    names = FAMILY if flavour == "keras2" else FLOATS
    result = export(tmp_path / "b", names=names, rewrites=NONE, **given)
    assert any("state this with --encoder-outputs (mean+log_var or log_var+mean)" in doubt for doubt in result.doubts)
    bundle = verified(tmp_path / "b")
    goldens = bundle.goldens(Component.ENCODER)
    keras = __import__("tf_keras" if flavour == "keras2" else "keras")
    both = np.asarray(keras.models.load_model(folder / "joined_encoder.keras")(goldens.inputs["x"]))
    np.testing.assert_allclose(goldens.outputs["z_mean"], both[:, :3], atol=1e-5)
    np.testing.assert_allclose(goldens.outputs["z_log_var"], both[:, 3:], atol=1e-5)
    outputs = (Role.LOG_VAR_MEAN,)
    result = export(tmp_path / "c", names=("float32.onnx",), rewrites=NONE, encoder_outputs=outputs, **given)
    assert result.doubts == ()
    swapped = verified(tmp_path / "c").goldens(Component.ENCODER)
    np.testing.assert_allclose(swapped.outputs["z_mean"], both[:, 3:], atol=1e-5)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_one_hot_labels_become_numbers(models, tmp_path, in_process, flavour):
    from pocketvae.benchmarks import BenchConfig, bench_bundle

    folder, names = models / flavour, FAMILY if flavour == "keras2" else FLOATS
    given = ExternalModels(
        decoder=folder / "one_hot_decoder.keras", encoder=folder / "one_hot_encoder.keras", image_shape=(4, 4, 1)
    )
    config = ExportConfig(artifacts=plan(*names), rewrites=NONE, batches=(1, 4))
    export_external_models(given, tmp_path / "b", config)
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.label_count == 5
    for name in names:
        assert shapes(bundle)[f"decoder.{name}"] == {"z": (1, 3), "label": (1,), "image": (1, 16)}
    goldens = bundle.goldens(Component.DECODER)
    keras = __import__("tf_keras" if flavour == "keras2" else "keras")
    labels = np.eye(5, dtype=np.float32)[goldens.inputs["label"]]
    images = keras.models.load_model(folder / "one_hot_decoder.keras")([goldens.inputs["z"], labels])
    np.testing.assert_allclose(goldens.outputs["image"], images, atol=1e-5)
    if flavour == "keras2":
        result = bench_bundle(tmp_path / "b", BenchConfig(artifacts=("decoder.float32.onnx",)))
        assert result.not_run == ()
        assert {row.batch for row in result.results} == {1, 4}


def test_several_conditions_have_inputs_of_their_own(models, tmp_path, in_process):
    import keras

    folder, names = models / "keras3", ("float32.tflite", "int8.tflite", "float32.onnx")
    given = {"decoder": folder / "conditions_decoder.keras", "encoder": folder / "conditions_encoder.keras"}
    result = export(tmp_path / "b", names=names, rewrites=NONE, **given)
    assert any("'pose' [N, 2] was taken for a continuous condition" in doubt for doubt in result.doubts)
    bundle = verified(tmp_path / "b")
    taken = {"z": (1, 3), "pose": (1, 2), "digit": (1,), "image": (1, 4, 4, 1)}
    assert shapes(bundle)["decoder.int8.tflite"] == taken
    inputs = bundle.goldens(Component.DECODER).inputs
    original = keras.models.load_model(given["decoder"])
    expected = original([inputs["pose"], inputs["digit"].astype(np.uint8), inputs["z"]])
    np.testing.assert_allclose(bundle.goldens(Component.DECODER).outputs["image"], expected, atol=1e-5)
    x = bundle.goldens(Component.ENCODER).inputs
    planes = np.broadcast_to(np.eye(5, dtype=np.float32)[x["digit"]][:, None, None], (len(x["x"]), 4, 4, 5))
    mean, _ = keras.models.load_model(given["encoder"])([x["x"], planes, x["pose"]])
    np.testing.assert_allclose(bundle.goldens(Component.ENCODER).outputs["z_mean"], mean, atol=1e-5)
    made = pocketvae.open(tmp_path / "b").decoder().decode(np.zeros(3), {"digit": 2, "pose": [0.5, 1]})
    expected = original([np.array([[0.5, 1]], np.float32), np.array([2], np.uint8), np.zeros((1, 3), np.float32)])
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_integer_codes_are_latents(models, tmp_path, in_process):
    import keras

    kinds = [Component.DECODER, Component.SAMPLER, Component.GENERATOR]
    names = ("float32.tflite", "int8.tflite", "int16x8.tflite", "float32.onnx")
    artifacts = tuple(item for item in plan_artifacts(kinds) if item.filename.split(".", 1)[1] in names)
    given = ExternalModels(decoder=models / "keras3" / "codes.keras")
    export_external_models(given, tmp_path / "b", ExportConfig(artifacts=artifacts, rewrites=NONE, batches=(1, 4)))
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.latents == (Latent(shape=(4, 4), codes=5),)
    goldens = bundle.goldens(Component.DECODER)
    assert goldens.inputs["z"].dtype == np.int32
    assert set(goldens.inputs["z"].ravel().tolist()) == set(range(5))
    expected = keras.models.load_model(given.decoder)(goldens.inputs["z"])
    np.testing.assert_allclose(goldens.outputs["image"], expected, atol=1e-5)
    opened = pocketvae.open(tmp_path / "b")
    sampled = opened.sampler().sample([7, 7], [0, 1])
    np.testing.assert_array_equal(sampled, opened.sample_latents(7, [0, 1]))
    made = opened.generator().generate(7, 0)
    np.testing.assert_allclose(opened.decoder().decode(sampled[0]), made, atol=1e-6)
    with pytest.raises(DataError, match="z must be codes, whole numbers from 0 to 4, got 5 to 5"):
        opened.decoder().decode(np.full(16, 5))
    assert main(["generate", str(tmp_path / "b"), "--count", "4", "--out", str(tmp_path / "a.png")]) == 0
    with pytest.raises(SpecError, match="the temperature must be 1"):
        opened.sample_latents(7, 0, temperature=0.5)
    assert "codes that are drawn independently make poor images" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
    with pytest.raises(ExportError, match=r"must return integer codes \[N, 4, 4\]"):
        inspect(decoder=given.decoder, encoder=models / "keras3" / "small_encoder.keras")


def test_two_grids_of_codes_have_numbers_of_their_own(models, tmp_path, in_process):
    import keras

    given = {part: models / "keras3" / f"grids_{part}.keras" for part in ("decoder", "encoder")}
    names = ("float32.tflite", "float32.onnx")
    artifacts = tuple(item for item in plan_artifacts() if item.filename.split(".", 1)[1] in names)
    export_external_models(ExternalModels(**given), tmp_path / "b", ExportConfig(artifacts=artifacts, rewrites=NONE))
    bundle = verified(tmp_path / "b")
    latents = (Latent(name="top", shape=(2, 2), codes=5), Latent(name="bottom", shape=(4, 4), codes=9))
    assert bundle.manifest.vae.latents == latents
    goldens = bundle.goldens(Component.DECODER)
    assert set(goldens.inputs["top"].ravel().tolist()) == set(range(5))
    assert set(goldens.inputs["bottom"].ravel().tolist()) == set(range(9))
    expected = keras.models.load_model(given["decoder"])([goldens.inputs["top"], goldens.inputs["bottom"]])
    np.testing.assert_allclose(goldens.outputs["image"], expected, atol=1e-5)
    with pocketvae.open(tmp_path / "b") as opened:
        sampled = opened.sampler().sample([7, 7, 8], [0, 1, 2])
        np.testing.assert_array_equal(sampled, opened.sample_latents([7, 7, 8], [0, 1, 2]))
        np.testing.assert_allclose(opened.decoder().decode(sampled[0]), opened.generator().generate(7, 0), atol=1e-6)
        codes = opened.encoder().encode(goldens.outputs["image"][:3]).z_mean
        assert opened.decoder().decode(codes).shape == (3, 4, 4, 1)
        with pytest.raises(DataError, match="top must be codes, whole numbers from 0 to 4, got 5 to 5"):
            opened.decoder().decode(np.full(20, 5))
    card = (tmp_path / "b" / "MODEL_CARD.md").read_text()
    assert "a latent of 2x2 integer codes out of 5 and a latent of 4x4 integer codes out of 9" in card


def test_the_models_of_latent_diffusion_are_exported(models, tmp_path, in_process):
    given = {part: models / "keras3" / f"diffusion_{part}.keras" for part in ("decoder", "encoder")}
    config = ExportConfig(artifacts=plan(*FLOATS, "decoder.int8.tflite"), rewrites=NONE, calibration_seeds=1)
    export_external_models(ExternalModels(**given, latent_scale=0.5), tmp_path / "b", config)
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.latents == (Latent(shape=(4, 4, 4)),)
    assert {item.name for item in bundle.manifest.artifacts} == {item.filename for item in config.artifacts}
    export(tmp_path / "t", decoder=models / "keras3" / "taesd.keras", names=FLOATS)
    assert len(verified(tmp_path / "t").manifest.artifacts) == 2


@pytest.mark.parametrize("name", ["spatial", "mlp"])
def test_latents_are_scaled_as_the_models_expect_it(models, tmp_path, in_process, name):
    import keras

    given = {part: models / "keras3" / f"{name}_{part}.keras" for part in ("decoder", "encoder")}
    names = ("float32.tflite", "float32.onnx")
    artifacts = tuple(item for item in plan_artifacts() if item.filename.split(".", 1)[1] in names)
    stated = ExternalModels(**given, latent_scale=0.2, latent_shift=0.5)
    export_external_models(stated, tmp_path / "b", ExportConfig(artifacts=artifacts, rewrites=NONE))
    bundle = verified(tmp_path / "b")
    decoder, encoder = (bundle.goldens(part) for part in (Component.DECODER, Component.ENCODER))
    originals = [keras.models.load_model(given[part]) for part in ("decoder", "encoder")]
    image = originals[0](decoder.inputs["z"] / 0.2 + 0.5)
    np.testing.assert_allclose(decoder.outputs["image"].ravel(), np.ravel(image), atol=1e-5)
    found = originals[1](encoder.inputs["x"])
    mean, log_var = (found["mu"], found["logvar"]) if isinstance(found, dict) else np.split(found, 2, axis=-1)
    np.testing.assert_allclose(encoder.outputs["z_mean"], (np.asarray(mean) - 0.5) * 0.2, atol=1e-5)
    np.testing.assert_allclose(encoder.outputs["z_log_var"], log_var + 2 * np.log(0.2), atol=1e-5)
    assert bundle.manifest.provenance["latent"] == "the original's minus 0.5, times 0.2"


def test_a_scale_needs_latents_of_real_numbers(models):
    with pytest.raises(ExportError, match="--latent-scale and --latent-shift need a decoder that takes"):
        inspect(decoder=models / "keras3" / "codes.keras", latent_scale=2.0)
    with pytest.raises(SpecError, match="--latent-scale must be positive and finite, got -1"):
        ExternalModels(decoder=models, latent_scale=-1.0)


@pytest.mark.parametrize("data", [False, True])
def test_a_condition_may_be_the_decoder_s_alone(models, tmp_path, in_process, data):
    given = {
        "decoder": models / "keras3" / "column_decoder.keras",
        "encoder": models / "keras3" / "small_encoder.keras",
    }
    artifacts = tuple(
        item for item in plan_artifacts() if item.filename.split(".", 1)[1] in ("float32.onnx", "int8.onnx")
    )
    through = plan_artifacts([Component.RECONSTRUCTOR], [Format.ONNX], [Precision.FLOAT32])
    artifacts = (*artifacts, *(item for item in through if item not in artifacts))
    items = tmp_path / "x.npz"
    rng = np.random.default_rng(0)
    np.savez(items, images=rng.integers(0, 256, (300, 4, 4, 1), np.uint8), labels=np.arange(300) % 5)
    result = export_external_models(
        ExternalModels(**given),
        tmp_path / "b",
        ExportConfig(artifacts=artifacts, rewrites=NONE),
        data=str(items) if data else None,
    )
    bundle = verified(tmp_path / "b")
    (label,) = bundle.manifest.vae.conditions
    assert (label.name, label.encoded) == ("label", False)
    assert list(bundle.goldens(Component.ENCODER).inputs) == ["x"]
    assert sorted(bundle.goldens(Component.DECODER).inputs) == ["label", "z"]
    with pocketvae.open(tmp_path / "b") as opened:
        x = bundle.goldens(Component.ENCODER).inputs["x"][:3].reshape(3, 4, 4, 1)
        means = opened.encoder().encode(x, label=2).z_mean
        np.testing.assert_array_equal(means, opened.encoder().encode(x, label={"label": 3}).z_mean)
        np.testing.assert_array_equal(means, opened.encoder().encode(x).z_mean)
        assert opened.decoder().decode(means, label=2).shape == (3, 4, 4, 1)
    assert main(["reconstruct", str(tmp_path / "b"), str(items), "--out", str(tmp_path / "r.png")]) == 0
    assert "- what makes an image also takes a `label`" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
    assert any("the encoder does not take the decoder's 'label'" in doubt for doubt in result.doubts)


@pytest.fixture(scope="module")
def mixed(models, tmp_path_factory):
    """A bundle of every part with codes beside real numbers. Do not change it."""
    out = tmp_path_factory.mktemp("mixed") / "b"
    given = {part: models / "keras3" / f"mixed_{part}.keras" for part in ("decoder", "encoder")}
    drawing = plan_artifacts([Component.SAMPLER, Component.GENERATOR])
    drawn = (item for item in drawing if item.filename.split(".", 1)[1] in FLOATS)
    artifacts = (*plan(*FAMILY), *drawn)
    config = ExportConfig(artifacts=artifacts, rewrites=NONE, calibration_seeds=1, batches=(1, 4))
    export_external_models(ExternalModels(**given), out, config)
    return out


def test_codes_beside_real_numbers_are_exported_in_every_part(models, mixed):
    import keras

    given = {part: models / "keras3" / f"mixed_{part}.keras" for part in ("decoder", "encoder")}
    bundle = verified(mixed)
    vae = bundle.manifest.vae
    assert vae.latents == (Latent(name="codes", shape=(2, 2), codes=5), Latent(name="style_z", shape=(3,)))
    assert vae.output_names(Component.ENCODER) == ("codes", "style_z_mean", "style_z_log_var")
    goldens = bundle.goldens(Component.DECODER)
    assert set(goldens.inputs["codes"].ravel().tolist()) == set(range(5))
    assert np.abs(goldens.inputs["style_z"]).max() > 3
    expected = keras.models.load_model(given["decoder"])([goldens.inputs["codes"], goldens.inputs["style_z"]])
    np.testing.assert_allclose(goldens.outputs["image"], expected, atol=1e-5)
    x = bundle.goldens(Component.ENCODER)
    mean, codes, log_var = map(np.asarray, keras.models.load_model(given["encoder"])(x.inputs["x"]))
    np.testing.assert_array_equal(x.outputs["codes"], codes)
    np.testing.assert_allclose(x.outputs["style_z_mean"], mean, atol=1e-5)
    np.testing.assert_allclose(x.outputs["style_z_log_var"], log_var, atol=1e-5)
    names = {item.name: [limit.metric for limit in item.tolerances] for item in bundle.manifest.artifacts}
    assert names["encoder.int8.tflite"] == ["codes_changed", "kl_mean"]
    with pocketvae.open(mixed) as opened:
        sampled = opened.sampler(format="onnx").sample([7, 7, 8], [0, 1, 2])
        np.testing.assert_array_equal(sampled, opened.sample_latents([7, 7, 8], [0, 1, 2]))
        np.testing.assert_array_equal(sampled, opened.sampler(format="tflite").sample([7, 7, 8], [0, 1, 2]))
        np.testing.assert_allclose(
            opened.decoder().decode(sampled), opened.generator().generate([7, 7, 8], [0, 1, 2]), atol=1e-6
        )
        cold = opened.sample_latents(7, [0, 1], temperature=0)
        np.testing.assert_array_equal(cold[:, :4], sampled[:2, :4])
        assert not cold[:, 4:].any()
        posterior = opened.encoder().encode(x.inputs["x"][:3])
        np.testing.assert_array_equal(posterior.z_mean[:, :4], codes[:3].reshape(3, 4))
        assert opened.decoder().decode(posterior.z_mean).shape == (3, 4, 4, 1)
        with pytest.raises(DataError, match="codes must be codes, whole numbers from 0 to 4, got 0.5 to 0.5"):
            opened.decoder().decode(np.full(7, 0.5))
    card = (mixed / "MODEL_CARD.md").read_text()
    assert "a latent of 2x2 integer codes out of 5 and 3 latent dimensions, prior N(0, I) of the numbers, codes" in card
    assert "codes, 4 whole numbers from 0 to 4, each equally likely, and style_z, 3 numbers from a standard" in card


def test_every_command_takes_codes_beside_real_numbers(mixed, tmp_path, capsys):
    bundle, items, out = str(mixed), *(str(tmp_path / name) for name in ("x.npy", "z.npz"))
    goldens = open_bundle(mixed).goldens(Component.ENCODER)
    np.save(items, goldens.inputs["x"][:40])
    assert main(["generate", bundle, "--count", "4", "--out", str(tmp_path / "a.png")]) == 0
    assert main(["reconstruct", bundle, items, "--out", str(tmp_path / "r.png")]) == 0
    assert main(["interpolate", bundle, "--seeds", "1,2", "--out", str(tmp_path / "i.png")]) == 0
    assert main(["interpolate", bundle, "--images", items, items, "--out", str(tmp_path / "j.png")]) == 0
    assert main(["traverse", bundle, "--seed", "3", "--out", str(tmp_path / "t.png")]) == 0
    assert "3 dimensions" in capsys.readouterr().out
    assert main(["inspect", bundle]) == 0
    assert "4 codes of 5 and 3 latent dimensions (codes 2x2, style_z 3)" in capsys.readouterr().out
    assert main(["encode", bundle, items, "--out", out]) == 0
    with np.load(out) as arrays:
        assert {name: arrays[name].shape for name in arrays if name != "names"} == {
            "codes": (40, 4),
            "style_z_mean": (40, 3),
            "style_z_log_var": (40, 3),
        }
        np.testing.assert_array_equal(arrays["codes"], goldens.outputs["codes"][:40].reshape(40, 4))
        assert arrays["codes"].dtype == np.int32
    assert main(["explore", bundle]) == 2
    assert "sliders for real numbers alone, but this VAE has codes: use pocketvae traverse" in capsys.readouterr().err
    assert main(["compress", bundle, items, "--fit"]) == 2
    assert "compress needs posteriors, but a latent of this VAE is integer codes" in capsys.readouterr().err


def test_an_encoder_of_codes_is_held_to_the_share_of_codes_that_differ(models, tmp_path, in_process, capsys):
    import keras

    given = {"decoder": models / "keras3" / "codes.keras", "encoder": models / "keras3" / "code_encoder.keras"}
    config = ExportConfig(artifacts=plan(*FAMILY), rewrites=NONE, batches=(1, 4))
    export_external_models(ExternalModels(**given), tmp_path / "b", config)
    bundle = verified(tmp_path / "b")
    assert {item.batches for item in bundle.manifest.artifacts} == {(1, 4)}
    goldens = bundle.goldens(Component.ENCODER)
    expected = np.asarray(keras.models.load_model(given["encoder"])(goldens.inputs["x"]))
    np.testing.assert_array_equal(goldens.outputs["z"], expected)
    limits = {item.name: item.tolerances[0] for item in bundle.manifest.artifacts if item.component == "encoder"}
    assert {limit.metric for limit in limits.values()} == {"codes_changed"}
    assert limits["encoder.int8.tflite"].limit == 0.05
    opened = pocketvae.open(tmp_path / "b")
    codes = opened.encoder().encode(goldens.inputs["x"][:2]).z_mean
    assert codes.dtype == np.int32
    assert opened.decoder().decode(codes).shape == (2, 4, 4, 1)
    np.save(tmp_path / "x.npy", goldens.inputs["x"][:2])
    assert main(["encode", str(tmp_path / "b"), str(tmp_path / "x.npy"), "--out", str(tmp_path / "z.npz")]) == 0
    assert "2 latents of 16 codes" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load(tmp_path / "z.npz")["z"], codes)


def test_several_latents_keep_their_names_in_every_artifact(models, tmp_path, in_process):
    import keras

    folder = models / "keras3"
    given = {"decoder": folder / "levels_decoder.keras", "encoder": folder / "levels_encoder.keras"}
    kinds = [Component.ENCODER, Component.DECODER, Component.SAMPLER, Component.GENERATOR]
    artifacts = tuple(item for item in plan_artifacts(kinds) if item.filename.split(".", 1)[1] in FAMILY)
    config = ExportConfig(artifacts=artifacts, rewrites=NONE, batches=(1, 4))
    assert export_external_models(ExternalModels(**given), tmp_path / "b", config).over_budget == {}
    bundle = verified(tmp_path / "b")
    latents = {"z_top": (1, 3), "z_bottom": (1, 2, 2, 2)}
    assert shapes(bundle)["decoder.int8.tflite"] == {**latents, "image": (1, 4, 4, 1)}
    assert list(shapes(bundle)["encoder.float32.onnx"]) == ["x", *bundle.manifest.vae.output_names(Component.ENCODER)]
    goldens = bundle.goldens(Component.ENCODER)
    top, bottom, *_ = keras.models.load_model(given["encoder"])(goldens.inputs["x"])
    np.testing.assert_allclose(goldens.outputs["z_top_mean"], top, atol=1e-5)
    np.testing.assert_allclose(goldens.outputs["z_bottom_mean"], bottom, atol=1e-5)
    opened = pocketvae.open(tmp_path / "b")
    for format in Format:
        sampled = opened.sampler(format=format).sample([7, 7], [0, 1])
        np.testing.assert_array_equal(sampled, normal_noise(7, [0, 1], 11))
        made = opened.generator(format=format).generate(7, [0, 1])
        np.testing.assert_allclose(opened.decoder(format=format).decode(sampled), made, atol=1e-6)
    posterior = opened.encoder().encode(goldens.inputs["x"][:2])
    joined = np.concatenate([np.reshape(top[:2], (2, -1)), np.reshape(bottom[:2], (2, -1))], axis=1)
    np.testing.assert_allclose(posterior.z_mean, joined, atol=1e-5)
    assert posterior.z_log_var.shape == (2, 11)
    assert "decode(z_top, z_bottom)" in (tmp_path / "b" / "EMBED.md").read_text()
    picture = str(tmp_path / "a.png")
    assert main(["interpolate", str(tmp_path / "b"), "--seeds", "1,2", "--out", picture]) == 0


def test_a_label_inside_the_latent_becomes_an_input(models, tmp_path, in_process):
    folder = models / "keras3"
    given = {"decoder": folder / "label_inside_decoder.keras", "encoder": folder / "label_inside_encoder.keras"}
    with pytest.raises(ExportError, match="the last 5 of the 8 values of 'z_and_y' .*--latent-dim 3"):
        inspect(label_count=5, **given)
    export(tmp_path / "b", names=("float32.onnx",), rewrites=NONE, label_count=5, latent_dim=3, **given)
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.label_count == 5
    assert shapes(bundle)["decoder.float32.onnx"] == {"z": (1, 3), "label": (1,), "image": (1, 4, 4, 1)}
    assert shapes(bundle)["encoder.float32.onnx"]["x"] == (1, 4, 4, 1)


def test_the_signatures_of_one_saved_model(models, tmp_path, in_process):
    several = models / "keras2" / "several"
    given = {"decoder": several, "decoder_signature": "b", "encoder": several, "encoder_signature": "a"}
    export(tmp_path / "b", **given)
    bundle = verified(tmp_path / "b")
    assert bundle.manifest.vae.image_shape == (4, 4, 1)
    # The encoder is a part of its signature, which draws a latent too.
    signatures = {part: bundle.manifest.forms[part].signature for part in (Component.DECODER, Component.ENCODER)}
    assert signatures == {Component.DECODER: "b", Component.ENCODER: ""}
    assert shapes(bundle)["encoder.float32.onnx"]["x"] == (1, 4, 4, 1)


def test_a_file_is_loaded_with_the_flavour_that_it_names(models):
    for flavour, words in zip(FLAVOURS, ("Keras 2, written by Keras 2.", "Keras 3, written by Keras 3."), strict=True):
        for name in ("example.keras", "example.h5"):
            facts = inspect(decoder=models / flavour / name).facts
            assert facts["decoder loaded as"].startswith(words)


def test_a_run_and_a_model_of_one_s_own_exclude_each_other(tmp_path, capsys):
    out = ["--out", str(tmp_path / "b"), "--quiet"]
    for words, message in (
        (
            ["run", "--decoder", "d.keras"],
            "--decoder is for user-supplied models: give either RUN or --decoder, not both",
        ),
        (["run", "--data", "mnist"], "--data is for user-supplied models"),
        ([], "export needs a RUN, or a user-supplied model with --decoder FILE"),
        (["--vae", "v.keras", "--decoder", "d.keras"], "--vae holds encoder and decoder: give either --vae, or"),
        (["--decoder", "d", "--encoder-signature", "encode"], "--encoder-signature needs --encoder"),
        (["--encoder", "e.keras"], "export needs a RUN, or a user-supplied model with --decoder FILE"),
        (["--decoder", "d.keras", "--decoder-output", "logit"], "did you mean 'logits'?"),
        (["--decoder", "d.keras", "--more-outputs", "half,noise=logvar"], "did you mean 'log_var'?"),
        (["--decoder", "d.keras", "--encoder", "e", "--encoder-outputs", "mean,logvar"], "did you mean 'log_var'?"),
        (["--decoder", "d.keras", "--image-shape", "28"], "--image-shape takes three integers"),
        (["--decoder", "d.keras", "--data", "mnist"], "--data .* needs --encoder"),
        (
            ["--decoder", "d.keras", "--components", "encoder"],
            "the requested components need models that were not given: encoder",
        ),
    ):
        assert main(["export", *words, *out]) == 2
        captured = capsys.readouterr().err
        assert __import__("re").search(message, captured), captured
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bundle_is_kept(tmp_path):
    (tmp_path / "b").mkdir()
    config = ExportConfig(artifacts=plan_artifacts([Component.DECODER], [Format.TFLITE], [Precision.FLOAT32]))
    with pytest.raises(OutputExistsError, match="--force"):
        export_external_models(ExternalModels(decoder=tmp_path / "d.keras"), tmp_path / "b", config)
    with pytest.raises(SpecError, match="the requested components need models that were not given: encoder"):
        export_external_models(
            ExternalModels(decoder=tmp_path / "d.keras"), tmp_path / "c", ExportConfig(artifacts=plan_artifacts())
        )


@pytest.mark.posix
def test_a_converter_that_dies_names_the_layer(tmp_path, monkeypatch, warm_command):
    import keras

    z = keras.Input((3,), name="z")
    hidden = keras.layers.Dense(4, name="curved", activation="elu")(keras.layers.Dense(4, name="first")(z))
    image = keras.layers.Dense(784, activation="sigmoid", name="last")(keras.layers.Dense(4, name="more")(hidden))
    keras.Model(z, image).save(str(tmp_path / "decoder.keras"))
    monkeypatch.setattr(pipeline.WorkerProcess, "program", warm_command("fatal_converter"))
    config = ExportConfig(artifacts=plan("decoder.float32.tflite", "decoder.float32.onnx"), rewrites=NONE)
    export_external_models(ExternalModels(decoder=tmp_path / "decoder.keras"), tmp_path / "b", config)
    manifest = open_bundle(tmp_path / "b").manifest
    assert [item.name for item in manifest.artifacts] == ["decoder.float32.onnx"]
    (failure,) = manifest.failures
    assert re.search(
        r"ended by signal 11.*; the converter dies on the layer '[^']*curved[^']*' \(Elu\)$", failure.reason
    )


def test_a_model_whose_calls_take_seconds_is_measured_once_on_few_samples(models, tmp_path, in_process, monkeypatch):
    from pocketvae.export.original import cost

    monkeypatch.setattr(cost, "_AFFORDABLE", 1.0)
    names = ("decoder.float32.onnx", "generator.float32.onnx", "generator.float16.onnx")
    artifacts = tuple(item for item in plan_artifacts() if item.filename in names)
    decoder = models / "keras3" / "example.keras"
    export_external_models(ExternalModels(decoder=decoder), tmp_path / "b", ExportConfig(artifacts=artifacts))
    manifest = verified(tmp_path / "b").manifest
    assert [stratum.count for stratum in manifest.golden(Component.GENERATOR).strata] == [1, 1, 1]
    assert [stratum.count for stratum in manifest.golden(Component.DECODER).strata] == [2, 1]
    limits = {item.name: {limit.output: limit for limit in item.tolerances} for item in manifest.artifacts}
    assert limits["generator.float32.onnx"]["image"] == limits["decoder.float32.onnx"]["image"]
    assert limits["generator.float16.onnx"]["image"].limit > limits["decoder.float32.onnx"]["image"].limit
