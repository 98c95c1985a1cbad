"""Scorers and reconstructors of whole models: parity, their own thresholds, the same number as `pocketvae score`."""

import importlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import Choice
from pocketvae.apps.anomaly.features import Sampling, image_features
from pocketvae.apps.sources import SourceImages
from pocketvae.benchmarks import BenchConfig, bench_bundle, verify_bundle
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import DataError, ExportError, SpecError
from pocketvae.export import (
    ExportConfig,
    ExternalModels,
    export_external_models,
    parse_rewrites,
    plan_artifacts,
    scorer,
)
from pocketvae.export.precisions import int16x8
from pocketvae.export.precisions.base import Made
from pocketvae.numerics.scoring import at_mean_nats
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import ArtifactSpec, Component, Format, Precision
from pocketvae.vae_spec import Condition, DataKind, VaeSpec, vector_latent
from tests.export.conftest import in_process
from tests.external_models import conditional, sequences, spread

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_values", "in_process")]
SHAPE, RATE = (16, 2), 0.02
THROUGH = (Component.RECONSTRUCTOR, Component.SCORER)
FLOAT, INTEGERS = Precision.FLOAT32, (Precision.INT8, Precision.INT8_IO)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of small models, and data that they can be given."""
    keras, path = importlib.import_module("tf_keras"), tmp_path_factory.mktemp("scorers")
    rng = np.random.default_rng(0)
    walks = rng.normal(0, 0.3, (1200, *SHAPE)).cumsum(axis=1)
    np.savez(path / "walks.npz", x_train=walks[:700], x_test=walks[700:])
    np.savez(path / "few.npz", x_train=walks[:700], x_test=walks[700:760])
    decoder, encoder = sequences(keras)
    decoder.save(path / "decoder.keras")
    encoder.save(path / "encoder.keras")
    x = keras.Input(SHAPE)
    plain = keras.Model(x, keras.layers.Dense(3, name="latent")(keras.layers.Flatten()(x)))
    spread(plain).save(path / "plain.keras")
    for name, model in zip(("decoder", "encoder"), conditional(keras, shape=()), strict=True):
        model.save(path / f"label_{name}.keras")
    image = keras.Input((4, 4, 1))
    y = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(image))
    moments = [keras.layers.Dense(3, name=name)(y) for name in ("mean", "log_var")]
    spread(keras.Model(image, moments), seed=1).save(path / "grey_encoder.keras")
    images = rng.integers(0, 256, (1200, 4, 4, 1), np.uint8)
    labels = rng.integers(0, 5, 1200).astype(np.int32)
    np.savez(path / "labels.npz", images=images, labels=labels)
    return path


def export(folder, out, *, data="walks.npz", encoder="encoder", decoder="decoder", **changes):
    artifacts = changes.pop("artifacts", None) or plan_artifacts(THROUGH, [Format.TFLITE], [FLOAT])
    config = ExportConfig(
        artifacts=artifacts,
        rewrites=parse_rewrites("none"),
        calibration_seeds=1,
        **{"false_positive_rate": RATE, **changes},
    )
    models = ExternalModels(decoder=folder / f"{decoder}.keras", encoder=folder / f"{encoder}.keras")
    return export_external_models(models, out, config, data=data and str(folder / data))


@pytest.fixture(scope="module")
def walks(folder, tmp_path_factory):
    """A bundle of every kind of file, made once."""
    with pytest.MonkeyPatch.context() as patch:
        in_process.__wrapped__(patch)
        out = tmp_path_factory.mktemp("walks") / "bundle"
        artifacts = plan_artifacts((Component.ENCODER, Component.DECODER), [Format.TFLITE], [FLOAT])
        artifacts += plan_artifacts(THROUGH, [Format.TFLITE], (FLOAT, *INTEGERS))
        artifacts += plan_artifacts(THROUGH, [Format.ONNX], (FLOAT, Precision.INT8))
        export(folder, out, artifacts=artifacts)
        return open_bundle(out)


def outputs_of(bundle, name, inputs=None):
    artifact = bundle.manifest.artifact(name)
    with open_runner(bundle.artifact_path(artifact), artifact.format) as runner:
        return runner.run_samples(inputs or bundle.goldens(artifact.component).inputs_of(artifact))


def test_every_file_decides_as_the_original_does(walks):
    result = verify_bundle(walks)
    assert [(check.artifact, check.metric, check.detail) for check in result.checks if not check.passed] == []
    assert result.not_run == ()
    metrics = {check.metric for check in result.checks if check.artifact == "scorer.int8.tflite"}
    assert {"decisions_changed", "auroc_change", "normal_mean_abs"} <= metrics
    goldens = walks.goldens(Component.SCORER)
    assert 0 < goldens.outputs["alarm"].mean() < 1
    assert goldens.anomalous.sum() == (~goldens.anomalous).sum() == 250


def test_a_threshold_is_the_score_of_a_held_out_item_of_the_file_s_own(walks, folder):
    held_out = np.load(folder / "walks.npz")["x_test"].astype(np.float32)
    thresholds = {}
    for artifact in (item for item in walks.manifest.artifacts if item.component is Component.SCORER):
        scoring = artifact.scoring
        assert (scoring.false_positive_rate, scoring.fitted_items) == (RATE, 250)
        found = outputs_of(walks, artifact.name, {artifact.inputs[0].name: held_out})
        assert np.abs(found["score"] - scoring.threshold).min() == 0
        np.testing.assert_array_equal(found["alarm"], found["score"] > np.float32(scoring.threshold))
        thresholds[artifact.name] = scoring.threshold
    assert thresholds["scorer.int8.tflite"] != thresholds["scorer.float32.tflite"]
    assert all(item.scoring is None for item in walks.manifest.artifacts if item.component is not Component.SCORER)


def test_the_score_is_the_negative_elbo_at_the_mean_and_contributions_are_its_parts(walks):
    x, vae = walks.goldens(Component.SCORER).inputs["x"], walks.manifest.vae
    posterior = outputs_of(walks, "encoder.float32.tflite", {"x": x})
    decoded = outputs_of(walks, "decoder.float32.tflite", {"z": posterior["z_mean"]})["sequence"]
    noise = walks.manifest.artifact("scorer.float32.tflite").scoring.noise_scales
    assert len(noise) == SHAPE[1]
    score, parts = at_mean_nats(vae, x, decoded, posterior["z_mean"], posterior["z_log_var"], noise)
    for name in ("scorer.float32.tflite", "scorer.float32.onnx"):
        found = outputs_of(walks, name)
        np.testing.assert_allclose(found["score"], score, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(found["contributions"], parts, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(
            outputs_of(walks, name.replace("scorer", "reconstructor"), {"x": x})["sequence"], decoded, atol=1e-5
        )


def test_pocketvae_score_and_the_python_interface_give_the_same_number(walks):
    goldens = walks.goldens(Component.SCORER)
    with pocketvae.open(walks.path) as bundle:
        items = SourceImages(names=("x",) * goldens.count, images=goldens.inputs["x"], labels=None)
        features = image_features(bundle, items, Choice(), Sampling(samples=1))
        scores, integers = (bundle.scorer(precision).score(goldens.inputs["x"]) for precision in ("float32", "int8_io"))
        rebuilt = bundle.reconstructor().reconstruct(goldens.inputs["x"][:3])
        strange = [
            bundle.scorer(precision).score(np.full((1, *SHAPE), np.nan, np.float32))
            for precision in ("float32", "int8", "int8_io")
        ]
        with pytest.raises(DataError, match=r"sequences must be \[N, 16, 2\], got \[16, 2\]"):
            bundle.scorer().score(goldens.inputs["x"][0])
        assert bundle.scorer().threshold == bundle.manifest.artifact("scorer.float32.tflite").scoring.threshold
    np.testing.assert_allclose(features.at_mean_nats, goldens.outputs["score"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores.score, goldens.outputs["score"], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(scores.alarm, goldens.outputs["alarm"] == 1)
    assert np.mean(scores.alarm != integers.alarm) <= 0.01
    assert scores.contributions.shape == (goldens.count, SHAPE[1])
    assert rebuilt.shape == (3, *SHAPE)
    assert all(found.alarm.all() and np.isnan(found.score).all() for found in strange)


def test_a_scorer_of_integers_does_not_cut_off_anomalies(walks):
    """Its encoder's range reaches beyond that of normal items, and what is beyond any range still counts in full."""
    normal = np.abs(walks.goldens(Component.RECONSTRUCTOR).inputs["x"]).max()
    scorer, reconstructor = (
        walks.manifest.artifact(f"{part}.int8_io.tflite").inputs[0] for part in ("scorer", "reconstructor")
    )
    assert scorer.quantization.scale > 1.3 * reconstructor.quantization.scale
    far = np.zeros((1, *SHAPE), np.float32)
    scores = []
    for height in (10, 100, 1000):
        far[0, 3, 0] = height * normal
        scores.append(outputs_of(walks, "scorer.int8.tflite", {"x": far})["score"][0])
    assert scores[1] > 50 * scores[0]
    assert scores[2] > 50 * scores[1]


