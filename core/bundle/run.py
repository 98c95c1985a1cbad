"""The run directory that training leaves behind: its record and its models."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pocketvae.bundle.reference import REFERENCE_NAME, ReferenceImages, read_reference
from pocketvae.bundle.upgrades import with_channels, with_conditions, with_more_outputs, with_named_latents
from pocketvae.documents import decode
from pocketvae.errors import ManifestError
from pocketvae.spec import STRICT, Component
from pocketvae.system.files import StrPath
from pocketvae.vae_spec import DataKind, VaeSpec

RUN_NAME = "run.json"
# All that training and distilling write into a run directory, as patterns of `fnmatch`.
RUN_FILES = (
    *(RUN_NAME, "distilled.json", REFERENCE_NAME, "metrics.jsonl", "*.keras", "encoder.*"),
    *("samples.png", "reconstructions.png", "curves.png", "checkpoints", "tensorboard", "work"),
)
# 2: the VAE names its kind of data and its latents.
# 3: the VAE names its conditions.
# 4: the VAE names its channels.
SCHEMA_VERSION = 5


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run was and what came out of it.

    Attributes:
        data: Name of the source.
        preset: Name of the configuration that the run began with; names its bundles.
        config: The full training configuration, as plain JSON values.
        metrics: Final figures, for example `test_negative_elbo_nats`.
        versions: Package name to version.
        git_commit: Of the working directory's repository, where there is one.
        ended: Why training ended, as text.
        warnings: Problems of the model, as text.
        distilled_from: Path and name of the teacher of a distilled run, whose decoder is a student; else empty.
    """

    __pydantic_config__ = STRICT
    UPGRADES: ClassVar = {1: with_named_latents, 2: with_conditions, 3: with_channels, 4: with_more_outputs}
    schema_version: int = SCHEMA_VERSION
    vae: VaeSpec
    data: str
    preset: str
    seed: int
    config: dict[str, Any]
    metrics: dict[str, float]
    versions: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None
    ended: str = ""
    warnings: tuple[str, ...] = ()
    distilled_from: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run directory whose record was read and whose models exist."""

    path: Path
    record: RunRecord

    def model_path(self, component: Component) -> Path:
        """Returns the path of a component's Keras model."""
        return self.path / f"{component}.keras"

    def reference_images(self) -> ReferenceImages:
        """Loads the kept images, or data of another kind.

        Raises:
            ManifestError: the file is missing or damaged.
        """
        vae = self.record.vae
        dtype = np.uint8 if vae.data is DataKind.IMAGE else np.float32
        return read_reference(self.path / REFERENCE_NAME, vae.input_shape, dtype)


def is_run(path: Path) -> bool:
    """Whether `path` looks like a run directory."""
    return (path / RUN_NAME).is_file()


def open_run(path: StrPath) -> Run:
    """Opens a run directory.

    Raises:
        ManifestError: the folder is not a run, its record is damaged or newer, or a model is missing.
    """
    path = Path(path)
    record_path = path / RUN_NAME
    if not record_path.is_file():
        raise ManifestError(f"{path} is not a run: {RUN_NAME} is missing; create one with pocketvae train")
    run = Run(path=path, record=decode(RunRecord, record_path.read_bytes(), str(record_path)))
    for component in run.record.vae.components:
        if not run.model_path(component).is_file():
            raise ManifestError(f"{run.model_path(component)} is missing: train again, or copy the complete run")
    return run
