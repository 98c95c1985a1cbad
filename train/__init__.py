"""Training: images in, a run directory out."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.train.config import (
        Activation,
        Architecture,
        Binarization,
        Objective,
        Optimizer,
        Schedule,
        TrainConfig,
    )
    from pocketvae.train.distribution import Strategy
    from pocketvae.train.evaluate_run import Evaluation, evaluate
    from pocketvae.train.evaluation import ElboEstimate, LikelihoodEstimate
    from pocketvae.train.pipeline import train
    from pocketvae.train.presets import PRESETS, parse_assignments, preset, read_toml, with_overrides
    from pocketvae.train.shared_evaluation import Sharing

_MODULES = {
    "pocketvae.train.config": (
        "Activation",
        "Architecture",
        "Binarization",
        "Objective",
        "Optimizer",
        "Schedule",
        "TrainConfig",
    ),
    "pocketvae.train.distribution": ("Strategy",),
    "pocketvae.train.evaluate_run": (
        "Evaluation",
        "evaluate",
    ),
    "pocketvae.train.evaluation": (
        "ElboEstimate",
        "LikelihoodEstimate",
    ),
    "pocketvae.train.pipeline": ("train",),
    "pocketvae.train.presets": (
        "PRESETS",
        "parse_assignments",
        "preset",
        "read_toml",
        "with_overrides",
    ),
    "pocketvae.train.shared_evaluation": ("Sharing",),
}

__all__ = [
    "PRESETS",
    "Activation",
    "Architecture",
    "Binarization",
    "ElboEstimate",
    "Evaluation",
    "LikelihoodEstimate",
    "Objective",
    "Optimizer",
    "Schedule",
    "Sharing",
    "Strategy",
    "TrainConfig",
    "evaluate",
    "parse_assignments",
    "preset",
    "read_toml",
    "train",
    "with_overrides",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
