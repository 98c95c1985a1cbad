"""pocketvae: train a variational autoencoder, export it for devices, and prove that it still does the same."""

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
from pocketvae.run import Run, open_run
from pocketvae.runners import Kernels, Runner, open_runner
from pocketvae.spec import ArtifactSpec, Component, Format, Likelihood, Precision, TensorSpec, VaeSpec
from pocketvae.version import VERSION as __version__

__all__ = [
    "ArtifactSpec",
    "Bundle",
    "Component",
    "DataError",
    "ExportError",
    "Format",
    "Kernels",
    "Likelihood",
    "Manifest",
    "ManifestError",
    "OutputExistsError",
    "ParityError",
    "PocketVaeError",
    "Precision",
    "Run",
    "Runner",
    "SpecError",
    "TargetError",
    "TensorSpec",
    "TrainingError",
    "VaeSpec",
    "__version__",
    "open_bundle",
    "open_run",
    "open_runner",
]
