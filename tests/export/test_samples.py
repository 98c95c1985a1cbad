import numpy as np

from pocketvae.export import samples


def test_tails_have_one_coordinate_beyond_three_in_every_dimension():
    z = samples.tail_latents(64, 16, np.random.default_rng(0))
    outside = np.abs(z) > 3
    assert (outside.sum(axis=1) == 1).all()
    assert (outside.sum(axis=0) == 4).all()
    assert np.abs(z).max() <= 4


def test_strata_cover_all_samples_in_order():
    stacked = samples.stack({"a": np.zeros((3, 2)), "none": np.zeros((0, 2)), "b": np.ones((5, 2))})
    assert [(s.name, s.start, s.count) for s in stacked.strata] == [("a", 0, 3), ("b", 3, 5)]
    np.testing.assert_array_equal(stacked.values[3:], 1)
    assert stacked.values.dtype == np.float32


def test_encoder_inputs_are_half_grey_and_half_binary():
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 1), np.uint8)
    inputs = samples.encoder_inputs(images, np.random.default_rng(1))
    np.testing.assert_array_equal(inputs.values[:5], images[0::2].astype(np.float32) / 255)
    assert set(np.unique(inputs.values[5:])) == {0, 1}


def test_the_seed_decides_the_samples():
    one, same, other = (samples.prior_latents(4, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
