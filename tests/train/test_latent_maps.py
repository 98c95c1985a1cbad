from dataclasses import replace

import pytest

from pocketvae.errors import SpecError
from pocketvae.train import TrainConfig
from pocketvae.train.latent_maps import latent_maps, latent_size
from pocketvae.vae_spec import PriorKind

CONFIG = TrainConfig(latent_dim=5, channels=(4, 4, 4), latent_maps=(1, 0, 3))


def test_levels_follow_the_vector_from_coarse_to_fine():
    coarse, fine = latent_maps(CONFIG, (32, 16, 3))
    assert (coarse.stage, coarse.rows, coarse.columns, coarse.channels, coarse.first) == (2, 4, 2, 3, 5)
    assert (fine.stage, fine.rows, fine.columns, fine.channels, fine.first) == (0, 16, 8, 1, 5 + 24)
    assert latent_size(CONFIG, (32, 16, 3)) == 5 + 24 + 128


def test_an_image_that_is_cropped_has_maps_of_what_is_decoded():
    coarse, fine = latent_maps(CONFIG, (28, 30, 1))
    assert (coarse.rows, coarse.columns) == (4, 4)
    assert (fine.rows, fine.columns) == (16, 16)


def test_a_sequence_has_maps_of_one_column():
    coarse, fine = latent_maps(CONFIG, (64, 3))
    assert (coarse.rows, coarse.columns, fine.rows, fine.columns) == (8, 1, 32, 1)


def test_without_maps_the_latent_is_the_vector():
    config = replace(CONFIG, latent_maps=())
    assert latent_maps(config, (32, 32, 3)) == ()
    assert latent_size(config, (32, 32, 3)) == 5


def test_a_flow_must_be_able_to_halve_the_latent():
    config = replace(CONFIG, prior=PriorKind.REALNVP, couplings=1, coupling_units=2)
    with pytest.raises(SpecError, match="even number of latent dimensions, got 157: change latent_dim by 1"):
        latent_size(config, (32, 16, 3))
    assert latent_size(replace(config, latent_dim=6), (32, 16, 3)) == 158
