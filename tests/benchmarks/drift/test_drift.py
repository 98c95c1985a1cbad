import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pocketvae import benchmarks
from pocketvae.benchmarks import verify_bundle
from pocketvae.benchmarks.drift import drift, repeats
from pocketvae.benchmarks.drift.control import four_bit
from pocketvae.benchmarks.drift.images import golden_images, source_images
from pocketvae.benchmarks.drift.paths import path_figures
from pocketvae.benchmarks.drift.repeats import check_repeats
from pocketvae.benchmarks.parity.limits import Limits
from pocketvae.benchmarks.targets import make_target
from pocketvae.bundle.bundle import open_bundle
from pocketvae.cli.main import main
from pocketvae.documents import encode
from pocketvae.errors import DataError
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.files import sha256_file
from pocketvae.vae_spec import Condition, DataKind, PriorKind, VaeSpec, vector_latent


def test_weights_of_four_bits_have_fifteen_levels(bundles):
    content = bundles.decoder_model(bundles.right_weight()).SerializeToString()
    (weight,) = [
        numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(four_bit(content, Format.ONNX)).graph.initializer
        if tensor.name == "w"
    ]
    assert len(np.unique(weight)) <= 15
    step = np.abs(bundles.right_weight()).max() / 7
    assert np.abs(weight - bundles.right_weight()).max() <= step / 2 + 1e-6


def test_weights_that_are_few_or_none_are_kept(bundles):
    model = bundles.decoder_model(bundles.right_weight())
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(0, np.float32), "roi"))
    rounded = onnx.load_from_string(four_bit(model.SerializeToString(), Format.ONNX))
    assert numpy_helper.to_array(rounded.graph.initializer[-1]).shape == (0,)


@pytest.fixture
def drifted(tmp_path, bundles, monkeypatch):
    """Opens a bundle with a float16 decoder beside the float32 one, each of any weight; few samples are drawn."""
    monkeypatch.setattr(drift, "_SAMPLES", 64)

    def make(vae=None, **weights):
        form = {} if vae is None else {"output": vae.output, "shape": vae.data_shape}
        models = [
            bundles.decoder_model(weights.get(name, bundles.right_weight()), **form) for name in ("float32", "float16")
        ]
        path = bundles.make_bundle(tmp_path / "b", decoder=models[0], vae=vae)
        onnx.save(models[1], path / "decoder.float16.onnx")
        bundle = open_bundle(path)
        first = bundle.manifest.artifacts[0]
        file = bundles._file(path, "decoder.float16.onnx")
        half = replace(first, precision=Precision.FLOAT16, file=file)
        manifest = replace(bundle.manifest, artifacts=(*bundle.manifest.artifacts, half))
        (path / "manifest.json").write_text(encode(manifest))
        return open_bundle(path)

    return make


def drift_of(bundle):
    return drift.measure_drift(bundle, golden_images(bundle, np.random.default_rng(0)))


def test_a_single_latent_dimension_has_a_diversity(drifted, bundles, monkeypatch):
    monkeypatch.setattr(bundles, "LATENT", 1)
    (figure,) = [item for item in drift_of(drifted()).figures if item.metric == "diversity_ratio"]
    assert figure.value == pytest.approx(1)


def test_images_that_are_all_alike_have_no_diversity(drifted, bundles, monkeypatch):
    weights = bundles._weights()
    monkeypatch.setattr(bundles, "_weights", lambda: {**weights, "mean": 0 * weights["mean"]})
    assert {item.metric for item in drift_of(drifted()).figures} == {"elbo_change_mean", "nll_change_mean"}


def test_too_few_images_fail_and_say_so(drifted):
    bundle = drifted()
    images = golden_images(bundle, np.random.default_rng(0))
    found = drift.measure_drift(bundle, replace(images, x=images.x[:4]))
    details = {check.metric: check.detail for check in found.checks if check.artifact == "decoder.float16.onnx"}
    said = "the test takes at least 5 images, got 4"
    assert (details["elbo_change"], details["nll_change"]) == (said, said)


@pytest.mark.parametrize("whose", ["float16", "float32"])
def test_a_decoder_that_makes_no_numbers_fails_and_is_written(drifted, bundles, whose):
    bundle = drifted(**{whose: bundles.right_weight() * np.float32(np.nan)})
    found = drift_of(bundle)
    with make_target("host").open(bundle) as run:
        figures = (*found.figures, *path_figures(bundle, run))
    result = verify_bundle(bundle)
    result = replace(result, checks=(*result.checks, *found.checks), figures=(*result.figures, *figures))
    document = json.loads(encode(result))
    failed = {check["metric"] for check in document["checks"] if not check["passed"]}
    assert {"elbo_change", "nll_change", "mmd2", "finite"} <= failed
    assert {"jump_rmse", "diversity_ratio", "elbo_change_mean"}.isdisjoint(f["metric"] for f in document["figures"])


