"""Quantized artifacts of a real model: what their files, their records and their recipes say."""

import json

import numpy as np
import pytest

from pocketvae.benchmarks import verify_bundle
from pocketvae.bundle.bundle import open_bundle
from pocketvae.errors import ExportError
from pocketvae.export import Budget, ExportConfig, RewriteChoice, export_run, plan_artifacts, read_recipes
from pocketvae.formats.layers import read_layers
from pocketvae.layer_precision import Granularity
from pocketvae.numerics.metrics import ELBO_CHANGE
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component, Format, Precision

pytestmark = pytest.mark.slow
SEARCHED = (Precision.INT8, Precision.INT8_IO)


@pytest.fixture(scope="module")
def manifest(tiny_bundle):
    return open_bundle(tiny_bundle).manifest


def searched(manifest):
    return [artifact for artifact in manifest.artifacts if artifact.search is not None]


def test_no_probability_is_0_or_1_by_accident(tiny_bundle, manifest):
    goldens = open_bundle(tiny_bundle).goldens(Component.DECODER)
    image = goldens.outputs["image"]
    # onnxruntime's sigmoid, in float32 too, returns 0 for probabilities below about 1e-8.
    clear = (image >= 1e-6) & (image <= 1 - 1e-6)
    assert clear.mean() > 0.5
    decoders = [artifact for artifact in manifest.artifacts if artifact.component is Component.DECODER]
    # Integers are what an integer interface is asked for; it has no probabilities.
    for artifact in (item for item in decoders if item.precision is not Precision.INT8_IO):
        with open_runner(tiny_bundle / artifact.name, artifact.format) as runner:
            found = runner.run_samples(goldens.inputs)["image"]
        assert not np.isin(found[clear], (0.0, 1.0)).any(), artifact.name


def test_everything_behind_the_head_is_in_float(tiny_bundle):
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(tiny_bundle / "decoder.int8.tflite"))
    graph = model.subgraphs[0]
    names = [flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) for operator in graph.operators]
    behind = names[names.index("LOGISTIC") :]
    assert "QUANTIZE" not in behind
    assert {graph.tensors[operator.outputs[0]].type for operator in graph.operators[-len(behind) :]} == {0}


def test_layers_are_quantized_per_channel_in_both_formats(tiny_bundle):
    for name in ("encoder.int8.tflite", "decoder.int8_io.tflite", "encoder.int8.onnx"):
        layers = read_layers(Format(name.rpartition(".")[2]), (tiny_bundle / name).read_bytes())
        kinds = {layer.operator: layer.granularity for layer in layers if layer.weights != "float32"}
        assert kinds
        assert set(kinds.values()) == {Granularity.PER_CHANNEL}


def test_every_record_says_what_its_file_has(tiny_bundle, manifest):
    for artifact in manifest.artifacts:
        assert artifact.layers == read_layers(artifact.format, (tiny_bundle / artifact.name).read_bytes())
        assert bool(artifact.layers) == (artifact.component is not Component.SAMPLER)


def test_every_searched_artifact_is_explained(manifest):
    assert len(searched(manifest)) == 6
    assert any(artifact.search.worst_layer for artifact in searched(manifest))
    for artifact in searched(manifest):
        search = artifact.search
        assert search.chosen.error_ratio <= 1
        assert search.front
        assert search.trial_count >= len(search.front)
        assert all(0 <= layer.inside_integers <= 1 for layer in search.layers)
        assert [seed.seed for seed in search.seeds] == [0, 1, 2]
        assert search.seeds[0].errors == search.chosen.errors
        # Where the first plan holds the budget, no layer is measured alone.
        assert search.worst_layer is None or artifact.precision is not Precision.INT8_IO
    interface = manifest.artifact("decoder.int8_io.tflite").search.inputs
    assert [item.input for item in interface] == ["z"]
    assert set(interface[0].clipped) == {"posterior", "prior", "tails"}


def test_calibration_covers_the_goldens(manifest):
    assert manifest.calibration.seed_count == 3
    assert manifest.calibration.coverage["prior"] > 0.99


