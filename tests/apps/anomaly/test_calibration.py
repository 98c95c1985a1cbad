import json
from dataclasses import replace

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import (
    Calibration,
    Choice,
    Sampling,
    SourceImages,
    calibrate,
    image_features,
)
from pocketvae.apps.anomaly.scores import ScoreKind, scores
from pocketvae.cli.main import main
from pocketvae.documents import decode, encode
from pocketvae.errors import ManifestError
from pocketvae.fields import Channel
from pocketvae.vae_spec import DataKind, Likelihood, VaeSpec, vector_latent


def source(images):
    return SourceImages(images=images, names=tuple(map(str, range(len(images)))), labels=None)


@pytest.fixture(scope="module")
def bundle(tables_path):
    with pocketvae.open(tables_path) as opened:
        yield opened


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


def test_the_threshold_has_the_stated_false_positive_rate(bundle, grey_images, calibration):
    features = image_features(bundle, source(grey_images[150:250]), Choice(), calibration.sampling)
    values = scores(features, bundle.vae, calibration.noise_scale, calibration.density)
    for kind, threshold in calibration.thresholds.items():
        # Rank 91 of 100: of 101 alike images, the new one included, 10 lie above it.
        assert np.sum(values[kind] > threshold) == 9


@pytest.fixture
def signals(tmp_path, monkeypatch, bundles):
    """A bundle of sequences of six channels, each with its own noise, and `normal.npy`, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    np.save("normal.npy", np.random.default_rng(0).random((300, 6, 6)).astype(np.float32))
    vae = VaeSpec(
        data=DataKind.SEQUENCE,
        data_shape=(6, 6),
        latents=vector_latent(3),
        likelihood=Likelihood.GAUSSIAN,
        channels=tuple(Channel(noise_scale=scale) for scale in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)),
        range_is_strict=False,
    )
    return bundles.make_bundle(tmp_path / "b", vae=vae)


def test_an_older_calibration_gives_the_scores_that_it_was_fitted_to(signals, tmp_path, capsys):
    command = ["score", str(signals), "normal.npy", "--calibration", "c.json", "--quiet"]
    assert main([*command, "--calibrate"]) == 0
    found = json.loads((tmp_path / "c.json").read_text())
    assert (found["schema_version"], found["noise_scale"]) == (6, None)

    def nats():
        assert main([*command, "--csv", "s.csv", "--force"]) == 0
        return np.genfromtxt("s.csv", delimiter=",", names=True)["reconstruction"]

    own = nats()
    assert "calibrate again" not in capsys.readouterr().err
    (tmp_path / "c.json").write_text(json.dumps(found | {"schema_version": 3, "noise_scale": 0.3}))
    older = nats()
    assert "one noise for all channels: calibrate again" in capsys.readouterr().err
    with pocketvae.open(signals) as bundle:
        features = image_features(bundle, source(np.load("normal.npy")), Choice(), Sampling())
        for noise, expected in ((None, own), (0.3, older)):
            np.testing.assert_allclose(scores(features, bundle.vae, noise, None)[ScoreKind.RECONSTRUCTION], expected)


def test_a_calibration_without_a_noise_is_only_for_channels_that_say_theirs(bundle, calibration):
    with pytest.raises(
        ManifestError, match=r"does not hold what this bundle needs \(noise_scale\): calibrate it again"
    ):
        replace(calibration, noise_scale=None).check_bundle(bundle)


def test_a_calibration_is_of_one_encoder_and_older_ones_of_any(tmp_path, monkeypatch, bundles):
    weights = bundles._weights()
    monkeypatch.setattr(bundles, "_weights", lambda: {**weights, "mean": 3 * weights["mean"]})
    changed = bundles.make_bundle(tmp_path / "changed")
    monkeypatch.undo()
    items = source(np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1), np.uint8))
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as own, pocketvae.open(changed) as other:
        fitted = calibrate(
            own, items, items, normal="x", choice=Choice(), sampling=Sampling(samples=1), false_positive_rate=0.1
        )
        fitted.check_bundle(own)
        with pytest.raises(ManifestError, match=r"that of 'tiny' is another behind the same decoder \([0-9a-f]{8}\)"):
            fitted.check_bundle(other)
        # Files before version 6 do not say which encoder.
        older = json.loads(encode(fitted)) | {"schema_version": 5}
        del older["encoder"]
        decode(Calibration, json.dumps(older).encode(), "c.json").check_bundle(other)