@pytest.mark.parametrize(("prior", "tested"), [(PriorKind.STANDARD, True), (PriorKind.REALNVP, False)])
def test_the_elbo_of_encoders_is_not_tested_where_the_prior_has_no_density(drifted, bundles, prior, tested):
    """Their latents differ, and so does log p(z): without it a wrong encoder once passed and a right one failed."""
    bundle = drifted()
    manifest, name = bundle.manifest, "encoder.float16.onnx"
    shutil.copy(bundle.path / "encoder.float32.onnx", bundle.path / name)
    half = replace(manifest.artifacts[1], precision=Precision.FLOAT16, file=bundles._file(bundle.path, name))
    vae = replace(manifest.vae, prior=prior)
    found = drift_of(replace(bundle, manifest=replace(manifest, vae=vae, artifacts=(*manifest.artifacts, half))))
    names = {check.artifact for check in found.checks if check.metric == "elbo_change"}
    assert names - {"control.4bit"} == {"decoder.float16.onnx", *([name] if tested else [])}
    note = "the change of the ELBO by encoders was not tested: a bundle can sample from the prior realnvp but does not"
    assert any(line.startswith(note) for line in found.notes) is not tested


def test_samples_have_the_name_of_the_data(drifted):
    found = drift_of(drifted(vae=VaeSpec(data=DataKind.VECTOR, data_shape=(36,), latents=vector_latent(3))))
    (check,) = [check for check in found.checks if check.metric == "mmd2"]
    assert (check.output, "64 vectors each" in check.limit_source) == ("vector", True)
    assert {figure.output for figure in found.figures if figure.metric == "diversity_ratio"} == {"vector"}


def test_a_condition_that_the_encoder_does_not_take_is_the_decoder_s():
    label = Condition(count=10, encoded=False)
    vae = VaeSpec(data_shape=(2, 2, 1), latents=vector_latent(3), conditions=(label,))
    inputs = {
        Component.ENCODER: {"x": np.zeros((5, 2, 2, 1), np.float32)},
        Component.DECODER: {"z": np.zeros((3, 3), np.float32), "label": np.array([7, 8, 9], np.int32)},
    }
    bundle = SimpleNamespace(
        manifest=SimpleNamespace(vae=vae), goldens=lambda component: SimpleNamespace(inputs=inputs[component])
    )
    images = golden_images(bundle, np.random.default_rng(0))
    assert {name: list(values) for name, values in images.conditions.items()} == {"label": [7, 8, 9, 7, 8]}


def test_golden_images_are_binary_under_a_bernoulli_likelihood(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    images = golden_images(bundle, np.random.default_rng(0))
    assert set(np.unique(images.x)) == {0.0, 1.0}
    assert images.source == f"{bundles.COUNT} golden images"


def test_images_of_another_shape_are_refused(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    with pytest.raises(DataError, match=r"the images must be \(6, 6, 1\) as for the bundle, got \(28, 28, 1\)"):
        source_images(bundle, "mnist", np.random.default_rng(0))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "mnist"], "--data only applies to --thorough"),
        (["--thorough", "--data", "nothing"], "data must be 'mnist', a folder of images"),
        (["--thorough", "--data", "mnist"], "the images must be (6, 6, 1)"),
    ],
)
def test_what_cannot_be_tested_is_refused_before_anything_runs(tmp_path, bundles, capsys, monkeypatch, words, message):
    monkeypatch.setattr(benchmarks, "verify_in_detail", lambda *_, **__: pytest.fail("it was verified"), raising=False)
    bundle = bundles.make_bundle(tmp_path / "b")
    assert main(["verify", str(bundle), "--quiet", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_bundle_with_nothing_quantized_has_nothing_to_test(tmp_path, bundles, capsys):
    bundle = bundles.make_bundle(tmp_path / "b")
    assert main(["verify", str(bundle), "--thorough", "--quiet", "--json", str(tmp_path / "v.json")]) == 0
    assert {check["metric"] for check in json.loads((tmp_path / "v.json").read_text())["checks"]} == {
        "loads",
        "interface",
        "finite",
        "range",
        "max_abs",
        "kl_mean",
        "repeats",
    }


def test_repetitions_hold_the_limits_and_do_not_differ(tmp_path, bundles):
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))
    with make_target("host").open(bundle) as run:
        found = check_repeats(bundle, run, Limits())
    assert [(check.metric, check.passed) for check in found.checks] == [("repeats", True)] * 2
    assert {figure.output for figure in found.figures} == {"image", "z_mean", "z_log_var"}
    assert max(figure.value for figure in found.figures) < 1e-6


