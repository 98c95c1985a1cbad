"""The learning rate as a pure function of the step."""

import math

from pocketvae.train.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """Returns the rate of one step: linear warm-up, then cosine decay (Loshchilov and Hutter 2017, equation 5).

    Args:
        config: Gives the highest rate, the warm-up and the final fraction.
        step: From 0.
        total_steps: Of the whole run.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    decay_steps = max(1, total_steps - config.warmup_steps)
    progress = min(1.0, (step - config.warmup_steps) / decay_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * (config.final_rate_fraction + (1 - config.final_rate_fraction) * cosine)
