"""pocketvae: train a variational autoencoder, export it for devices, and prove that it still does the same.

Names are loaded when they are first used, so that `import pocketvae` and the command line's help cost nothing.
"""

import importlib
from typing import TYPE_CHECKING

from pocketvae.version import VERSION as __version__

if TYPE_CHECKING:
    from pocketvae.bundle import Bundle, open_bundle
    from pocketvae.errors import (
        DataError,
        ExportError,
        ManifestError,
        OutputExistsError,
        ParityError,
        PocketVaeError,
        SpecError,
        TargetError,
        TrainingError,
    )
    from pocketvae.manifest import Manifest
    from pocketvae.model_bundle import ModelBundle
    from pocketvae.model_bundle import open as open  # noqa: A004
    from pocketvae.models import Decoder, Encoder, Generator, Posterior, Prior, Sampler
    from pocketvae.noise import normal_noise
    from pocketvae.run import Run, open_run
    from pocketvae.runners import Kernels, Runner, open_runner
    from pocketvae.spec import ArtifactSpec, Component, Format, Likelihood, Precision, TensorSpec, VaeSpec

_MODULES = {
    "bundle": ("Bundle", "open_bundle"),
    "errors": (
        "DataError",
        "ExportError",
        "ManifestError",
        "OutputExistsError",
        "ParityError",
        "PocketVaeError",
        "SpecError",
        "TargetError",
        "TrainingError",
    ),
    "manifest": ("Manifest",),
    "model_bundle": ("ModelBundle", "open"),
    "models": ("Decoder", "Encoder", "Generator", "Posterior", "Prior", "Sampler"),
    "noise": ("normal_noise",),
    "run": ("Run", "open_run"),
    "runners": ("Kernels", "Runner", "open_runner"),
    "spec": ("ArtifactSpec", "Component", "Format", "Likelihood", "Precision", "TensorSpec", "VaeSpec"),
}

__all__ = [
    "ArtifactSpec",
    "Bundle",
    "Component",
    "DataError",
    "Decoder",
    "Encoder",
    "ExportError",
    "Format",
    "Generator",
    "Kernels",
    "Likelihood",
    "Manifest",
    "ManifestError",
    "ModelBundle",
    "OutputExistsError",
    "ParityError",
    "PocketVaeError",
    "Posterior",
    "Precision",
    "Prior",
    "Run",
    "Runner",
    "Sampler",
    "SpecError",
    "TargetError",
    "TensorSpec",
    "TrainingError",
    "VaeSpec",
    "__version__",
    "normal_noise",
    "open",
    "open_bundle",
    "open_run",
    "open_runner",
]


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            value: object = getattr(importlib.import_module(f"pocketvae.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'pocketvae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
