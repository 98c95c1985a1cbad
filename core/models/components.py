"""One exported model as an object to call: encoder, decoder, generator, sampler, prior.

This module handles what callers need not know: integer interfaces, batches, flat images, ranges, labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pocketvae.bundle.bundle import Bundle
from pocketvae.bundle.manifest import ArtifactRecord
from pocketvae.errors import DataError, NotFiniteValuesError, SpecError
from pocketvae.kinds.registry import kind_of
from pocketvae.models.conditions import Given, condition_inputs
from pocketvae.numerics.arrays import as_array
from pocketvae.numerics.latents import encoded_of, joined_latents, log_variances_of, split_latents
from pocketvae.numerics.noise import int32_values
from pocketvae.numerics.pixels import from_pixels, to_pixels
from pocketvae.runtimes.base import Array, FloatArray, Runner
from pocketvae.runtimes.opening import open_runner
from pocketvae.spec import Component
from pocketvae.system.limits import LARGEST_FLOAT32
from pocketvae.vae_spec import DataKind, VaeSpec


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """q(z|x) of N images: a diagonal Gaussian each.

    A latent with a shape of its own, such as `[h, w, c]`, is given row by row, several latents one after another;
    `split_latents` returns each in its shape.
    An encoder without a posterior returns its latent as the mean, one of integer codes the codes.

    Attributes:
        z_mean: `[N, D] float32`, codes int32, and float32 where there are real numbers beside them.
        z_log_var: `[N, D] float32`, minus infinity of codes; None of an encoder without a posterior.
    """

    z_mean: npt.NDArray[Any]
    z_log_var: FloatArray | None

    def log_variances(self) -> FloatArray:
        """Returns `z_log_var`.

        Raises:
            SpecError: there are none.
        """
        if self.z_log_var is None:
            raise SpecError("this needs a posterior, but the encoder is deterministic and has none")
        return self.z_log_var

    @classmethod
    def joined(cls, parts: Sequence[Posterior]) -> Posterior:
        """Returns the posteriors of all parts, in order."""
        variances = [part.z_log_var for part in parts if part.z_log_var is not None]
        return cls(
            z_mean=np.concatenate([part.z_mean for part in parts]),
            z_log_var=np.concatenate(variances) if variances else None,
        )


class Model:
    """One artifact, loaded; a context manager.

    Attributes:
        artifact: Its record in the manifest.
        vae: The interface of the VAE.
    """

    def __init__(self, bundle: Bundle, artifact: ArtifactRecord, *, num_threads: int) -> None:
        """Loads the artifact; see `ModelBundle` for what is raised."""
        self.artifact = artifact
        self.vae: VaeSpec = bundle.manifest.vae
        self._runner: Runner | None = open_runner(
            bundle.artifact_path(artifact), artifact.format, num_threads=num_threads
        )

    @property
    def name(self) -> str:
        """`COMPONENT.PRECISION.FORMAT`."""
        return self.artifact.name

    @property
    def is_closed(self) -> bool:
        """Whether the model was freed."""
        return self._runner is None

    def close(self) -> None:
        """Frees the model, which cannot be called afterwards; closing twice is allowed."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _data(self, outputs: Mapping[str, FloatArray]) -> FloatArray:
        """Returns the data among outputs, `[N, *data_shape]`."""
        data = outputs[self.vae.output]
        return data.reshape(len(data), *self.vae.data_shape)

    def _run(self, inputs: Mapping[str, Array], label: Given | None = None) -> dict[str, FloatArray]:
        """Runs every sample and checks that the outputs are finite."""
        outputs = self._outputs(inputs, label)
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise NotFiniteValuesError(
                    f"{self.name} returned values that are not finite in {name!r}: verify the bundle",
                    first_not_finite(values),
                )
        return outputs

    def _outputs(self, inputs: Mapping[str, Array], label: Given | None = None) -> dict[str, FloatArray]:
        """Runs every sample."""
        # Another thread may close the model meanwhile.
        runner = self._runner
        if runner is None:
            raise SpecError(f"{self.name} is closed: open the bundle again")
        count = len(next(iter(inputs.values())))
        names = {spec.name for spec in self.artifact.inputs}
        taken = [condition for condition in self.vae.conditions if condition.name in names]
        feed = {**inputs, **condition_inputs(self.name, taken, label, count)}
        return runner.run_samples(feed, self.vae.data_range)


