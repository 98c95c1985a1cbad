"""The train room: images in, a run directory out."""

from pocketvae.train.config import PRESETS, TrainConfig, parse_assignments, preset, read_toml, with_overrides
from pocketvae.train.pipeline import train

__all__ = ["PRESETS", "TrainConfig", "parse_assignments", "preset", "read_toml", "train", "with_overrides"]
