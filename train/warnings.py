"""What is wrong with a trained run: too few steps, a collapsed posterior, phases of training that were not reached."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from pocketvae.data.items import Splits
from pocketvae.train.config import Objective, TrainConfig
from pocketvae.train.evaluation import ElboEstimate
from pocketvae.train.loop import LoopState
from pocketvae.vae_spec import PriorKind

# A posterior with less information than this says nothing about its item.
_COLLAPSED_KL_NATS = 0.1
_MEAN_IMAGES = 512
# A collapsed decoder is as good as the mean image, give or take the images that were chosen; a worse one is untrained.
_SAME_PSNR_DB = 0.5
# The same of other data: 0.5 dB.
_NOTHING_EXPLAINED = 0.12


def warnings_of(
    config: TrainConfig, state: LoopState, test: ElboEstimate, data: Splits, latent_dim: int
) -> tuple[str, ...]:
    """Returns what is wrong with a run, in words.

    Args:
        config: Of the training.
        state: Its end.
        test: What it reached.
        data: What it learned from.
        latent_dim: D.
    """
    return (*_likeliest(config, state, test, data, latent_dim), *_phases_not_reached(config, state))


def _likeliest(
    config: TrainConfig, state: LoopState, test: ElboEstimate, data: Splits, latent_dim: int
) -> tuple[str, ...]:
    """Says what is wrong by its likeliest cause: what is hardly trained has no collapsed posterior yet."""
    if state.step < config.warmup_steps:
        return (
            f"hardly trained: {state.step} steps are fewer than the {config.warmup_steps} of the learning rate's "
            "warm-up; raise epochs, or lower warmup_steps or batch_size",
        )
    if len(state.epochs) < config.kl_warmup_epochs:
        return (
            f"hardly trained: {len(state.epochs)} epochs are fewer than the {config.kl_warmup_epochs} over which the "
            "KL divergence's weight rises; raise epochs, or lower kl_warmup_epochs",
        )
    nothing = _nothing_learned(test, data)
    if nothing:
        return (f"nothing learned: {nothing}; raise epochs or learning_rate",)
    if test.active_units and test.kl_nats >= _COLLAPSED_KL_NATS:
        return ()
    return (
        f"posterior collapse: {test.active_units} of {latent_dim} latent dimensions are active and "
        f"the KL divergence is {test.kl_nats:.2g} nats; try {_against_collapse(config)}",
    )


def _against_collapse(config: TrainConfig) -> str:
    """Names keys that this objective takes."""
    if config.objective is Objective.IWAE:
        return "objective = 'elbo' with kl_warmup_epochs"
    analytic = config.prior is PriorKind.STANDARD
    return "kl_warmup_epochs or free_bits_nats" if analytic else "kl_warmup_epochs"


def _phases_not_reached(config: TrainConfig, state: LoopState) -> Iterator[str]:
    epochs = len(state.epochs)
    if 0 < epochs <= config.importance_warmup_epochs:
        yield (
            f"no epoch took {config.importance_samples} samples: the first {config.importance_warmup_epochs} take one "
            f"(importance_warmup_epochs), and training ended after epoch {epochs}"
        )
    if 0 < epochs <= config.augmented_epochs:
        yield (
            f"no epoch saw the images as they are: the first {config.augmented_epochs} change them "
            f"(augmented_epochs), and training ended after epoch {epochs}"
        )


def _nothing_learned(test: ElboEstimate, data: Splits) -> str:
    """Says by how much reconstructions are worse than the mean of all items; empty if they are not."""
    if test.psnr_db is None:
        worse = -(test.explained_variance or 0.0)
        return f"reconstructions are {worse:.0%} worse than the mean alone" if worse > _NOTHING_EXPLAINED else ""
    mean_image_psnr_db = _mean_image_psnr_db(data)
    if test.psnr_db >= mean_image_psnr_db - _SAME_PSNR_DB:
        return ""
    return (
        f"reconstructions have a PSNR of {test.psnr_db:.1f} dB, and the mean image alone has "
        f"{mean_image_psnr_db:.1f} dB"
    )


def _mean_image_psnr_db(data: Splits) -> float:
    """Returns the PSNR on test images of a decoder that makes the training images' mean, whatever the latent."""
    train, test = (images.spaced(_MEAN_IMAGES).items / 255 for images in (data.train, data.test))
    error = float(np.mean((test - train.mean(axis=0)) ** 2))
    return -10 * math.log10(max(error, 1e-12))
