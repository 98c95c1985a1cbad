"""The teacher: a bundle's float32 artifacts as functions of arrays. No gradient of it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import Bundle
from pocketvae.errors import InternalError, NotFiniteValuesError, TrainingError
from pocketvae.keras.io import load_model
from pocketvae.models.components import Posterior
from pocketvae.models.model_bundle import ModelBundle, find_artifact
from pocketvae.numerics.gaussian import reparameterize
from pocketvae.spec import Component, Precision
from pocketvae.vae_spec import VaeSpec

FloatArray = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Latents:
    """Latents with their labels.

    Attributes:
        z: `[N, D] float32`.
        labels: `[N] int32`; zeros where the decoder takes none.
    """

    z: FloatArray
    labels: Labels

    def inputs(self, vae: VaeSpec) -> dict[str, npt.NDArray[Any]]:
        """Returns them by the names of a decoder's inputs."""
        label = {vae.conditions[0].name: self.labels} if vae.label_count else {}
        return {vae.latents[0].name: self.z, **label}


class Teacher:
    """Calls a bundle's float32 decoder, and its encoder and learned prior where it has them; a context manager.

    Attributes:
        vae: The interface.
        decoder_path: The float32 file that the student is compared with.
        has_posterior: Whether there is an encoder with posteriors.
        network: The decoder as a Keras model, whose weights students may begin with; None where it is not pocketvae's.
    """

    def __init__(self, bundle: Bundle, decoder: Path | None = None) -> None:
        """Loads the artifacts.

        Args:
            bundle: With a float32 decoder.
            decoder: The decoder's Keras model as pocketvae trained it; None where there is none.

        Raises:
            ParityError: a file cannot be loaded.
            TargetError: a runtime is not installed.
        """
        self.vae = bundle.manifest.vae
        self._models = ModelBundle(bundle)
        found = {item.component for item in bundle.manifest.artifacts if item.precision is Precision.FLOAT32}
        self._decoder = self._models.decoder()
        self._prior = self._models.prior() if self.vae.prior.is_learned and Component.PRIOR in found else None
        encodes = Component.ENCODER in found
        self._encoder = self._models.encoder() if encodes else None
        self.has_posterior = encodes and self.vae.has_posterior
        self.artifact = find_artifact(bundle.manifest, Component.DECODER, Precision.FLOAT32, None)
        self.decoder_path = bundle.artifact_path(self.artifact)
        self.network = load_model(decoder) if decoder is not None else None

    def decode(self, latents: Latents) -> FloatArray:
        """Returns the data `[N, *data_shape]` that the float32 file makes of latents.

        Raises:
            TrainingError: they are not finite.
        """
        try:
            return self._decoder.decode(latents.z, latents.labels if self.vae.label_count else None)
        except NotFiniteValuesError as e:
            raise TrainingError(f"the teacher cannot be learned from: {e}") from e

    def targets(self, latents: Latents) -> tuple[FloatArray, ...]:
        """Returns what a student has to return: the data, or means and log-scales of a decoder with two outputs.

        Raises:
            TrainingError: they are not finite.
        """
        if self.network is None or self.vae.likelihood.decoder_outputs == 1:
            return (self.decode(latents),)
        found = [self.outputs(self.network, part) for part in _parts(latents)]
        targets = tuple(np.concatenate(values) for values in zip(*found, strict=True))
        if not all(np.isfinite(values).all() for values in targets):
            raise TrainingError("the teacher cannot be learned from: its decoder returns values that are not finite")
        return targets

    def outputs(self, network: Any, latents: Latents) -> tuple[FloatArray, ...]:
        """Returns the outputs of a Keras decoder."""
        found = network(self.given(latents), training=False)
        return tuple(np.asarray(values) for values in (found if isinstance(found, (list, tuple)) else [found]))

    def given(self, latents: Latents) -> Any:
        """Returns latents as a Keras decoder takes them."""
        return [latents.z, latents.labels] if self.vae.label_count else latents.z

    def from_prior(self, eps: FloatArray, labels: Labels) -> Latents:
        """Returns the latents that the prior makes of noise `[N, E]`; noise itself where the prior has no model."""
        if self._prior is None:
            return Latents(z=eps[:, : self.vae.latent_dim], labels=labels)
        return Latents(z=self._prior.transform(eps, labels if self.vae.prior_takes_label else None), labels=labels)

    def encode(self, data: npt.NDArray[Any], labels: Labels) -> Posterior:
        """Returns the posteriors of data `[N, *input_shape]` in the VAE's range."""
        if self._encoder is None:
            raise InternalError("this teacher has no encoder")
        taken = self.vae.label_count > 0 and bool(self.vae.encoder_conditions)
        return self._encoder.encode(data, labels if taken else None)

    def from_posterior(self, data: npt.NDArray[Any], labels: Labels, rng: np.random.Generator) -> Latents:
        """Draws a latent from the posterior of each item; an encoder without posteriors gives its latent."""
        posterior = self.encode(data, labels)
        z = posterior.z_mean
        if posterior.z_log_var is not None:
            z = reparameterize(z, posterior.z_log_var, rng.standard_normal(z.shape))
        return Latents(z=z.astype(np.float32), labels=labels)

    @property
    def encodes_its_own(self) -> bool:
        """Whether an encoder takes what the decoder returns: that of sounds takes samples, not spectrograms."""
        return self._encoder is not None and self.vae.log_mel is None

    def seeds(self, seed: int, count: int, labels: Labels) -> Latents:
        """Returns the latents of the first images of a seed, as `pocketvae generate` draws them."""
        if self.vae.prior.is_learned and self._prior is None:
            eps = np.random.default_rng([seed, 0]).standard_normal((count, self.vae.eps_dim)).astype(np.float32)
            return self.from_prior(eps, labels)
        taken = labels if self.vae.prior_takes_label else None
        return Latents(z=self._models.sample_latents(seed, np.arange(count), label=taken), labels=labels)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._models.close()


def shown_labels(vae: VaeSpec, count: int) -> Labels:
    """Returns each label in turn, `[count] int32`."""
    return np.arange(count, dtype=np.int32) % max(1, vae.label_count)


def sliced(latents: Latents, part: slice) -> Latents:
    """Returns some of the latents."""
    return Latents(z=latents.z[part], labels=latents.labels[part])


def joined(parts: Mapping[str, Latents]) -> Latents:
    """Returns latents of several kinds one after another."""
    return Latents(
        z=np.concatenate([part.z for part in parts.values()]),
        labels=np.concatenate([part.labels for part in parts.values()]),
    )


def _parts(latents: Latents) -> list[Latents]:
    return [sliced(latents, slice(start, start + _BATCH)) for start in range(0, len(latents.z), _BATCH)]
