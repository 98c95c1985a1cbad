"""Samples that no export has seen, and what stands for the original on them: the bundle's float32 files."""

from __future__ import annotations

import numpy as np

from pocketvae.benchmarks.targets import TargetRun
from pocketvae.bundle.bundle import Array, Bundle, Goldens
from pocketvae.bundle.manifest import ArtifactRecord, Manifest, Stratum
from pocketvae.errors import SpecError
from pocketvae.numerics.conditions import drawn_conditions
from pocketvae.numerics.gaussian import reparameterize
from pocketvae.runtimes.base import FloatArray
from pocketvae.spec import Component, Format, Precision
from pocketvae.vae_spec import Likelihood

_TAIL_LOW, _TAIL_HIGH = 3.0, 4.0


class FreshSamples:
    """Draws goldens of another seed, of the same kinds and in the same numbers as the bundle's."""

    def __init__(self, bundle: Bundle, run: TargetRun) -> None:
        """Keeps the bundle and where its files run."""
        self._bundle, self._run = bundle, run

    def draw(self, artifact: ArtifactRecord, rng: np.random.Generator) -> Goldens:
        """Returns inputs, and the outputs of a float32 file: of another format where the artifact is float32 itself.

        Raises:
            SpecError: the bundle has no float32 file that could stand for the original.
        """
        component = artifact.component
        known = self._bundle.goldens(component)
        inputs, strata = self._inputs(component, known, rng)
        if "label" in known.inputs:
            inputs["label"] = rng.choice(known.inputs["label"], len(next(iter(inputs.values()))))
        outputs = self._run.run(reference_of(self._bundle.manifest, artifact), inputs)
        return Goldens(inputs=inputs, outputs=dict(outputs), strata=strata)

    def _inputs(
        self, component: Component, known: Goldens, rng: np.random.Generator
    ) -> tuple[dict[str, Array], tuple[Stratum, ...]]:
        if "seed" in known.inputs:
            limits = np.iinfo(np.int32)
            seeds = rng.integers(limits.min, limits.max, (2, known.count), endpoint=True).astype(np.int32)
            return {"seed": seeds[0], "index": seeds[1]}, _one("random", known.count)
        if component is Component.PRIOR:
            return {"eps": rng.standard_normal(known.inputs["eps"].shape).astype(np.float32)}, _one(
                "prior", known.count
            )
        if component is Component.DECODER:
            latents = self._latents(known.strata, rng)
            return {"z": np.concatenate(list(latents.values()))}, known.strata
        return {"x": self._images(known.count, rng)}, _one("decoded", known.count)

    def _latents(self, strata: tuple[Stratum, ...], rng: np.random.Generator) -> dict[str, FloatArray]:
        """Returns as many latents of each kind as there are."""
        latents = {}
        for stratum in strata:
            if stratum.name == "posterior":
                latents[stratum.name] = self._posterior(stratum.count, rng)
            else:
                noise = rng.standard_normal((stratum.count, self._bundle.manifest.vae.eps_dim))
                if stratum.name == "tails":
                    noise = _with_tails(noise, rng)
                latents[stratum.name] = self._prior(noise.astype(np.float32))
        return latents

    def _posterior(self, count: int, rng: np.random.Generator) -> FloatArray:
        posterior = self._bundle.goldens(Component.ENCODER).outputs
        chosen = rng.integers(len(posterior["z_mean"]), size=count)
        z_mean, z_log_var = (posterior[name][chosen].astype(np.float32) for name in ("z_mean", "z_log_var"))
        return reparameterize(z_mean, z_log_var, rng.standard_normal(z_mean.shape)).astype(np.float32)

    def _prior(self, eps: FloatArray) -> FloatArray:
        record = _float32(self._bundle.manifest, Component.PRIOR)
        return eps if record is None else self._run.run(record, {"eps": eps})["z"]

    def _images(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Returns images that the decoder makes of the prior, every second one binarized where training saw such."""
        vae = self._bundle.manifest.vae
        decoder = _float32(self._bundle.manifest, Component.DECODER)
        if decoder is None:
            raise SpecError("fresh images need a float32 decoder in the bundle")
        inputs: dict[str, Array] = {"z": self._prior(rng.standard_normal((count, vae.eps_dim)).astype(np.float32))}
        inputs |= drawn_conditions(vae, count, rng)
        images = self._run.run(decoder, inputs)["image"].reshape(count, *vae.tensor_shape(Component.ENCODER))
        if vae.likelihood is Likelihood.BERNOULLI:
            images[1::2] = rng.random(images[1::2].shape) < images[1::2]
        return images


def reference_of(manifest: Manifest, artifact: ArtifactRecord) -> ArtifactRecord:
    """Returns the float32 file that stands for the original: of the same format, of the other one for a float32 file.

    Raises:
        SpecError: the bundle has none.
    """
    own = artifact.precision is Precision.FLOAT32
    formats = [format for format in Format if (format is artifact.format) != own]
    record = _float32(manifest, artifact.component, formats)
    if record is None:
        raise SpecError(f"the bundle has no float32 file that could stand for the original of {artifact.name}")
    return record


def _float32(manifest: Manifest, component: Component, formats: list[Format] | None = None) -> ArtifactRecord | None:
    wanted = formats if formats is not None else list(Format)
    for record in manifest.artifacts:
        spec = record.spec
        if spec.component is component and spec.precision is Precision.FLOAT32 and spec.format in wanted:
            return record
    return None


def _with_tails(noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Moves one coordinate of each vector out to 3 to 4 standard deviations."""
    rows = np.arange(len(noise))
    moved: np.ndarray = np.clip(noise, -_TAIL_LOW, _TAIL_LOW)
    signs = rng.choice([-1.0, 1.0], len(noise))
    moved[rows, rows % noise.shape[1]] = signs * rng.uniform(_TAIL_LOW, _TAIL_HIGH, len(noise))
    return moved


def _one(name: str, count: int) -> tuple[Stratum, ...]:
    return (Stratum(name=name, start=0, count=count),)
