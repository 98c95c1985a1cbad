import numpy as np
import pytest

from pocketvae.export.external.aggregate import LOST, aggregate_of, label_share, lost_by


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


def test_the_share_between_labels_is_that_of_their_means():
    rng = np.random.default_rng(0)
    labels, noise = np.arange(2000, dtype=np.int32) % 4, rng.standard_normal((2000, 3))
    assert label_share(noise, labels) < 0.01
    assert label_share(noise, 0 * labels) == 0
    moved = noise + np.array([-1, -1, 1, 1])[labels][:, None]  # as much variance between labels as within them
    assert label_share(moved, labels) == pytest.approx(0.5, abs=0.03)


def test_a_pair_is_lost_where_the_mean_of_the_data_is_nearer():
    rng = np.random.default_rng(0)
    items = rng.uniform(size=(64, 4, 4, 1))
    usual = np.full((4, 4, 1), 0.5)
    assert lost_by(items, items + 0.01, usual) < 0.01
    assert lost_by(items, np.full_like(items, 0.5), usual) == pytest.approx(1)
    assert lost_by(items, np.full_like(items, 0.5), usual) < LOST
    # In the wrong order, and of an encoder that sees a 255th of them.
    assert lost_by(items, items[::-1], usual) > LOST
    assert lost_by(items, 255 * items, usual) > 1000
    assert np.isnan(lost_by(items, np.full_like(items, np.nan), usual))
    assert lost_by(items, items.reshape(64, 16), usual) == 0