def test_an_artifact_that_depends_on_its_threads_is_found(tmp_path, bundles, monkeypatch):
    monkeypatch.setattr(repeats, "logical_cores", lambda: 2)
    bundle = open_bundle(bundles.make_bundle(tmp_path / "b"))

    class Moody:
        def __init__(self, host):
            self.host = host

        def run(self, artifact, inputs, **options):
            found = self.host.run(artifact, inputs, **options | {"num_threads": 1})
            return {name: values + (options["num_threads"] - 1) for name, values in found.items()}

    with make_target("host").open(bundle) as run:
        found = check_repeats(bundle, Moody(run), Limits())
    assert found.checks
    assert not any(check.passed for check in found.checks)
    assert found.checks[0].detail.startswith("with 2 threads at batch 1: ")


@pytest.mark.parametrize("name", ["pocketvae.toml", "mine.toml"])
def test_repetitions_hold_the_custom_limits(tmp_path, bundles, name):
    bundle = bundles.make_bundle(tmp_path / "b", decoder=bundles.decoder_model(bundles.right_weight() * 1.01))
    (tmp_path / name).write_text('[limits."decoder.*".image]\nmax_abs = 0.5\n')
    config = [] if name == "pocketvae.toml" else ["--config", str(tmp_path / name)]
    assert main(["verify", str(bundle), "--thorough", "--quiet", *config]) == 0


# A decoder and its encoder in every precision, and what generators are compared with.
FORMS = ("float32.tflite", "float16.tflite", "dynamic_int8.onnx", "int8.tflite", "int8_io.tflite", "int16x8.onnx")
TESTED = {f"{part}.{form}" for part in ("encoder", "decoder") for form in FORMS}
TESTED |= {"generator.float32.tflite", "generator.int8.onnx"}


@pytest.fixture(scope="module")
def thorough(tmp_path_factory, tiny_bundle):
    """A verification of some of a real bundle, whose float16 decoder was replaced by one of 4 bits with wide limits."""
    folder = tmp_path_factory.mktemp("thorough")
    bundle = shutil.copytree(tiny_bundle, folder / "b")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["artifacts"] = [item for item in manifest["artifacts"] if item["file"]["path"] in TESTED]
    assert len(manifest["artifacts"]) == len(TESTED)
    for artifact in manifest["artifacts"]:
        if artifact["file"]["path"] == "decoder.float16.tflite":
            file = bundle / artifact["file"]["path"]
            file.write_bytes(four_bit((bundle / "decoder.float32.tflite").read_bytes(), Format.TFLITE))
            artifact["file"] |= {"sha256": sha256_file(file), "size_bytes": file.stat().st_size}
            artifact["tolerances"][0]["limit"] = 1.0
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    code = main(["verify", str(bundle), "--thorough", "--quiet", "--json", str(folder / "v.json")])
    return code, json.loads((folder / "v.json").read_text())


@pytest.mark.slow
def test_a_decoder_of_four_bits_fails_though_its_limits_are_wide(thorough):
    code, document = thorough
    failed = {(c["artifact"], c["metric"]) for c in document["checks"] if not c["passed"]}
    assert code == 1
    assert ("decoder.float16.tflite", "elbo_change") in failed
    assert {artifact for artifact, _ in failed} <= {"decoder.float16.tflite"}


@pytest.mark.slow
def test_every_test_has_its_limit_and_its_source(thorough):
    _, document = thorough
    tests = [c for c in document["checks"] if c["metric"] in ("elbo_change", "nll_change", "mmd2")]
    assert {c["artifact"].split(".")[0] for c in tests} == {"encoder", "decoder", "generator"}
    assert all(check["limit_source"] for check in tests)
    control = [c for c in document["checks"] if c["artifact"].startswith("control")]
    assert [(c["metric"], c["passed"]) for c in control] == [("told apart", True)]
    assert sum(note.startswith("control.4bit ") for note in document["notes"]) == 3
    figures = {(f["output"], f["metric"]) for f in document["figures"]}
    assert {("round trip", "psnr_db"), ("path", "jump_rmse"), ("image", "diversity_ratio")} <= figures
