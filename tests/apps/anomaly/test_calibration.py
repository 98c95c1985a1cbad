from statistics import NormalDist

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import (
    Choice,
    Sampling,
    SourceImages,
    calibrate,
    image_features,
)
from pocketvae.apps.anomaly.scores import scores
from pocketvae.errors import DataError
from pocketvae.numerics.conformal import conformal_threshold


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


def test_few_images_keep_the_stated_false_positive_rate_too():
    rng = np.random.default_rng(0)
    rate, draws = 0.05, 4000
    found = []
    for _ in range(draws):
        threshold = conformal_threshold(rng.normal(size=20), rate)
        found.append(1 - NormalDist().cdf(threshold))
    error = np.std(found) / np.sqrt(draws)
    assert np.mean(found) <= rate + error
    assert np.mean(found) > 0.8 * rate


def test_a_threshold_is_one_of_the_values():
    values = np.random.default_rng(0).permutation(100).astype(float)
    assert conformal_threshold(values, 0.05) == 95  # rank ceil(101 * 0.95) = 96
    assert conformal_threshold(values, 0.5) == 50
    assert conformal_threshold(values[:19], 0.05) == values[:19].max()
    assert conformal_threshold(np.arange(9.0), 0.1) == 8
    assert conformal_threshold(np.arange(9.0), 0.7) == 2  # 10 * (1 - 0.7) is 3.0000000000000004
    with pytest.raises(DataError, match="a false-positive rate of 0.05 needs at least 19 held-out images, got 18"):
        conformal_threshold(values[:18], 0.05)