@pytest.mark.parametrize("has_16_bits", [True, False])
def test_of_all_ways_the_one_with_the_fewest_changed_decisions_is_taken(folder, tmp_path, monkeypatch, has_16_bits):
    """One that a network cannot be made in is left out."""
    measure, found = scorer._changed_decisions, []

    def measured(*arguments):
        found.append(measure(*arguments))
        return found[-1]

    def refuse(*_):
        raise ExportError("no such kernel")

    monkeypatch.setattr(scorer, "_changed_decisions", measured)
    monkeypatch.setattr(scorer, "_FEW_CHANGED", -1.0)
    if not has_16_bits:
        monkeypatch.setattr(int16x8.Int16x8Export, "make", refuse)
    artifacts = plan_artifacts([Component.SCORER], [Format.TFLITE], [Precision.INT8_IO])
    export(folder, tmp_path / "bundle", artifacts=artifacts)
    manifest = open_bundle(tmp_path / "bundle").manifest
    ways = scorer._ways(artifacts[0], manifest.vae)[: None if has_16_bits else -1]
    best = ways[found.index(min(found))]
    notes = " ".join(manifest.artifacts[0].notes)
    assert len(found) == len(ways)
    assert ("encoder in int16x8" in notes) == (best.encoder is Precision.INT16X8)
    assert ("finer steps" in notes) == best.fine_latents
    assert ("decoder.int8_io.tflite" in notes) != best.own_decoder


