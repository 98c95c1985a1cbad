"""Anomaly scores, and the command that computes them."""

import csv
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import pocketvae
from pocketvae import apps
from pocketvae.apps import (
    Choice,
    Sampling,
    ScoreKind,
    SourceImages,
    approximations,
    calibrate,
    image_features,
    score_csv,
    score_json,
    score_result,
)
from pocketvae.apps.anomaly.scores import NormalDensity, fit_density, scores
from pocketvae.cli.main import main
from pocketvae.documents import encode
from pocketvae.errors import DataError, ManifestError, SpecError
from pocketvae.fields import Channel
from pocketvae.models.components import Encoder, Posterior
from pocketvae.outputs import Meaning, Output
from pocketvae.vae_spec import DataKind, Likelihood, PriorKind, VaeSpec, vector_latent


def source(images):
    return SourceImages(images=images, names=tuple(map(str, range(len(images)))), labels=None)


@pytest.fixture(scope="module")
def bundle(tables_path):
    with pocketvae.open(tables_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(5).integers(0, 256, (40, 6, 6, 1), np.uint8)


@pytest.fixture(scope="module")
def calibration(bundle, grey_images):
    return calibrate(
        bundle,
        source(grey_images[:150]),
        source(grey_images[150:250]),
        normal="blobs",
        choice=Choice(),
        sampling=Sampling(samples=3),
        false_positive_rate=0.1,
    )


def test_a_score_depends_on_its_image_alone(bundle, grey_images, calibration):
    together = image_features(bundle, source(grey_images[:5]), Choice(), calibration.sampling)
    alone = image_features(bundle, source(grey_images[3:4]), Choice(), calibration.sampling)
    assert alone.cross_entropy_nats[0] == together.cross_entropy_nats[3]


def test_scores_are_made_of_the_features(bundle, grey_images):
    features = image_features(bundle, source(grey_images[:9]), Choice(), Sampling(samples=1))
    density = NormalDensity(mean=(0, 0, 0), precision=((2, 0, 0), (0, 1, 0), (0, 0, 1)))
    binary = scores(features, bundle.vae, 0.1, density)
    np.testing.assert_allclose(binary[ScoreKind.RECONSTRUCTION], features.cross_entropy_nats)
    np.testing.assert_allclose(binary[ScoreKind.ELBO], features.cross_entropy_nats + features.kl_nats)
    triple = features.log_triple()
    np.testing.assert_allclose(binary[ScoreKind.DENSITY], 2 * triple[:, 0] ** 2 + triple[:, 1] ** 2 + triple[:, 2] ** 2)
    gaussian = VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(3), likelihood=Likelihood.GAUSSIAN, noise_scale=0.1)
    nats = scores(features, gaussian, 0.1, density)[ScoreKind.RECONSTRUCTION]
    expected = features.sampled_square_error / 0.02 + 36 * 0.5 * np.log(2 * np.pi * 0.01)
    np.testing.assert_allclose(nats, expected)
    bits = (expected + 36 * np.log(255) + features.kl_nats) / np.log(2) - features.png_bits
    np.testing.assert_allclose(binary[ScoreKind.COMPLEXITY], bits)


def test_a_feature_that_is_the_same_for_all_items_does_not_count_in_the_density():
    triples = np.random.default_rng(0).normal(size=(50, 3))
    whole = fit_density(SimpleNamespace(log_triple=lambda: triples))
    triples[:, 1] = 0.7  # As of an encoder whose log-variance is a constant.
    density = fit_density(SimpleNamespace(log_triple=lambda: triples))
    assert np.count_nonzero(density.precision) == 4
    pair = triples[:, [0, 2]] - triples[:, [0, 2]].mean(axis=0)
    expected = np.einsum("ni,ij,nj->n", pair, np.linalg.inv(np.cov(pair.T)), pair)
    np.testing.assert_allclose(density.distance(triples), expected, rtol=1e-6)
    assert np.count_nonzero(whole.precision) == 9
    with pytest.raises(DataError, match="at least 10 normal items that differ"):
        fit_density(SimpleNamespace(log_triple=lambda: np.ones((50, 3))))


