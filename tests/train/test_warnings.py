"""What a run is told to be wrong with, by the keys of its configuration."""

import numpy as np
import pytest

from pocketvae.data.dataset import ImageSet, ImageSplits
from pocketvae.train import TrainConfig, with_overrides
from pocketvae.train.evaluation import ElboEstimate
from pocketvae.train.loop import EpochMetrics, LoopState
from pocketvae.train.warnings import warnings_of

IWAE = {"objective": "iwae", "importance_samples": 4}
FLOW = {"prior": "realnvp", "couplings": 2, "coupling_units": 4}


def part(seed):
    images = np.random.default_rng(seed).integers(0, 256, (16, 4, 4, 1), np.uint8)
    return ImageSet(images=images)


DATA = ImageSplits(name="x", train=part(0), validation=part(1), test=part(2))


def warnings(config, *, epochs=4, active=2):
    metrics = tuple(
        EpochMetrics(
            epoch=number + 1,
            step=1000 * (number + 1),
            train_loss_nats=90.0,
            validation_negative_elbo_nats=91.0,
            validation_reconstruction_nats=70.0,
            validation_kl_nats=21.0,
            validation_active_units=active,
            learning_rate=0.001,
            elapsed_s=1.0,
        )
        for number in range(epochs)
    )
    test = ElboEstimate(
        negative_elbo_nats=91.0,
        standard_error_nats=0.1,
        reconstruction_nats=70.0,
        kl_nats=21.0 * bool(active),
        active_units=active,
        psnr_db=40.0,
    )
    state = LoopState(step=1000 * epochs, epochs=metrics)
    return warnings_of(with_overrides(TrainConfig(), config), state, test, DATA, 16)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {**IWAE, "importance_warmup_epochs": 4},
            "no epoch took 4 samples: the first 4 take one (importance_warmup_epochs), and training ended after "
            "epoch 4",
        ),
        (
            {"shift_pixels": 1, "augmented_epochs": 9},
            "no epoch saw the images as they are: the first 9 change them (augmented_epochs), and training ended after "
            "epoch 4",
        ),
    ],
)
def test_phases_that_were_not_reached_are_told(config, message):
    assert warnings(config) == (message,)
    assert warnings(config, epochs=10) == ()


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        ({}, "try kl_warmup_epochs or free_bits_nats"),
        (FLOW, "try kl_warmup_epochs"),
        (IWAE, "try objective = 'elbo' with kl_warmup_epochs"),
    ],
)
def test_against_collapse_only_keys_are_named_that_the_objective_takes(config, advice):
    (warning,) = warnings(config, active=0)
    assert warning.startswith("posterior collapse: 0 of 16 latent dimensions are active")
    assert warning.endswith(advice)
