"""Learning rate and KL weight as pure functions of the step."""

import math

from pocketvae.train.config import Schedule, TrainConfig


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """Returns the rate of one step: linear warm-up, then the schedule.

    The cosine is that of Loshchilov and Hutter 2017, equation 5, without restarts.

    Args:
        config: Gives the highest rate, the warm-up, the schedule and the final fraction.
        step: Number of the step, from 0.
        total_steps: Number of steps of the whole run.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    decay_steps = max(1, total_steps - config.warmup_steps)
    progress = min(1.0, (step - config.warmup_steps) / decay_steps)
    remaining = {
        Schedule.COSINE: 0.5 * (1 + math.cos(math.pi * progress)),
        Schedule.LINEAR: 1 - progress,
        Schedule.CONSTANT: 1.0,
    }[config.schedule]
    return config.learning_rate * (config.final_rate_fraction + (1 - config.final_rate_fraction) * remaining)


def kl_weight(config: TrainConfig, epochs_done: float) -> float:
    """Returns the weight of the KL divergence: beta, reached linearly over the warm-up (Sonderby et al. 2016)."""
    if config.kl_warmup_epochs == 0:
        return config.beta
    return config.beta * min(1.0, epochs_done / config.kl_warmup_epochs)


def shared_noise(progress: float) -> float:
    """Returns how far the channels of signals share one variance: wholly at first, and not at all in the second half.

    Args:
        progress: The part of all steps that were taken.
    """
    return max(0.0, 1.0 - 2.0 * progress)
