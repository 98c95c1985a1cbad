import numpy as np
import pytest

from pocketvae.export.external.aggregate import aggregate_of


def test_latents_of_the_prior_are_near_and_those_of_an_autoencoder_far():
    z = np.random.default_rng(0).standard_normal((512, 4, 4, 2))
    near = aggregate_of(z)
    assert not near.is_far
    assert near.kl_nats < 0.03
    far = aggregate_of(5 * z + 3)
    assert far.is_far
    assert far.largest_mean == pytest.approx(3, abs=1)
    assert "nats a dimension; means to 3" in far.text


def test_a_dimension_that_never_changes_is_far():
    assert aggregate_of(np.zeros((9, 3))).is_far