class Encoder(Model):
    """Images to posteriors."""

    def encode(self, images: Array, label: Given | None = None) -> Posterior:
        """Returns the posteriors of images.

        Args:
            images: `[N, *input_shape]` float in the VAE's `data_range`; images also as uint8 pixels of 0 to 255; of a
                VAE with a front end samples in -1 to 1.
            label: One class for all images or one per image, only for a class-conditional VAE; or a dict of all
                conditions by name, `[N, ...]` or one for all.

        Raises:
            DataError: the images have another shape or type, or leave the range.
            NotFiniteValuesError: what the model makes of them is not finite.
            SpecError: a label is missing, superfluous or out of range.
        """
        scaled = self._scaled(as_array(kind_of(self.vae.data).plural, images))
        x = scaled.reshape(len(scaled), *self.vae.tensor_shape(Component.ENCODER))
        found = self._run({"x": x}, self._own(label))
        means = encoded_of(found, self.vae)
        means = means.astype(np.int32) if self.vae.is_discrete else means
        return Posterior(z_mean=means, z_log_var=log_variances_of(found, self.vae))

    def _own(self, given: Given | None) -> Given | None:
        """Returns the conditions without those that only the decoder takes."""
        if given is None or len(self.vae.encoder_conditions) == len(self.vae.conditions):
            return given
        named = given if isinstance(given, Mapping) else {self.vae.conditions[0].name: given}
        others = {condition.name for condition in self.vae.conditions if not condition.encoded}
        return {name: value for name, value in named.items() if name not in others} or None

    def _scaled(self, images: Array) -> FloatArray:
        expected, plural = self.vae.input_shape, kind_of(self.vae.data).plural
        if images.shape[1:] != expected or len(images) == 0:
            raise DataError(f"{plural} must be [N, {', '.join(map(str, expected))}], got {list(images.shape)}")
        low, high = self.vae.data_range
        is_image = self.vae.data is DataKind.IMAGE
        if images.dtype == np.uint8 and is_image:
            return from_pixels(images, self.vae.data_range)
        if images.dtype.kind != "f":
            raise DataError(f"{plural} must be {'uint8 or ' if is_image else ''}float, got {images.dtype}")
        if not is_image and not self.vae.range_is_strict:
            low, high = -LARGEST_FLOAT32, LARGEST_FLOAT32
        real = images.astype(np.float32, copy=False)
        # A comparison with NaN is false, so NaN is refused too.
        if not bool((real >= low).all() and (real <= high).all()):
            raise DataError(f"{plural} must be in [{low:g}, {high:g}], got {real.min():g} to {real.max():g}")
        return real


class Decoder(Model):
    """Latents to images."""

    def decode(self, z: npt.ArrayLike, label: Given | None = None) -> FloatArray:
        """Returns `[N, *data_shape] float32` in the VAE's `data_range`, `[N, H, W, C]` for images.

        Args:
            z: `[N, D]`, or `[D]` for one image, several latents one after another; also the only latent in its shape,
                `[N, *latent_shape]`. Codes are whole numbers.
            label: One class for all images or one per image, only for a class-conditional VAE; or a dict of all
                conditions by name, `[N, ...]` or one for all.

        Raises:
            DataError: the latents have another shape.
            NotFiniteValuesError: the latents or what the model makes of them are not finite.
            SpecError: a label is missing, superfluous or out of range.
        """
        return self._data(self._decoded(z, label))

    def decode_all(self, z: npt.ArrayLike, label: Given | None = None) -> dict[str, FloatArray]:
        """Returns every output by name, `[N, ...] float32`: what `decode` returns, and `vae.more_outputs`.

        These are noise, other scales or other heads, as the original returns them.

        Args:
            z: See `decode`.
            label: See `decode`.

        Raises:
            PocketVaeError: see `decode`.
        """
        found = self._decoded(z, label)
        return {self.vae.output: self._data(found), **_others(found, self.vae)}

    def _decoded(self, z: npt.ArrayLike, label: Given | None) -> dict[str, FloatArray]:
        shape, latents = self.vae.latent_shape, np.atleast_2d(as_array("z", z, np.float32))
        if latents.shape[1:] not in ((self.vae.latent_dim,), shape) or len(latents) == 0:
            raise DataError(f"z must be [N, {self.vae.latent_dim}]{_or(shape)}, got {list(np.shape(z))}")
        if not np.isfinite(latents).all():
            raise NotFiniteValuesError(
                f"z must be finite, got {np.count_nonzero(~np.isfinite(latents))} values that are not",
                first_not_finite(latents),
            )
        _check_codes(latents, self.vae)
        return self._run(split_latents(latents, self.vae.latents), label)

    def decode_pixels(self, z: npt.ArrayLike, label: Given | None = None) -> npt.NDArray[np.uint8]:
        """Returns `[N, H, W, C] uint8` pixels of 0 to 255; see `decode`.

        Raises:
            SpecError: the data are not images.
        """
        _check_images(self.vae)
        return to_pixels(self.decode(z, label), self.vae.data_range)