def test_what_is_taken_as_simpler_is_said():
    def said(**changes):
        return " ".join(approximations(VaeSpec(data_shape=(6, 6, 1), latents=vector_latent(4), **changes)))

    assert said(likelihood=Likelihood.BERNOULLI) == ""
    assert said(likelihood=Likelihood.GAUSSIAN, noise_scale=0.1) == ""
    assert said(likelihood=Likelihood.BERNOULLI, prior=PriorKind.REALNVP).startswith(
        "the scores elbo and complexity use N(0, I) instead of the learned prior realnvp"
    )
    assert "the likelihood, discretized_logistic, as a Gaussian" in said(likelihood=Likelihood.DISCRETIZED_LOGISTIC)
    noise = Output(name="log_var", data=DataKind.IMAGE, shape=(6, 6, 1), meaning=Meaning.LOG_VAR)
    assert said(likelihood=Likelihood.UNKNOWN, more_outputs=(noise,)).startswith("the score complexity treats the")


@pytest.mark.parametrize(
    ("changes", "exact"),
    [
        ({"channels": (Channel(noise_scale=0.1), Channel(noise_scale=2.0))}, True),
        ({"channels": (Channel(noise_scale=0.1), Channel())}, False),
        ({"noise_scale": 0.1}, True),
        ({}, False),
        ({"likelihood": Likelihood.BERNOULLI}, False),
    ],
)
def test_the_likelihood_of_signals_is_exact_where_their_noise_is_known(changes, exact):
    common = {"data": DataKind.SEQUENCE, "data_shape": (6, 2), "latents": vector_latent(3)}
    said = " ".join(approximations(VaeSpec(**{**common, "likelihood": Likelihood.GAUSSIAN, **changes})))
    assert said.startswith("the scores elbo and reconstruction treat the likelihood") is not exact
    assert bool(said) is not exact


def test_strange_images_are_found(bundle, grey_images, calibration, noise):
    features = [
        image_features(bundle, source(images), Choice(), calibration.sampling) for images in (grey_images[250:], noise)
    ]
    normal, strange = (scores(part, bundle.vae, calibration.noise_scale, calibration.density) for part in features)
    result = score_result(calibration, ScoreKind.DENSITY, source(noise).names, strange, normal)
    assert result.auroc[ScoreKind.DENSITY] > 0.99
    assert result.anomalies == 40
    rows = list(csv.DictReader(io.StringIO("".join(score_csv(result)))))
    assert float(rows[7]["density"]) == strange[ScoreKind.DENSITY][7]
    assert rows[7]["anomalous"] == "1"
    # Written piece by piece, it is the same document as at once.
    assert "".join(score_json(result)) == encode(replace(result, items=tuple(result.items)))


def test_bad_input_is_refused(bundle, grey_images, calibration, tmp_path, bundles):
    def again(**changes):
        options = {"normal": "x", "choice": Choice(), "sampling": Sampling(), "false_positive_rate": 0.1}
        return calibrate(bundle, source(grey_images[:50]), source(grey_images[:9]), **{**options, **changes})

    with pytest.raises(SpecError, match="must be above 0 and below 1, got 1"):
        again(false_positive_rate=1.0)
    with pytest.raises(DataError, match="needs at least 99 held-out images, got 9"):
        again(false_positive_rate=0.01)
    with pytest.raises(SpecError, match="samples must be at least 1 and at most 10000, got 0"):
        Sampling(samples=0)
    other = bundles.make_bundle(tmp_path / "other", goldens=np.zeros((20, 6, 6, 1), np.float32))
    with pocketvae.open(other) as opened, pytest.raises(ManifestError, match="the calibration was fitted to 'tiny'"):
        calibration.check_bundle(opened)


