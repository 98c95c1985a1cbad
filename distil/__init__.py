"""Distillation: a run or a bundle in, a run with a smaller and faster decoder out."""

from typing import TYPE_CHECKING

from pocketvae.lazy_names import lazy_names

if TYPE_CHECKING:
    from pocketvae.distil.config import DistilConfig, Targets
    from pocketvae.distil.pipeline import distil
    from pocketvae.distil.record import DISTILLED_NAME, Distilled

_MODULES = {
    "pocketvae.distil.config": (
        "DistilConfig",
        "Targets",
    ),
    "pocketvae.distil.pipeline": ("distil",),
    "pocketvae.distil.record": (
        "DISTILLED_NAME",
        "Distilled",
    ),
}

__all__ = [
    "DISTILLED_NAME",
    "DistilConfig",
    "Distilled",
    "Targets",
    "distil",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