class Generator(Model):
    """Seed and index to images: sampler and decoder in one file."""

    def generate(self, seed: npt.ArrayLike, index: npt.ArrayLike, label: Given | None = None) -> FloatArray:
        """Returns `[N, *data_shape] float32`, `[N, H, W, C]` for images.

        Args:
            seed: `[N]` or one for all, int32.
            index: `[N]` or one for all, int32.
            label: One class for all images or one per image, only for a class-conditional VAE; or a dict of all
                conditions by name, `[N, ...]` or one for all.

        Raises:
            SpecError: a seed or index is not a 32-bit integer, their numbers differ, or the label does not fit.
        """
        return self._data(self._run(_pairs(seed, index), label))

    def generate_all(
        self, seed: npt.ArrayLike, index: npt.ArrayLike, label: Given | None = None
    ) -> dict[str, FloatArray]:
        """Returns every output by name, `[N, ...] float32`; see `generate` and `Decoder.decode_all`.

        Args:
            seed: See `generate`.
            index: See `generate`.
            label: See `generate`.

        Raises:
            SpecError: see `generate`.
        """
        found = self._run(_pairs(seed, index), label)
        return {self.vae.output: self._data(found), **_others(found, self.vae)}

    def generate_pixels(
        self, seed: npt.ArrayLike, index: npt.ArrayLike, label: Given | None = None
    ) -> npt.NDArray[np.uint8]:
        """Returns `[N, H, W, C] uint8` pixels of 0 to 255; see `generate`.

        Raises:
            SpecError: the data are not images.
        """
        _check_images(self.vae)
        return to_pixels(self.generate(seed, index, label), self.vae.data_range)


class Sampler(Model):
    """Seed and index to latents."""

    def sample(self, seed: npt.ArrayLike, index: npt.ArrayLike, label: Given | None = None) -> FloatArray:
        """Returns `[N, D] float32` latents of the prior; bit-identical in every runtime if the prior is N(0, I).

        Args:
            seed: `[N]` or one for all, int32.
            index: `[N]` or one for all, int32.
            label: One class for all latents or one per latent, only for a prior that takes it.

        Raises:
            SpecError: a seed or index is not a 32-bit integer, their numbers differ, or the label does not fit.
        """
        return joined_latents(self._run(_pairs(seed, index), label), self.vae)


class Prior(Model):
    """Standard normal noise to latents of a learned prior."""

    def transform(self, eps: npt.ArrayLike, label: Given | None = None) -> FloatArray:
        """Returns `[N, D] float32` latents.

        Args:
            eps: `[N, E]`; E is the VAE's `eps_dim`.
            label: One class for all latents or one per latent, only for a prior that takes it.

        Raises:
            DataError: the noise has another shape.
            SpecError: the label does not fit.
        """
        noise = as_array("eps", eps, np.float32)
        if noise.ndim != 2 or noise.shape[1] != self.vae.eps_dim or len(noise) == 0:
            raise DataError(f"eps must be [N, {self.vae.eps_dim}], got {list(noise.shape)}")
        return joined_latents(self._run({"eps": noise}, label), self.vae)


def _others(outputs: Mapping[str, FloatArray], vae: VaeSpec) -> dict[str, FloatArray]:
    return {output.name: outputs[output.name] for output in vae.more_outputs}


def first_not_finite(values: Array) -> int:
    """Returns the position of the first item of `[N, ...]` that is not finite."""
    return int(np.argmin(np.isfinite(values).reshape(len(values), -1).all(axis=1)))


def _check_images(vae: VaeSpec) -> None:
    if vae.data is not DataKind.IMAGE:
        raise SpecError(f"only images have pixels, but this model is of {kind_of(vae.data).plural}")


def _check_codes(latents: FloatArray, vae: VaeSpec) -> None:
    rows, end = latents.reshape(len(latents), -1), 0
    for latent in vae.latents:
        end += latent.size
        codes = rows[:, end - latent.size : end]
        if latent.codes and ((codes != np.floor(codes)).any() or codes.min() < 0 or codes.max() >= latent.codes):
            raise DataError(
                f"{latent.name} must be codes, whole numbers from 0 to {latent.codes - 1}, got {codes.min():g} to "
                f"{codes.max():g}"
            )


def _or(shape: tuple[int, ...]) -> str:
    return f" or [N, {', '.join(map(str, shape))}]" if len(shape) > 1 else ""


def _pairs(seed: npt.ArrayLike, index: npt.ArrayLike) -> dict[str, npt.NDArray[np.int32]]:
    given = int32_values("seed", seed), int32_values("index", index)
    if len({len(values) for values in given} - {1}) > 1:
        raise SpecError(f"seed and index must be as many, or one for all, got {len(given[0])} and {len(given[1])}")
    seeds, indices = np.broadcast_arrays(*given)
    return {"seed": seeds.copy(), "index": indices.copy()}
