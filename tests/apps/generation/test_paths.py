"""Ways through latent space."""

import numpy as np
import pytest

import pocketvae
from pocketvae.apps import LatentPath, activity, between, tour
from pocketvae.errors import DataError


@pytest.mark.parametrize("path", LatentPath)
def test_the_ends_are_the_given_latents(path):
    start, end = np.float32([0.3, -1.7, 0.1]), np.float32([1.1, 0.2, -2.3])
    latents = between(start, end, 7, path)
    assert latents.shape == (7, 3)
    assert latents.dtype == np.float32
    assert np.array_equal(latents[[0, -1]], [start, end])


def test_a_straight_line_passes_the_middle():
    assert np.array_equal(between(np.float32([0, 2]), np.float32([4, 0]), 3, LatentPath.LINEAR)[1], [2, 1])


def test_a_great_circle_keeps_the_length():
    latents = between(np.float32([2, 0]), np.float32([0, 2]), 5, LatentPath.SPHERICAL)
    np.testing.assert_allclose(np.linalg.norm(latents, axis=1), 2, rtol=1e-6)
    np.testing.assert_allclose(latents[2], [2**0.5, 2**0.5], rtol=1e-6)


@pytest.mark.parametrize("end", [[1, 0], [-1, 0], [0, 0], [1, 1e-9]])
def test_a_great_circle_that_does_not_exist_is_a_line(end):
    latents = between(np.float32([1, 0]), np.float32(end), 3, LatentPath.SPHERICAL)
    np.testing.assert_allclose(latents[1], (np.array([1, 0]) + end) / 2, atol=1e-6)


def test_a_tour_shows_every_stop_once():
    stops = np.float32([[0], [1], [0]])
    assert tour(stops, 3, LatentPath.LINEAR).ravel().tolist() == [0, 0.5, 1, 0.5, 0]


def test_too_little_to_go_between_is_refused():
    with pytest.raises(DataError, match="at least 2 steps, got 1"):
        between(np.zeros(2, np.float32), np.ones(2, np.float32), 1, LatentPath.LINEAR)
    with pytest.raises(DataError, match="at least 2 latents, got 1"):
        tour(np.zeros((1, 2), np.float32), 5, LatentPath.LINEAR)


def test_activity_is_the_variance_of_means_over_golden_images(tmp_path, bundles):
    with pocketvae.open(bundles.make_bundle(tmp_path / "b")) as bundle:
        means = bundle.bundle.goldens(pocketvae.Component.ENCODER).outputs["z_mean"]
        np.testing.assert_allclose(activity(bundle, bundle.decoder()), means.var(axis=0), rtol=1e-5)
