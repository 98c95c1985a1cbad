"""A bundle as an object: `pocketvae.open("bundle").decoder(precision="int8").decode(z)`."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import Bundle, open_bundle
from pocketvae.bundle.manifest import ArtifactRecord, Manifest
from pocketvae.errors import ManifestError, SpecError
from pocketvae.models.components import Decoder, Encoder, Generator, Model, Prior, Sampler
from pocketvae.models.conditions import Given
from pocketvae.models.pictures import Picture, bundle_html
from pocketvae.models.scorers import Reconstructor, Scorer
from pocketvae.numerics.latents import prior_noise, real_columns
from pocketvae.numerics.scoring import Scoring
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import ArtifactSpec, Component, Format, ImageDtype, Precision, parse_choice
from pocketvae.system.files import StrPath
from pocketvae.system.limits import LARGEST_FLOAT32
from pocketvae.vae_spec import VaeSpec

_RUNTIMES = {Format.TFLITE: "ai_edge_litert", Format.ONNX: "onnxruntime"}
_Model = TypeVar("_Model", bound=Model)


class ModelBundle:
    """A bundle whose models are loaded on first use and freed together; a context manager.

    Several threads may use it and its models at the same time. They get the values that one thread gets. Calls of one
    TFLite model wait for one another, those of one ONNX model run side by side.

    Attributes:
        bundle: The checked folder.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Wraps a bundle; `open` is the usual way."""
        self.bundle = bundle
        self._models: dict[tuple[str, int], Model] = {}
        self._lock = threading.RLock()

    @property
    def path(self) -> Path:
        """The bundle's folder."""
        return self.bundle.path

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.bundle.manifest

    @property
    def vae(self) -> VaeSpec:
        """The interface of the VAE."""
        return self.bundle.manifest.vae

    @property
    def scoring(self) -> Scoring | None:
        """How a scorer of the bundle decides, of which `noise_scales` hold for all; None where it has none."""
        return next((item.scoring for item in self.manifest.artifacts if item.scoring), None)

    def encoder(self, precision: str = "float32", format: str | None = None, *, num_threads: int = 1) -> Encoder:
        """Returns an encoder.

        Args:
            precision: One of `Precision`.
            format: One of `Format`; by default the first of tflite and onnx that the bundle has and this machine can
                run.
            num_threads: Threads used by one call.

        Raises:
            ManifestError: the bundle does not have the artifact; the message says which it has.
            SpecError: a name is unknown, or the format does not support the precision.
            TargetError: the runtime is not installed.
        """
        return self._open(Encoder, Component.ENCODER, precision, format, num_threads)

    def decoder(self, precision: str = "float32", format: str | None = None, *, num_threads: int = 1) -> Decoder:
        """Returns a decoder; see `encoder`."""
        return self._open(Decoder, Component.DECODER, precision, format, num_threads)

    def generator(self, precision: str = "float32", format: str | None = None, *, num_threads: int = 1) -> Generator:
        """Returns a generator; see `encoder`."""
        return self._open(Generator, Component.GENERATOR, precision, format, num_threads)

    def sampler(self, format: str | None = None, *, num_threads: int = 1) -> Sampler:
        """Returns a sampler; see `encoder`."""
        return self._open(Sampler, Component.SAMPLER, "float32", format, num_threads)

    def prior(self, format: str | None = None, *, num_threads: int = 1) -> Prior:
        """Returns the learned prior; see `encoder`. A VAE with the prior N(0, I) does not have one."""
        return self._open(Prior, Component.PRIOR, "float32", format, num_threads)

    def scorer(self, precision: str = "float32", format: str | None = None, *, num_threads: int = 1) -> Scorer:
        """Returns a scorer; see `encoder`. A bundle has one where its export was asked for it."""
        return self._open(Scorer, Component.SCORER, precision, format, num_threads)

    def reconstructor(
        self, precision: str = "float32", format: str | None = None, *, num_threads: int = 1
    ) -> Reconstructor:
        """Returns a reconstructor; see `scorer`."""
        return self._open(Reconstructor, Component.RECONSTRUCTOR, precision, format, num_threads)

    def sample_latents(
        self,
        seed: int,
        index: npt.ArrayLike,
        *,
        temperature: float = 1.0,
        format: str | None = None,
        label: Given | None = None,
    ) -> FloatArray:
        """Returns latents of the prior, `[N, D] float32`: those of a sampler, scaled by the temperature.

        With the prior N(0, I) they are bit-identical on every machine. A learned prior turns the scaled noise into
        latents; for a mixture, the value that selects the component is not scaled. Codes are whole numbers,
        each equally likely, and never scaled.

        Args:
            seed: Stream of noise, int32.
            index: `[N]`, positions in the stream, int32.
            temperature: 1 samples the prior; smaller stays closer to its mean.
            format: Format of the artifact `prior`, if there is one.
            label: As for a decoder; only a prior that takes the label looks at it.

        Raises:
            SpecError: a number is not an int32, or the temperature is negative or not finite.
            ManifestError: the prior is learned and the bundle does not have the artifact `prior`.
        """
        if not 0 <= temperature <= LARGEST_FLOAT32:
            raise SpecError(f"temperature must be finite and at least 0, got {temperature:g}")
        if self.vae.is_discrete and temperature != 1:
            raise SpecError(f"codes are drawn equally likely, so the temperature must be 1, got {temperature:g}")
        noise: FloatArray = prior_noise(seed, index, self.vae).astype(np.float32)
        # What selects a mixture's component comes after the latent.
        noise[:, real_columns(self.vae)] *= np.float32(temperature)
        if not self.vae.prior.is_learned:
            return noise
        return self.prior(format).transform(noise, label if self.vae.prior_takes_label else None)

    def close(self) -> None:
        """Frees every model that was opened."""
        with self._lock:
            for model in self._models.values():
                model.close()
            self._models.clear()

    def picture(self, values: npt.ArrayLike, *, columns: int = 10) -> Picture:
        """Returns data as a picture that a notebook shows: images as they are, others as curves or slices.

        Args:
            values: `[N, ...]` of the shape of the VAE's data, in its range.
            columns: In a row.

        Raises:
            SpecError: they have another shape.
        """
        return Picture.of(values, self.vae, columns=columns)

    def _repr_html_(self) -> str:
        return bundle_html(self.bundle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(
        self, kind: type[_Model], component: Component, precision: str, format: str | None, num_threads: int
    ) -> _Model:
        artifact = find_artifact(self.manifest, component, precision, format)
        with self._lock:
            model = self._models.get((artifact.name, num_threads))
            # Each component has one class, so this is a lookup that the type checker understands.
            if not isinstance(model, kind) or model.is_closed:
                model = kind(self.bundle, artifact, num_threads=num_threads)
                self._models[artifact.name, num_threads] = model
            return model


def open(path: StrPath) -> ModelBundle:
    """Opens a bundle for use, after checking every file against its hash.

    Args:
        path: The bundle's folder.

    Raises:
        ManifestError: the folder is not a bundle, or a file is damaged or missing.
    """
    return ModelBundle(open_bundle(Path(path)))


def find_artifact(manifest: Manifest, component: Component, precision: str, format: str | None) -> ArtifactRecord:
    """Returns the artifact of a component; without a format, the first that runs here.

    Raises:
        ManifestError: the bundle does not have the artifact; the message says which it has.
        SpecError: a name is unknown, or the format does not support the precision.
    """
    wanted = parse_choice(Precision, precision, "precision")
    formats = tuple(Format) if format is None else (parse_choice(Format, format, "format"),)
    if format is not None:
        ArtifactSpec(
            component=component, precision=wanted, format=formats[0]
        )  # raises the reason if the combination is not supported
    of_component = [record for record in manifest.artifacts if record.component is component]
    if not of_component and component is Component.PRIOR and not manifest.vae.prior.is_learned:
        raise ManifestError("the bundle's prior is N(0, I), which needs no file: sample z from it, or use a seed")
    if not of_component:
        raise ManifestError(f"the bundle has no {component}: export it with --components {component}")
    found = [record for record in of_component if record.precision is wanted and record.format in formats]
    if not found:
        names = ", ".join(record.name for record in of_component)
        raise ManifestError(
            f"the bundle has no {wanted} {component}{f' as {format}' if format else ''}: it has {names}"
        )
    return min(found, key=lambda record: _rank(record, formats))


def _rank(record: ArtifactRecord, formats: tuple[Format, ...]) -> tuple[bool, bool, int]:
    missing = find_spec(_RUNTIMES[record.format]) is None
    return missing, record.image_dtype is not ImageDtype.FLOAT32, formats.index(record.format)