@pytest.mark.parametrize(("size", "taken"), [(120, True), (130, False)])
def test_a_way_that_makes_a_file_much_larger_is_not_taken(monkeypatch, size, taken):
    files = [b"a" * 100, b"b" * size, b"c" * 300]
    made = [(Made(content=content), None) for content in files]
    monkeypatch.setattr(scorer, "_scorer", lambda *_: made.pop(0))
    monkeypatch.setattr(scorer, "_changed_decisions", lambda spec, source, content: 3.0 / len(content))
    spec = ArtifactSpec(component=Component.SCORER, precision=Precision.INT8, format=Format.ONNX)
    vae = SimpleNamespace(data=DataKind.SEQUENCE)
    found = scorer.compose(spec, SimpleNamespace(vae=vae), None, None)
    assert found.content == files[taken]


def test_it_is_timed_like_other_files(walks):
    result = bench_bundle(walks.path, BenchConfig(artifacts=("scorer.int8_io.tflite", "scorer.float32.onnx")))
    assert {row.artifact for row in result.results} == {"scorer.int8_io.tflite", "scorer.float32.onnx"}
    assert result.not_run == ()


def test_a_plain_autoencoder_has_no_kl_term(folder, tmp_path):
    export(folder, tmp_path / "b", encoder="plain")
    bundle = open_bundle(tmp_path / "b")
    assert verify_bundle(bundle).passed
    found = outputs_of(bundle, "scorer.float32.tflite")
    np.testing.assert_allclose(found["contributions"].sum(axis=1), found["score"], rtol=1e-5, atol=1e-3)


def test_a_conditional_vae_is_scored_with_its_label(folder, tmp_path):
    export(folder, tmp_path / "b", data="labels.npz", encoder="label_encoder", decoder="label_decoder")
    bundle = open_bundle(tmp_path / "b")
    assert verify_bundle(bundle).passed
    artifact = bundle.manifest.artifact("scorer.float32.tflite")
    assert [spec.name for spec in artifact.inputs] == ["x", "label"]
    assert [spec.name for spec in artifact.outputs] == ["score", "alarm"]
    inputs = bundle.goldens(Component.SCORER).inputs_of(artifact)
    other = outputs_of(bundle, artifact.name, {**inputs, "label": (inputs["label"] + 1) % 5})
    assert (other["score"] != outputs_of(bundle, artifact.name)["score"]).any()


def test_a_label_that_only_the_decoder_takes_goes_with_the_latents_of_its_items(monkeypatch):
    class Doubling:
        def __init__(self, component, model, vae, *, one_by_one):
            pass

        def golden_outputs(self, inputs):
            return {"z_mean": 2 * inputs["x"]}

    monkeypatch.setattr(scorer, "Original", Doubling)
    vae = VaeSpec(data_shape=(4, 4, 1), latents=vector_latent(1), conditions=(Condition(count=5, encoded=False),))
    # Four items, one of them enlarged once more, and two anomalies.
    x = np.arange(7, dtype=np.float32)[:, None]
    encoder = SimpleNamespace(calibration={"x": x}, vae=vae, model=None, one_by_one=False)
    own = {"z": np.zeros((6, 1), np.float32), "label": np.array([1, 2, 3, 4, 0, 0], np.int32)}
    found = scorer._latents_of(encoder, SimpleNamespace(calibration=own), {"x": x[5:], "label": np.array([3, 4])})
    np.testing.assert_array_equal(found["z"], 2 * x)
    assert found["label"].tolist() == [1, 2, 3, 4, 0, 3, 4]


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT16X8])
def test_a_scorer_of_integers_whose_decoder_alone_takes_the_label_can_be_made(folder, tmp_path, precision):
    artifacts = plan_artifacts([Component.SCORER], [Format.TFLITE], [precision])
    export(
        folder, tmp_path / "b", data="labels.npz", encoder="grey_encoder", decoder="label_decoder", artifacts=artifacts
    )
    bundle = open_bundle(tmp_path / "b")
    assert [item.name for item in bundle.manifest.artifacts] == [f"scorer.{precision}.tflite"]
    assert not bundle.manifest.vae.conditions[0].encoded
    assert outputs_of(bundle, f"scorer.{precision}.tflite")["score"].std() > 0


