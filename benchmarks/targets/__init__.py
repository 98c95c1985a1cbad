"""Where artifacts run: this machine, and whatever else can be reached."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.benchmarks.execution.protocol import ArtifactFault, Target, TargetRun
    from pocketvae.benchmarks.targets.registry import known_targets, make_target

_MODULES = {
    "pocketvae.benchmarks.execution.protocol": (
        "ArtifactFault",
        "Target",
        "TargetRun",
    ),
    "pocketvae.benchmarks.targets.registry": (
        "known_targets",
        "make_target",
    ),
}

__all__ = [
    "ArtifactFault",
    "Target",
    "TargetRun",
    "known_targets",
    "make_target",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
