"""The train room: images in, a run directory out."""

from pocketvae.train.config import (
    Architecture,
    Binarization,
    Objective,
    Schedule,
    TrainConfig,
)
from pocketvae.train.distribution import Strategy
from pocketvae.train.evaluate import Evaluation, evaluate
from pocketvae.train.evaluation import ElboEstimate, LikelihoodEstimate
from pocketvae.train.pipeline import train
from pocketvae.train.presets import PRESETS, parse_assignments, preset, read_toml, with_overrides

__all__ = [
    "PRESETS",
    "Architecture",
    "Binarization",
    "ElboEstimate",
    "Evaluation",
    "LikelihoodEstimate",
    "Objective",
    "Schedule",
    "Strategy",
    "TrainConfig",
    "evaluate",
    "parse_assignments",
    "preset",
    "read_toml",
    "train",
    "with_overrides",
]
