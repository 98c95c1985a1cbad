"""The targets on which artifacts run: this machine and others."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.benchmarks.execution.protocol import TargetRun
    from pocketvae.benchmarks.execution.target import Target
    from pocketvae.benchmarks.targets.registry import known_targets, make_target
    from pocketvae.errors import ArtifactFault

_MODULES = {
    "pocketvae.benchmarks.execution.protocol": ("TargetRun",),
    "pocketvae.benchmarks.execution.target": ("Target",),
    "pocketvae.errors": ("ArtifactFault",),
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