def test_what_is_approximate_is_warned_of_once(tables_path, grey_images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("blobs.npy", grey_images)
    monkeypatch.setattr(apps, "approximations", lambda _: ("this is not exact",))
    command = ["score", str(tables_path), "blobs.npy", "--calibration", "c.json", "--quiet"]
    for words in (["--calibrate"], ["--normal", "blobs.npy"]):
        assert main([*command, *words]) == 0
        assert capsys.readouterr().err.count("warning: this is not exact") == 1


def test_images_are_scaled_for_a_calibration_on_request(tables_path, grey_images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("large.npy", grey_images.repeat(2, axis=1).repeat(2, axis=2))
    command = ["score", str(tables_path), "large.npy", "--calibration", "c.json", "--calibrate", "--quiet"]
    assert main(command) == 2
    assert "pass --resize" in capsys.readouterr().err
    assert main([*command, "--resize"]) == 0


def test_the_command_does_the_same(tables_path, grey_images, noise, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("blobs.npy", grey_images)
    np.save("noise.npy", noise)
    command = ["score", str(tables_path), "--calibration", "c.json", "--quiet"]
    assert main([*command, "noise.npy"]) == 2
    assert "c.json does not exist: create it from normal images with --calibrate" in capsys.readouterr().err
    assert main([*command, "blobs.npy", "--calibrate", "--false-positive-rate", "0.1"]) == 0
    files = ["--json", "s.json", "--csv", "s.csv", "--roc", "roc.svg"]
    assert main([*command, "noise.npy", "--normal", "blobs.npy", *files]) == 0
    assert "40 of 40 images are anomalies" in capsys.readouterr().out
    assert json.loads((tmp_path / "s.json").read_text())["auroc"]["density"] > 0.99
    for words, message in (
        (["noise.npy", "--roc", "r.svg"], "--roc needs --normal SRC or --truth COLUMN"),
        (["noise.npy", "--score", "densety"], "unknown score 'densety': did you mean 'density'"),
        (["--calibrate", "blobs.npy"], "c.json exists"),
        (["--calibrate", "blobs.npy", "--csv", "x.csv"], "--csv is for scoring: leave it out with --calibrate"),
        (["--calibrate", "blobs.npy", "--count", "9"], "--count is for scoring"),
        (["--calibrate", "blobs.npy", "--force", "--samples", "10001"], "at most 10000, got 10001"),
        (["--calibrate", "blobs.npy", "--force", "--label", "1"], "does not take a label"),
        (
            ["noise.npy", "--samples", "9"],
            "--samples only applies to --calibrate: the calibration file already has a value",
        ),
        (["noise.npy", "--false-positive-rate", "0.1"], "--false-positive-rate only applies to --calibrate"),
    ):
        assert main([*command, *words]) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "c.json").write_text("{}")
    assert main([*command, "noise.npy"]) == 2
    assert "c.json must be a JSON object with a schema_version" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--csv", "--json", "--roc", "--timeline"])
def test_outputs_are_replaced_with_force_alone(sequence_bundle, tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a.csv", "b.csv"):
        np.savetxt(name, rng.random((1800, 6)), delimiter=",", header="a,b,c,d,e,f", comments="")
    command = ["score", str(sequence_bundle), "--calibration", "c.json", "--quiet"]
    assert main([*command, "a.csv", "--calibrate"]) == 0
    (tmp_path / "kept").write_text("work of a day")
    with monkeypatch.context() as patch:
        patch.setattr(pocketvae, "open", lambda *_: pytest.fail("it began"))
        assert main([*command, "a.csv", "--normal", "b.csv", option, "kept"]) == 2
    assert "kept exists" in capsys.readouterr().err
    assert (tmp_path / "kept").read_text() == "work of a day"
    assert main([*command, "a.csv", "--normal", "b.csv", option, "kept", "--force"]) == 0
    assert (tmp_path / "kept").read_text() != "work of a day"


def test_an_item_beyond_all_numbers_has_the_largest_score(sequence_bundle, tmp_path, monkeypatch, capsys, recwarn):
    monkeypatch.chdir(tmp_path)
    items = np.random.default_rng(0).random((200, 6, 6)).astype(np.float32)
    np.save("normal.npy", items)
    strange = items[:70].copy()
    strange[65] *= -1e5  # too large for its posterior's variance
    np.save("strange.npy", strange)
    command = ["score", str(sequence_bundle), "--calibration", "c.json", "--quiet"]
    assert main([*command, "normal.npy", "--calibrate"]) == 0
    assert main([*command, "strange.npy", "--json", "s.json", "--normal", "normal.npy", "--roc", "r.svg"]) == 0
    assert "1 of 70 items is so far from the training data that its" in (said := capsys.readouterr().err)
    assert "not finite numbers, the first 65: it gets the largest score and is an anomaly" in said
    found = json.loads((tmp_path / "s.json").read_text())["items"]
    values = np.array([item["scores"]["density"] for item in found])
    assert np.argmax(values) == 65
    assert values[65] == np.finfo(float).max
    assert found[65]["anomalous"]
    assert np.median(values) < 100
    assert main([*command, "strange.npy", "--calibrate", "--force", "--false-positive-rate", "0.2"]) == 2
    assert "scores of 1 of 63 are not finite, the first with values up to" in capsys.readouterr().err
    assert not recwarn.list


def test_a_model_that_fails_on_the_items_of_its_training_is_not_their_fault(sequence_bundle, monkeypatch):
    items = np.full((3, 6, 6), 0.5, np.float32)
    with pocketvae.open(sequence_bundle) as bundle:
        encoder = bundle.encoder()
        monkeypatch.setattr(Encoder, "encode", lambda *_: Posterior(z_mean=np.full((3, 3), np.nan), z_log_var=None))
        with pytest.raises(DataError, match="z must be finite, got 9 values that are not"):
            image_features(bundle, source(items), Choice(), Sampling(samples=1))
        assert encoder.vae is bundle.vae
