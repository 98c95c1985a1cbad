"""What a student is distilled from: a run or a bundle, checked before anything expensive begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.bundle.manifest import MANIFEST_NAME
from pocketvae.bundle.run import Run, is_run, open_run
from pocketvae.distil.students import is_supported
from pocketvae.errors import ManifestError, SpecError
from pocketvae.export import ExportConfig, export_run, plan_artifacts
from pocketvae.models.model_bundle import find_artifact
from pocketvae.progress import ProgressCallback
from pocketvae.spec import Component, Format, Precision
from pocketvae.system.files import sha256_file
from pocketvae.vae_spec import Likelihood, VaeSpec


@dataclass(frozen=True, kw_only=True)
class Source:
    """A run or a bundle that can be distilled.

    Attributes:
        path: As it was given.
        vae: The interface of the teacher.
        run: The run; None of a bundle.
        bundle: The bundle; None of a run, of which one is exported first.
    """

    path: Path
    vae: VaeSpec
    run: Run | None = None
    bundle: Bundle | None = None

    @property
    def name(self) -> str:
        """Of the run's preset, or of the bundle."""
        if self.run is not None:
            return self.run.record.preset
        return self.bundle.manifest.name if self.bundle is not None else ""

    @property
    def is_user_supplied(self) -> bool:
        """Whether the teacher is a model that pocketvae did not train, whose decoder returns data and not logits."""
        return self.bundle is not None and bool(self.bundle.manifest.forms)

    @property
    def makes_run(self) -> bool:
        """Whether the student can take the decoder's place in a run: the other models and data for export are there."""
        if self.run is not None:
            return True
        if self.bundle is None or self.is_user_supplied:
            return False
        manifest = self.bundle.manifest
        golden = any(record.component is Component.ENCODER for record in manifest.goldens)
        return golden and set(self.vae.components) <= set(manifest.original)

    def model_path(self, component: Component) -> Path | None:
        """Returns the teacher's original of a component; None where there is none."""
        if self.run is not None:
            return self.run.model_path(component)
        record = self.bundle.manifest.original.get(component) if self.bundle is not None else None
        return self.bundle.path / record.path if self.bundle is not None and record is not None else None

    def decoder_sha256(self) -> str:
        """Returns what identifies the teacher: the SHA-256 of a run's decoder, or of a bundle's float32 artifact."""
        if self.bundle is None:
            return sha256_file(self.run.model_path(Component.DECODER)) if self.run is not None else ""
        return find_artifact(self.bundle.manifest, Component.DECODER, Precision.FLOAT32, None).file.sha256

    def config(self) -> dict[str, Any]:
        """Returns the training configuration of the run, which bundles know too; empty of user-supplied models."""
        if self.run is not None:
            return dict(self.run.record.config)
        return dict(self.bundle.manifest.config) if self.bundle is not None else {}

    def training(self) -> dict[str, float]:
        """Returns what the run reported of its training; empty of user-supplied models."""
        if self.run is not None:
            return dict(self.run.record.metrics)
        return dict(self.bundle.manifest.training) if self.bundle is not None else {}


def open_source(path: Path) -> Source:
    """Opens a run or a bundle and checks that there can be a student of it.

    Raises:
        ManifestError: the folder is neither, is damaged, or has no float32 decoder.
        SpecError: no student takes its latent or its conditions, returns its data, or learns its second output.
    """
    if is_run(path):
        run = open_run(path)
        _check_interface(run.record.vae)
        return Source(path=path, vae=run.record.vae, run=run)
    if path.is_dir() and not (path / MANIFEST_NAME).is_file():
        raise ManifestError(f"{path} is neither a run nor a bundle: give the folder that train or export wrote")
    bundle = open_bundle(path)
    vae = bundle.manifest.vae
    _check_interface(vae)
    try:
        find_artifact(bundle.manifest, Component.DECODER, Precision.FLOAT32, None)
    except ManifestError as e:
        raise ManifestError(
            f"a student learns from the float32 decoder, but {e}: export with --precisions float32, or give the run"
        ) from e
    if vae.likelihood.decoder_outputs > 1:
        raise SpecError(
            f"a decoder of the likelihood {vae.likelihood} has a second output, which its artifacts do not return: "
            f"give the run in place of the bundle"
        )
    source = Source(path=path, vae=vae, bundle=bundle)
    alone = not (source.makes_run or source.is_user_supplied)
    if alone and (vae.likelihood is not Likelihood.BERNOULLI or vae.prior.is_learned):
        raise SpecError(
            "the bundle does not hold its run's encoder, without which a student is exported with another head or "
            "prior: give the run, or export it with all its components"
        )
    if any(port.is_scaled for form in bundle.manifest.forms.values() for port in (*form.inputs, *form.outputs)):
        raise SpecError("a student takes the latents of its model, but this bundle's are scaled (--latent-scale)")
    return source


def integer_decoder(source: Source) -> bytes | None:
    """Returns the int8 file of a user-supplied decoder; None where it can be made of the decoder's Keras model.

    Raises:
        SpecError: there is none.
    """
    if source.bundle is None or not source.is_user_supplied:
        return None
    try:
        found = find_artifact(source.bundle.manifest, Component.DECODER, Precision.INT8_IO, Format.TFLITE)
    except ManifestError as e:
        raise SpecError(
            f"--for compares with the teacher's file of int8, but {e}: export with --precisions float32,int8_io"
        ) from e
    return source.bundle.artifact_path(found).read_bytes()


def teacher_bundle(source: Source, folder: Path, progress: ProgressCallback) -> Bundle:
    """Returns the bundle that the teacher is called from; of a run it is exported into a folder, unless it is there.

    Args:
        source: The run or bundle.
        folder: Where the bundle of a run is made.
        progress: Called for every artifact.

    Raises:
        ExportError: the run cannot be exported.
        TargetError: TensorFlow or a runtime is not installed.
    """
    if source.bundle is not None:
        return source.bundle
    if not (folder / MANIFEST_NAME).is_file():
        folder.parent.mkdir(exist_ok=True)
        artifacts = plan_artifacts(source.vae.components, (Format.TFLITE,), (Precision.FLOAT32,))
        export_run(source.path, folder, ExportConfig(artifacts=artifacts), progress=progress)
    bundle = open_bundle(folder)
    for failure in bundle.manifest.failures:
        raise ManifestError(f"the teacher's {failure.artifact} cannot be made: {failure.reason}")
    return bundle


def _check_interface(vae: VaeSpec) -> None:
    if not is_supported(vae):
        raise SpecError(f"students are made for images, vectors and sequences, not for {vae.data}s")
    if len(vae.latents) != 1 or len(vae.latent_shape) != 1 or vae.codes:
        kinds = ", ".join(f"{'codes ' if item.codes else ''}{list(item.shape)}" for item in vae.latents)
        raise SpecError(f"a student takes one latent [N, D] of real numbers, but this decoder takes {kinds}")
    if vae.conditions and not vae.has_one_label:
        named = ", ".join(condition.name for condition in vae.conditions)
        raise SpecError(f"a student takes at most one condition, a class label, but this decoder takes {named}")
    if vae.more_outputs:
        others = " and ".join(output.name for output in vae.more_outputs)
        raise SpecError(
            f"a student returns the data alone, but this decoder returns {others} too: export it with --more-outputs "
            f"none, and distil that"
        )