def test_other_normal_items_can_make_the_threshold(folder, tmp_path):
    loud = 3 * np.load(folder / "walks.npz")["x_test"]
    np.save(tmp_path / "loud.npy", loud)
    thresholds = []
    for number, source in enumerate((None, str(tmp_path / "loud.npy"))):
        export(folder, tmp_path / str(number), calibrate_scores=source)
        thresholds.append(open_bundle(tmp_path / str(number)).manifest.artifact("scorer.float32.tflite").scoring)
    assert thresholds[1].threshold > 2 * thresholds[0].threshold
    assert thresholds[1].fitted_items == 500


def test_all_of_them_count_and_as_few_as_the_rate_needs_are_enough(folder, tmp_path):
    normal = np.load(folder / "walks.npz")["x_test"]
    np.save(tmp_path / "few.npy", normal[:19])
    np.save(tmp_path / "fewer.npy", normal[:18])
    export(folder, tmp_path / "b", calibrate_scores=str(tmp_path / "few.npy"), false_positive_rate=0.05)
    assert open_bundle(tmp_path / "b").manifest.artifact("scorer.float32.tflite").scoring.fitted_items == 19
    with pytest.raises(DataError, match=r"rate of 0.05 needs at least 19 held-out sequences, got 18"):
        export(folder, tmp_path / "c", calibrate_scores=str(tmp_path / "fewer.npy"), false_positive_rate=0.05)


def test_what_is_missing_is_named_before_anything_is_made(folder, tmp_path):
    out = tmp_path / "b"
    with pytest.raises(
        DataError, match=r"rate of 0.01 needs at least 99 held-out sequences, got 28: give more of them with "
    ):
        export(folder, out, data="few.npz", false_positive_rate=0.01)
    with pytest.raises(SpecError, match="a scorer needs normal sequences for its threshold: name them with --data SRC"):
        export(folder, out, data=None)
    only = ExternalModels(decoder=folder / "decoder.keras")
    config = ExportConfig(artifacts=plan_artifacts(THROUGH, [Format.TFLITE], [FLOAT]))
    with pytest.raises(SpecError, match="reconstructors need a model of the encoder: name it with --encoder FILE"):
        export_external_models(only, out, config)
    with pytest.raises(SpecError, match="--calibrate-scores fits the threshold of a scorer: add it to --components"):
        export(
            folder, out, artifacts=plan_artifacts([Component.RECONSTRUCTOR]), calibrate_scores=str(folder / "walks.npz")
        )
    with pytest.raises(SpecError, match="--false-positive-rate must be above 0 and below 1, got 1"):
        replace(config, false_positive_rate=1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("precision", "ratio", "encoder"),
    [("int8", 1.3, "float32"), ("int8", 0.9, "int8"), ("int8_io", 1.3, "int8_io"), ("float16", 1.3, "float16")],
)
def test_the_encoder_of_a_reconstructor_over_its_budget_is_in_float(monkeypatch, precision, ratio, encoder):
    def parts(spec, source, rules, make_part, way):
        return {
            part: Made(content=f"{part}.{way.of(part)}".encode()) for part in (Component.ENCODER, Component.DECODER)
        }

    monkeypatch.setattr(scorer, "_parts", parts)
    monkeypatch.setattr(scorer, "_reconstructor", lambda spec, vae, contents: b" ".join(contents.values()))
    monkeypatch.setattr(scorer, "with_front_end", lambda content, *_: content)
    monkeypatch.setattr(scorer, "error_ratio_of", lambda *_: ratio)
    spec = ArtifactSpec(component=Component.RECONSTRUCTOR, precision=Precision(precision), format=Format.TFLITE)
    rules = SimpleNamespace(for_network=lambda _: ())
    made = scorer.compose(spec, SimpleNamespace(vae=None), rules, None)
    assert made.content.decode() == f"encoder.{encoder} decoder.{precision}"
    changed = () if encoder == precision else ("encoder in float32 for the budget",)
    assert made.notes == (f"encoder.{encoder}.tflite and decoder.{precision}.tflite in one file", *changed)
