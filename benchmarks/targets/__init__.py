"""Where artifacts run: this machine, and whatever else can be reached."""

from pocketvae.benchmarks.targets.protocol import ArtifactFault, Target, TargetRun
from pocketvae.benchmarks.targets.registry import known_targets, make_target

__all__ = ["ArtifactFault", "Target", "TargetRun", "known_targets", "make_target"]