def test_decoders_are_held_to_a_change_of_the_elbo_and_verify_checks_it(tiny_bundle, manifest):
    held = {artifact.name for artifact in manifest.artifacts if ELBO_CHANGE in {t.metric for t in artifact.tolerances}}
    precisions = (
        "dynamic_int8.tflite",
        "int8.tflite",
        "int16x8.tflite",
        "dynamic_int8.onnx",
        "int8.onnx",
        "int16x8.onnx",
    )
    assert held == {f"decoder.{precision}" for precision in precisions}
    checks = [check for check in verify_bundle(tiny_bundle).checks if check.metric == ELBO_CHANGE]
    assert {check.artifact for check in checks} == held
    for check in (check for check in checks if check.artifact.startswith("decoder.int8.")):
        assert check.passed
        assert check.limit == pytest.approx(0.1)
        recorded = manifest.artifact(check.artifact).search.chosen.errors[f"image {ELBO_CHANGE}"]
        assert check.value == pytest.approx(recorded, abs=1e-4)


def test_observed_images_are_binary_and_belong_to_the_posterior(tiny_bundle):
    goldens = open_bundle(tiny_bundle).goldens(Component.DECODER)
    assert set(np.unique(goldens.observed.x)) == {0, 1}
    assert len(goldens.observed.x) == goldens.strata[0].count
    # The decoder of a posterior's latent knows its image: it explains it better than another one.
    image = goldens.outputs["image"][: len(goldens.observed.x)]
    own = np.abs(image - goldens.observed.x).mean()
    assert own < np.abs(image - np.roll(goldens.observed.x, 1, axis=0)).mean()


def int8(tmp_path, tiny_run, name, **options):
    artifacts = plan_artifacts([Component.DECODER], None, [Precision.INT8])
    config = ExportConfig(artifacts=artifacts, calibration_seeds=1, **options)
    return export_run(tiny_run, tmp_path / name, config).manifest


def test_a_recipe_makes_the_same_artifact_without_a_search(tiny_run, tiny_bundle, tmp_path):
    recipes = read_recipes([tiny_bundle / "recipes" / f"decoder.int8.{format}.json" for format in Format])
    again = int8(tmp_path, tiny_run, "again", recipes=recipes)
    for artifact in again.artifacts:
        assert (tmp_path / "again" / artifact.name).read_bytes() == (tiny_bundle / artifact.name).read_bytes()
        assert artifact.search.trial_count == 1
        assert artifact.search.reason == "as in the recipe"
        assert len(artifact.search.seeds) == 1
        recipe = f"recipes/{artifact.name}.json"
        assert (tmp_path / "again" / recipe).read_text() == (tiny_bundle / recipe).read_text()


def test_a_recipe_of_other_layers_is_refused_with_the_layer_named(tiny_run, tiny_bundle, tmp_path):
    path = tiny_bundle / "recipes" / "decoder.int8.onnx.json"
    text = json.loads(path.read_text())
    first = next(iter(text["layers"]))
    text["layers"][first] += 1
    (tmp_path / "other.json").write_text(json.dumps(text))
    artifacts = plan_artifacts([Component.DECODER], [Format.ONNX], [Precision.INT8])
    config = ExportConfig(artifacts=artifacts, recipes=read_recipes([tmp_path / "other.json"]))
    with pytest.raises(ExportError, match=f"is for another model: layer '{first}' must have"):
        export_run(tiny_run, tmp_path / "bundle", config)


def test_a_tighter_budget_keeps_more_in_float(tiny_run, tiny_bundle, tmp_path):
    tight = Budget(p99_steps=0.5, elbo_nats=0.01)
    manifest = int8(tmp_path, tiny_run, "tight", budget=tight, rewrites=RewriteChoice())
    for artifact in manifest.artifacts:
        loose = open_bundle(tiny_bundle).manifest.artifact(artifact.name)
        assert len(artifact.search.chosen.float_layers) > len(loose.search.chosen.float_layers)
        limits = {tolerance.metric: tolerance.limit for tolerance in artifact.tolerances}
        assert limits == pytest.approx({"p99_abs": 0.5 / 255, "mean_abs": 1 / 255, ELBO_CHANGE: 0.01})
    assert verify_bundle(tmp_path / "tight").passed


def test_the_model_card_shows_fronts_and_layers(tiny_bundle, manifest):
    card = (tiny_bundle / "MODEL_CARD.md").read_text()
    for artifact in searched(manifest):
        assert f"### {artifact.name}" in card
        assert f"| {artifact.search.chosen.size_bytes} (chosen) |" in card
    assert "int8 weights per channel, int8 activations" in card
