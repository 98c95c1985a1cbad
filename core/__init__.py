"""pocketvae: train a variational autoencoder, export it for devices, and prove that it still does the same.

Names are loaded on first use, so that `import pocketvae` and the help of the command line are fast.
"""

from pocketvae.lazy_names import lazy_names
from pocketvae.version import VERSION as __version__

# As type checkers know it: `typing` takes longer to load than all else here, and Ctrl-C is not handled before.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pocketvae.bundle.bundle import Bundle, open_bundle
    from pocketvae.bundle.manifest import Manifest
    from pocketvae.bundle.run import Run, open_run
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
    from pocketvae.models.components import Decoder, Encoder, Generator, Posterior, Prior, Sampler
    from pocketvae.models.model_bundle import ModelBundle
    from pocketvae.models.model_bundle import open as open  # noqa: A004
    from pocketvae.models.pictures import Picture
    from pocketvae.notebook import NotebookProgress
    from pocketvae.numerics.noise import normal_noise
    from pocketvae.runtimes.base import Optimizations, Runner
    from pocketvae.runtimes.opening import open_runner
    from pocketvae.spec import ArtifactSpec, Component, Format, Precision, TensorSpec
    from pocketvae.vae_spec import Likelihood, VaeSpec

_MODULES = {
    "pocketvae.bundle.bundle": (
        "Bundle",
        "open_bundle",
    ),
    "pocketvae.bundle.manifest": ("Manifest",),
    "pocketvae.bundle.run": (
        "Run",
        "open_run",
    ),
    "pocketvae.errors": (
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
    "pocketvae.models.components": (
        "Decoder",
        "Encoder",
        "Generator",
        "Posterior",
        "Prior",
        "Sampler",
    ),
    "pocketvae.models.model_bundle": (
        "ModelBundle",
        "open",
    ),
    "pocketvae.models.pictures": ("Picture",),
    "pocketvae.notebook": ("NotebookProgress",),
    "pocketvae.numerics.noise": ("normal_noise",),
    "pocketvae.runtimes.base": (
        "Optimizations",
        "Runner",
    ),
    "pocketvae.runtimes.opening": ("open_runner",),
    "pocketvae.spec": (
        "ArtifactSpec",
        "Component",
        "Format",
        "Precision",
        "TensorSpec",
    ),
    "pocketvae.vae_spec": (
        "Likelihood",
        "VaeSpec",
    ),
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
    "Likelihood",
    "Manifest",
    "ManifestError",
    "ModelBundle",
    "NotebookProgress",
    "Optimizations",
    "OutputExistsError",
    "ParityError",
    "Picture",
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

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
